"""Pictures in half cells: two pixels per character, for terminals without graphics."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color, ColorSystem
from rich.text import Text

from shapebias.tui.terminal.graphics import Colours
from shapebias.tui.widgets.text_plots import picture


def half_cells(image: Image.Image, colours: Colours = Colours.TRUE) -> Text:
    """Return an RGB picture as text: a pixel is as wide as a column and half as high as a line.

    On a terminal with 256 colours it is dithered (Floyd & Steinberg 1976).
    """
    return Text("\n").join(picture(_dithered(image) if colours is Colours.INDEXED else np.asarray(image)))


def _dithered(image: Image.Image) -> NDArray[np.uint8]:
    """Return a picture, uint8 [H, W, 3], in those colours of xterm's palette that `_indexed_colours` returns."""
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for colour in _indexed_colours() for level in colour])
    return np.asarray(image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


@cache
def _indexed_colours() -> list[tuple[int, int, int]]:
    """Return the colours (red, green, blue) of xterm's palette of 256 that Rich, which writes the text, keeps.

    It replaces some colours of the palette by others when it reduces text to 256 colours.
    """
    colours = []
    for number in range(16, 256):
        colour = Color.from_ansi(number).get_truecolor()
        if Color.from_triplet(colour).downgrade(ColorSystem.EIGHT_BIT).number == number:
            colours.append((colour.red, colour.green, colour.blue))
    return colours
