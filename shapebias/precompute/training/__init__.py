"""Training: the loop of `shapebias train`, its settings, its data and its checkpoints."""
