"""A unit's images as tiles, and tiles as sixel graphics."""
