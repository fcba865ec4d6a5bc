"""Plots in text, for every terminal: bars, spreads, marks on a line, scatters, small pictures."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

from shapebias.core.analysis.histogram import bars
from shapebias.core.numbers import number_text

_FAR = 100  # ratio of the largest to the smallest value above which an axis is logarithmic
_EIGHTHS = " ▏▎▍▌▋▊▉█"
FOR_SHADES, AGAINST_SHADES = "·░▒▓█", "·-=%#"  # from 0 to 1, and from 0 to -1
# Colours that people with colour blindness tell apart, and a mark for each, so that nothing is told by colour alone.
SERIES = (("#3391d4", "○"), ("#e69f00", "■"), ("#2fbf8f", "▲"), ("#cc79a7", "◇"))
PEOPLE = ("#ff6b6b", "+")


def series(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour (hexadecimal) and a mark for each name, such as a model's; after four they repeat."""
    return dict(zip(names, cycle(SERIES), strict=False))


def bar(share: float, width: int) -> str:
    """Return a bar of `width` cells for a share of 0 to 1, to an eighth of a cell; blanks for NaN."""
    if not share > 0:
        return " " * width
    eighths = round(min(share, 1.0) * 8 * width)
    full, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def marked_line(values: Mapping[tuple[str, str], float], width: int) -> Text:
    """Return an axis from 0 to 1, `width` cells wide, with a mark (colour, character) at each value.

    Of two marks in one cell the last is seen. Values outside 0 to 1, and NaN, have none.
    """
    quarters = {round(quarter / 4 * (width - 1)) for quarter in range(5)}
    cells = [("·", "dim") if cell in quarters else (" ", "") for cell in range(width)]
    for (color, mark), value in values.items():
        if 0 <= value <= 1:
            cells[round(value * (width - 1))] = (mark, color)
    return Text.assemble(*cells)


def spread(values: NDArray[np.float64], low: float, high: float, width: int) -> str:
    """Return a histogram of `values` between `low` and `high` in `width` bins, one character for each.

    A character is a bar in eighths of its height; see `bars`. All are blank unless `high` is above `low`.
    """
    if not high > low:
        return " " * width
    return bars(np.histogram(values, width, (low, high))[0])


class Axis:
    """Positions of values on an axis, which is logarithmic where they are positive and far apart.

    `low` and `high` are the ends of the axis as `scaled` gives them: decimal logarithms where it is logarithmic.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        known = values[np.isfinite(values)]
        self._logarithmic = bool(len(known)) and known.min() > 0 and known.max() > _FAR * known.min()
        scaled = self.scaled(known)
        self.low, self.high = float(scaled.min(initial=np.inf)), float(scaled.max(initial=-np.inf))
        if not self.high > self.low:
            middle = self.low if math.isfinite(self.low) else 0.0
            self.low, self.high = middle - 0.5, middle + 0.5

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values, or on a logarithmic axis their decimal logarithms (NaN for what is not positive)."""
        return np.log10(np.where(values > 0, values, np.nan)) if self._logarithmic else values

    def cells(self, values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
        """Return in which of `count` cells each value is, int64 [values] from 0; -1 where the value is undefined."""
        share = (self.scaled(values) - self.low) / (self.high - self.low)
        known = np.isfinite(share)
        return np.where(known, np.where(known, share, 0.0) * count, -1).astype(np.int64).clip(-1, count - 1)

    def at(self, share: float) -> float:
        """Return the value at a share of the axis: 0 is its low end, 1 its high end."""
        cell = self.low + share * (self.high - self.low)
        return float(10**cell) if self._logarithmic else cell


def scatter(
    points: Mapping[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]], width: int, height: int
) -> list[Text]:
    """Return a plot of y against x of several series (colour, mark), with the diagonal.

    Both axes are logarithmic, with the same range, which is written below. Values that are not positive are left out;
    where nothing is left, there are no lines.
    """
    drawn = np.concatenate([np.zeros(0), *(values for pair in points.values() for values in pair)])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    if not len(drawn):
        return []
    low, high = math.log(drawn.min()) - 0.02, math.log(drawn.max()) + 0.02
    cells = [[(" ", "") for _ in range(width)] for _ in range(height)]
    for column in range(width):
        cells[height - 1 - column * height // width][column] = ("·", "dim")
    for (color, mark), (x, y) in points.items():
        positive = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
        across = ((np.log(x[positive]) - low) / (high - low) * width).astype(int).clip(0, width - 1)
        up = ((np.log(y[positive]) - low) / (high - low) * height).astype(int).clip(0, height - 1)
        for column, row in zip(across.tolist(), up.tolist(), strict=True):
            cells[height - 1 - row][column] = (mark, color)
    lines = [Text.assemble(("│", "dim"), *row) for row in cells]
    start, end = number_text(math.exp(low)), number_text(math.exp(high))
    return [*lines, Text(f"└{start}{end.rjust(width - len(start), '─')}", style="dim")]


def picture(pixels: NDArray[np.uint8]) -> list[Text]:
    """Return pixels (uint8 [H, W, 3]) as half cells: a line for every two rows of pixels."""
    height, width = pixels.shape[:2]
    even = pixels if height % 2 == 0 else np.concatenate([pixels, np.zeros((1, width, 3), np.uint8)])
    lines = []
    for upper, lower in zip(even[::2].tolist(), even[1::2].tolist(), strict=True):
        line = Text()
        for above, below in zip(upper, lower, strict=True):
            line.append("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        lines.append(line)
    return lines


def shades(values: NDArray[np.floating[Any]], width: int, height: int) -> list[Text]:
    """Return values [h, w] in [-1, 1] as characters, each written twice since a character is half as wide as high.

    Characters go from · for 0 to █ for 1, or to # for -1. Where the map is larger than `width` x `height` cells, a
    character is the value with the largest size among several rows and columns.
    """
    step = max(-(-values.shape[0] // max(height, 1)), -(-values.shape[1] // max(width // 2, 1)))
    largest, smallest = values, values
    for axis, extent in enumerate(values.shape):
        largest = np.maximum.reduceat(largest, range(0, extent, step), axis)
        smallest = np.minimum.reduceat(smallest, range(0, extent, step), axis)
    values = np.where(largest >= -smallest, largest, smallest)
    steps = (np.sign(values) * np.ceil(np.abs(values) * (len(FOR_SHADES) - 1))).astype(int)
    characters = [*FOR_SHADES, *reversed(AGAINST_SHADES[1:])]  # a negative number counts from the end
    return [Text("".join(2 * characters[number] for number in row)) for row in steps.tolist()]
