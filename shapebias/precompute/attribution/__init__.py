"""Where a network looks: the attribution methods, by torch."""
