"""The built-in images: shapes filled with textures, drawn when they are needed."""
