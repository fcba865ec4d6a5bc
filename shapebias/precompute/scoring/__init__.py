"""How well attribution maps explain: curves of changed images, and where objects are."""
