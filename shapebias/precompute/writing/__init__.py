"""How the arrays of a store are made, and its manifest: used by `precompute/writer.py` alone."""
