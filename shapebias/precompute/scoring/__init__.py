"""Scores of attribution maps: curves of changed images, and the positions of objects."""
