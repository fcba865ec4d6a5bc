"""Numbers as text that is easy to read, with few digits and aligned at the point; and their ranks within a layer."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGITS = 3  # significant digits
_MOST_DECIMALS = 3  # decimals of columns with a value of 0.1 or more
_SAMPLE = 16_384  # number of values that decide how many decimals a column needs
_NOTHING = 1e-6  # fraction of a column's largest value below which a value is a rounding error, written as 0
_LONG = 100_000  # smallest number that is written with an exponent


def number_text(value: float, decimals: int = _MOST_DECIMALS) -> str:
    """Return a number as text, with at most `decimals` digits behind the point.

    There are no more of these than three significant digits need: `12.3`, `1234`. Whole numbers have none. NaN is a
    dash. Numbers of 100,000 and more, and those that would become 0, have an exponent: `1.2e6`.
    """
    if math.isnan(value):
        return "–"
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    magnitude = abs(value)
    if magnitude >= _LONG:
        return _scientific(value)
    if abs(value - round(value)) <= 1e-6 * max(magnitude, 1e-3):
        return str(round(value))
    digits = min(decimals, max(_DIGITS - 1 - math.floor(math.log10(magnitude)), 0))
    text = f"{value:.{digits}f}"
    return text if float(text) else _scientific(value)


def _scientific(value: float) -> str:
    """Return a number as `1.2e6` or `3e-5`."""
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


class NumberColumn:
    """The format of a column's numbers: with as many `decimals` as they need, `width` characters wide."""

    def __init__(self, values: NDArray[np.floating[Any]]) -> None:
        """`values` [rows] are the column."""
        finite = values[np.isfinite(values)]
        ends = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
        largest = max(map(abs, ends))
        self._nothing = _NOTHING * largest
        sample = finite[:: max(len(finite) // _SAMPLE, 1)].astype(np.float64)
        sizes = np.abs(sample[sample != 0])
        self.decimals = 0
        if len(sizes) and not np.array_equal(sample, np.rint(sample)):
            small = float(np.quantile(sizes, 0.1))
            most = max(_MOST_DECIMALS, min(_DIGITS - 1 - math.floor(math.log10(largest)), 6))
            self.decimals = min(max(_DIGITS - 1 - math.floor(math.log10(small)), 1), most)
        whole = max(len(number_text(float(np.rint(end)))) for end in ends)
        self.width = max(whole + (self.decimals + 1 if self.decimals else 0), 1)

    def text(self, value: float) -> str:
        """Return a number as text, with blanks in place of the decimals that it does not have, so that points align."""
        text = number_text(0.0 if abs(value) < self._nothing else value, self.decimals)
        _, point, decimals = text.partition(".")
        missing = self.decimals - len(decimals) + (0 if point else 1)
        return text + " " * missing if self.decimals and "e" not in text and missing > 0 else text


def rank_shares(values: NDArray[np.floating[Any]], layer: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the rank of each value among those of its layer, float32 [rows], from 0 for the smallest to 1 for the
    largest; NaN for NaN.

    `layer` has the number of each value's layer. Equal values all have the rank of the first of them.
    """
    order = np.lexsort((values, layer))
    ordered, layers = values[order], layer[order]
    starts = np.flatnonzero(np.r_[True, layers[1:] != layers[:-1]])
    sizes = np.diff(np.r_[starts, len(layers)])
    counts = np.add.reduceat((~np.isnan(ordered)).astype(np.int64), starts) if len(starts) else np.zeros(0, np.int64)
    first = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]) | (layers[1:] != layers[:-1])])
    same = np.repeat(first, np.diff(np.r_[first, len(ordered)]))
    ranks = (same - np.repeat(starts, sizes)) / np.maximum(np.repeat(counts, sizes) - 1, 1)
    shares = np.full(len(values), np.nan, np.float32)
    shares[order] = np.where(np.isnan(ordered), np.nan, ranks)
    return shares


def rank_text(values: NDArray[np.float64], row: int) -> str:
    """Return the rank of values[row] from the largest, as `2 of 40`, or `highest of 40`; "" where it is NaN.

    Equal values share a rank, and NaN has none.
    """
    known = values[~np.isnan(values)]
    if np.isnan(values[row]):
        return ""
    above, below = int((known > values[row]).sum()), int((known < values[row]).sum())
    ends = [name for name, count in (("highest", above), ("lowest", below)) if count == 0 and above != below]
    return f"{ends[0] if ends else above + 1} of {len(known)}"
