"""The attribution methods and their scores, and the maps of single images that need no store."""
