"""The attribution methods, in PyTorch: which pixels a decision comes from."""
