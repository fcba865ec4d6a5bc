"""Scans: one pass over images in shards, by this process or by Ray."""
