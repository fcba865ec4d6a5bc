"""The terminal: its abilities, the speed of its connection, and writing to it."""
