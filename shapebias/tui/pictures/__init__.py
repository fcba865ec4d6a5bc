"""Pictures of units: made on a thread, laid out, and drawn by protocols other than sixel."""
