"""The stages of a run: each runs images through networks with the engine, and writes the results into the store."""
