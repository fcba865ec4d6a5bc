"""Data flow: the operations of a forward, the meaning of the axes of its tensors, and where a layer's activation
ends.
"""
