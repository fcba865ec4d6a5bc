"""Loading networks, and finding the layers to watch."""
