"""Who measures the shards of a run: this process, or a Ray cluster."""
