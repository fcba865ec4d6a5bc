"""Pictures in cells of text, for terminals without graphics: four parts of two colours per cell, or two halves."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style

from shapebias.tui.terminal.graphics import Colours

CELL = (2, 4)  # width and height of a cell in pixels of a picture
# Characters by the parts that have the first colour: 1 upper left, 2 upper right, 4 lower left. The lower right part
# always has the second one. Every font with half blocks has these, unlike sextants (Unicode 13, 2020).
_QUADRANTS = " ▘▝▀▖▌▞▛"
_FIRST = np.array([[bool(parts & part) for part in (1, 2, 4, 8)] for parts in range(1, 8)])  # [characters, parts]


def cell_rows(image: Image.Image, colours: Colours = Colours.TRUE) -> list[list[Segment]]:
    """Return the rows of cells of a picture, whose sides are multiples of `CELL`.

    Of each cell's parts, some get one colour and the others another: the two means that are nearest to the pixels. With
    256 colours it is two halves, since dithering (Floyd & Steinberg 1976) needs pixels that keep their colour.
    """
    columns, rows = image.width // CELL[0], image.height // CELL[1]
    if colours is Colours.INDEXED:
        halves = np.asarray(_dithered(image.resize((columns, 2 * rows), Image.Resampling.BOX)))
        characters = np.full((rows, columns), "▀")
        above, below = halves[::2], halves[1::2]
    else:
        parts = np.asarray(image.resize((2 * columns, 2 * rows), Image.Resampling.BOX), np.float32)
        parts = parts.reshape(rows, 2, columns, 2, 3).swapaxes(1, 2).reshape(rows, columns, 4, 3)
        characters, above, below = _in_two_colours(parts)
    return [
        [Segment(character, _style(*first, *second)) for character, first, second in zip(*row, strict=True)]
        for row in zip(characters.tolist(), above.tolist(), below.tolist(), strict=True)
    ]


def _in_two_colours(
    parts: NDArray[np.float32],
) -> tuple[NDArray[np.str_], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return for cells of four parts, float32 [rows, columns, 4, 3], the characters [rows, columns] and their two
    colours, uint8 [rows, columns, 3], with the smallest sum of squared errors.
    """
    sizes = _FIRST.sum(1)[:, None]
    first = np.einsum("kp,rcpv->rckv", _FIRST.astype(np.float32), parts)
    second = parts.sum(2, keepdims=True) - first
    # The error of means is the sum of squares less this, which is largest where the error is smallest.
    kept = (first**2 / sizes + second**2 / (4 - sizes)).sum(-1)
    best = kept.argmax(2)[..., None, None]
    means = (
        np.take_along_axis(sums / count, best, 2)[:, :, 0] for sums, count in ((first, sizes), (second, 4 - sizes))
    )
    above, below = (np.rint(mean).astype(np.uint8) for mean in means)
    return np.array(list(_QUADRANTS))[best[..., 0, 0] + 1], above, below


def _style(*levels: int) -> Style:
    """Return the style of a cell with the levels of two colours: red, green, blue of each."""
    return Style(color=Color.from_rgb(*levels[:3]), bgcolor=Color.from_rgb(*levels[3:]))


def _dithered(image: Image.Image) -> Image.Image:
    """Return a picture in the colours of xterm's palette."""
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for colour in _indexed_colours() for level in colour])
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")


@cache
def _indexed_colours() -> list[tuple[int, int, int]]:
    """Return those of the 256 colours that Rich, which writes the text, makes itself of when it has but 256."""
    colours = []
    for number in range(16, 256):
        colour = Color.from_ansi(number).get_truecolor()
        if Color.from_triplet(colour).downgrade(ColorSystem.EIGHT_BIT).number == number:
            colours.append((colour.red, colour.green, colour.blue))
    return colours
