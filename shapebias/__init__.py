"""shapebias: look inside a CNN from a terminal."""

__version__ = "0.1.0"
