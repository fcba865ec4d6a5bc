"""Where networks come from, and which of their layers are watched."""
