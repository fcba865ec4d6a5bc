"""Data flow: the operations that a forward runs, what the axes of its tensors mean, where an activation ends."""
