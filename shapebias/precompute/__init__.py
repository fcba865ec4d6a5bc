"""Makes stores: passes images through networks. Never imports textual or shapebias.tui."""
