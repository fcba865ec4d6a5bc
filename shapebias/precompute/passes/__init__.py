"""One module a pass: what is measured while images go through a network."""
