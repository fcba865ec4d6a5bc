"""Stores: their layout, and how they are opened and read, here or on a server, one or several as one."""
