"""The texts in the frame of a pane. Panes have the class `framed`; that with the focus is in the accent's colour."""

from textual.content import Content
from textual.widget import Widget

from shapebias.core.text import printable

MUTED = "$foreground 60%"  # the colour of text that is not to be read first


def write_frame(pane: Widget, name: str, more: str = "", below: str = "") -> None:
    """Write into the upper edge of a pane's frame its `name` in bold and `more` about it, into the lower edge `below`.

    Characters that cannot be printed are replaced.
    """
    title = Content.assemble((printable(name, 120), "bold"), f"  {printable(more)}" if more else "")
    subtitle = Content(printable(below))
    if (title, subtitle) != (pane._border_title, pane._border_subtitle):  # each is a refresh
        pane.border_title, pane.border_subtitle = title, subtitle
