"""Figures as PNG or SVG files (matplotlib, the extra `plots`)."""
