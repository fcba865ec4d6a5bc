"""Screens with plots of the units of a table, every model in its colour."""
