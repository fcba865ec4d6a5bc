"""Finding and decoding images, and preparing them for networks."""
