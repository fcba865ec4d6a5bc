"""A finding about a subject: sentences, a figure and tables; and the formats of numbers in sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shapebias.core.metrics import METRICS
from shapebias.core.report.tables import Table
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNDEFINED = "–"


@dataclass(frozen=True, kw_only=True)
class ReportFinding:
    """A finding about a subject. `key` is its id in the page; `draw` returns the figure that `caption` describes."""

    key: str
    title: str
    sentences: Sequence[str]
    draw: "Callable[[], Figure]"
    caption: str
    tables: Sequence[Table] = ()


def percent(fraction: float) -> str:
    """Return a fraction as a percentage, such as `53.0%`; UNDEFINED for NaN."""
    return UNDEFINED if fraction != fraction else f"{fraction:.1%}"


def percent_interval(low: float, high: float) -> str:
    """Return an interval between fractions, such as ` (95 % interval 47.0% to 58.9%)`; empty where it is NaN."""
    return "" if low != low else f" (95 % interval {percent(low)} to {percent(high)})"


def number(metric: str, value: float) -> str:
    """Return the value of a metric as text, as tables have it."""
    return METRICS[metric].format(value)


def signed(metric: str, value: float) -> str:
    """Return a difference between values of a metric as text, with its sign."""
    return f"{'+' if value > 0 else ''}{number(metric, value)}"


def name_of(text: str) -> str:
    """Return the name of a model, a layer, a class or a condition as a sentence has it: printable and short."""
    return printable(text, 40)


def listed(parts: Sequence[str]) -> str:
    """Return one or more names as a list in words: `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
