"""Running statistics of units: monoids with update(batch), merge(other) and result()."""
