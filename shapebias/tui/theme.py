"""The theme without colours; light and dark ones are Textual's."""

from textual.theme import Theme

NO_COLOUR = Theme(
    name="no-colour",
    primary="#606060",
    secondary="#808080",
    accent="#ffffff",
    warning="#d0d0d0",
    error="#ffffff",
    success="#d0d0d0",
    foreground="#e0e0e0",
    background="#000000",
    surface="#181818",
    panel="#282828",
)
