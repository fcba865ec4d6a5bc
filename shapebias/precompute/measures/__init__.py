"""Measures: what is read from a batch of images and a network, and how shards of it are merged."""
