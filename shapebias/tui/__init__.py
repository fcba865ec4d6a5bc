"""Shows stores in a terminal. Never imports torch or shapebias.precompute."""
