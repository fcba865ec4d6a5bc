"""Measures: the results of a network for batches of images, in shards, and how shards are merged."""
