"""Figures (matplotlib, the extra `plots`) as PNG or SVG files."""
