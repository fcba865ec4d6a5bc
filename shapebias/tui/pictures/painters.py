"""The painter of each kind of graphics."""

from shapebias.tui.pictures.iterm2 import ITerm2Painter
from shapebias.tui.pictures.kitty import KittyPainter
from shapebias.tui.pictures.painter import Painter
from shapebias.tui.pictures.sixel import SixelPainter
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal


def new_painter(graphics: Graphics, terminal: Terminal) -> Painter | None:
    """Return the painter for a terminal's graphics; None where pictures are text."""
    if graphics is Graphics.SIXEL:
        return SixelPainter(whole_rows=terminal.multiplexer == "tmux")
    if graphics is Graphics.KITTY:
        return KittyPainter()
    return ITerm2Painter() if graphics is Graphics.ITERM2 else None
