"""The themes that are not Textual's: one without colours, and a light one."""

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

PAPER = Theme(
    name="paper",
    primary="#0b62b5",
    secondary="#4a6f93",
    accent="#b04e00",
    warning="#8a5a00",
    error="#b3261e",
    success="#1f6f43",
    foreground="#1d1d1d",
    background="#fcfcfa",
    surface="#f2f2ee",
    panel="#e4e4de",
    dark=False,
)
