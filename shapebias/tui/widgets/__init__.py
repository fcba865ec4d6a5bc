"""The widgets of the explorer's panes and screens."""
