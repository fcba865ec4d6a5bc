"""Scans: one pass over images in shards, in this process or with Ray."""
