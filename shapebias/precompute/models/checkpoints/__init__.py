"""Weights from files: formats, reading without running code, and explaining why a file does not fit."""
