"""Writes the arrays of a store and its manifest; used by `precompute/writer.py` alone."""
