"""Running statistics: monoids with update(batch), merge(other) and result()."""
