"""The stages of a run: each takes what the engine gives it of images and writes it into the store."""
