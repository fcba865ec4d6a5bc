"""Measures: what is measured of networks on the images of every shard, and how the shards' parts are merged."""
