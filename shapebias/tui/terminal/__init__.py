"""The terminal: what it can show, how fast its line is, and writing to it."""
