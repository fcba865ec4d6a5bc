"""Weights from files: formats, reading without running code, and why a file does not fit."""
