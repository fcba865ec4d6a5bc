"""Pictures in cells of text."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.segment import Segment

from shapebias.tui.pictures.cells import CELL, cell_rows
from shapebias.tui.terminal.graphics import Colours

QUADRANTS = {"▘": 1, "▝": 2, "▀": 3, "▖": 4, "▌": 5, "▞": 6, "▛": 7}


def drawn(rows: list[list[Segment]]) -> NDArray[np.uint8]:
    """Return the picture that the cells show, uint8 [2 x rows, 2 x columns, 3]: a pixel is a quarter of a cell."""
    pixels = np.zeros((2 * len(rows), 2 * len(rows[0]), 3), np.uint8)
    for y, row in enumerate(rows):
        for x, (character, style, _) in enumerate(row):
            assert style is not None
            first, second = style.color.get_truecolor(), style.bgcolor.get_truecolor()  # type: ignore[union-attr]
            for part in range(4):
                colour = first if QUADRANTS[character] & (1 << part) else second
                pixels[2 * y + part // 2, 2 * x + part % 2] = colour
    return pixels


def photo(columns: int, rows: int) -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize((columns * CELL[0], rows * CELL[1]), Image.Resampling.BICUBIC)


def test_what_has_two_colours_in_each_cell_is_drawn_exactly() -> None:
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (5, 9, 2, 3), np.uint8)
    parts = rng.integers(0, 2, (10, 18))
    pixels = colours[np.arange(10)[:, None] // 2, np.arange(18)[None] // 2, parts]
    image = Image.fromarray(pixels.repeat(2, 0))  # a quarter of a cell is 1 x 2 pixels
    assert np.array_equal(drawn(cell_rows(image)), pixels)


def test_of_all_ways_to_draw_a_cell_the_nearest_is_taken() -> None:
    image = photo(7, 4)
    parts = np.asarray(image.resize((14, 8), Image.Resampling.BOX), float)
    errors = ((drawn(cell_rows(image)) - parts) ** 2).reshape(4, 2, 7, 2, 3).sum((1, 3, 4))
    for y, x in np.ndindex(4, 7):
        cell = parts[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].reshape(4, 3)
        best = np.inf
        for first in range(1, 15):
            chosen = np.array([bool(first & 1 << part) for part in range(4)])
            groups = (cell[chosen], cell[~chosen])
            best = min(best, sum(((group - group.mean(0)) ** 2).sum() for group in groups))
        assert errors[y, x] <= best + 4 * 3 * 256 * 0.5, "but for the rounding of colours"


def test_nearer_to_the_photo_than_half_cells() -> None:
    image = photo(20, 10)
    parts = np.asarray(image.resize((40, 20), Image.Resampling.BOX), float)
    halves = np.asarray(image.resize((20, 20), Image.Resampling.BOX), float).repeat(2, 1)
    assert ((drawn(cell_rows(image)) - parts) ** 2).sum() < 0.8 * ((halves - parts) ** 2).sum()


@pytest.mark.parametrize("colours", [Colours.TRUE, Colours.INDEXED])
def test_a_cell_for_every_2_x_4_pixels(colours: Colours) -> None:
    rows = cell_rows(photo(11, 5), colours)
    assert (len(rows), {len(row) for row in rows}) == (5, {11})


def test_256_colours_are_halves() -> None:
    assert {segment.text for row in cell_rows(photo(6, 3), Colours.INDEXED) for segment in row} == {"▀"}
