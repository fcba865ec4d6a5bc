"""Figures of the metrics of units in a table: two against each other, and how each spreads."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from shapebias.core.figures.output import MODELS
from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Unit
from shapebias.core.text import printable
from shapebias.core.units.table import UnitTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_FAR = 100  # times the smallest value, from which on an axis is logarithmic
_COLUMNS, _BINS = 3, 30


def is_far_apart(values: "NDArray[Any]") -> bool:
    """Return whether values are all positive and so far apart that they belong on a logarithmic axis."""
    return bool(len(values)) and bool(values.min() > 0) and bool(values.max() > _FAR * values.min())


def scatter_figure(table: UnitTable, across: str, up: str, unit: Unit | None = None) -> "Figure":
    """Draw two metrics of the units of a table against each other, every model in its colour, a ring around `unit`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axes = figure.add_subplot()
    x, y = (table.columns[name].astype(np.float64) for name in (across, up))
    for model, rows, color, marker in _models(table):
        axes.plot(x[rows], y[rows], marker, color=color, markersize=4, alpha=0.6, markeredgewidth=0, label=f" {model}")
    row = None if unit is None else table.row(unit)
    if row is not None and np.isfinite([x[row], y[row]]).all():
        axes.plot(x[row], y[row], "o", color="#000000", markersize=11, fillstyle="none", markeredgewidth=1.6)
    for values, scale in ((x, axes.set_xscale), (y, axes.set_yscale)):
        scale("log" if is_far_apart(values[np.isfinite(values)]) else "linear")
    axes.set(xlabel=METRICS[across].in_words, ylabel=METRICS[up].in_words)
    _plain_axes(axes)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, markerscale=1.6)
    return figure


def histogram_figure(table: UnitTable, metrics: Sequence[str], unit: Unit | None = None) -> "Figure":
    """Draw how each metric spreads over the units of a table, every model in its colour, over each other, with a line
    at the value of `unit`."""
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(
        figsize=(7.6 if columns > 1 else 6.0, 0.7 + (2.1 if columns > 1 else 3.4) * rows), layout="constrained"
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(metrics) :]:
        axes.set_axis_off()
    for metric, axes in zip(metrics, grid.ravel(), strict=False):
        _histogram(axes, table, metric, None if unit is None else table.row(unit))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _histogram(axes: "Axes", table: UnitTable, metric: str, row: int | None) -> None:
    values = table.columns[metric].astype(np.float64)
    known = values[np.isfinite(values)]
    far = is_far_apart(known)
    if len(known) and known.max() > known.min():
        low, high = known.min(), known.max()
        edges = np.geomspace(low, high, _BINS + 1) if far else np.linspace(low, high, _BINS + 1)
        for model, rows, color, _ in _models(table):
            own = values[rows]
            axes.hist(
                own[np.isfinite(own)], edges.tolist(), color=color, alpha=0.5, histtype="stepfilled", label=f" {model}"
            )
    if row is not None and np.isfinite(values[row]):
        axes.axvline(values[row], color="#000000", linewidth=1.4)
    axes.set_xscale("log" if far else "linear")
    axes.set_title(METRICS[metric].in_words, fontsize=10, loc="left", parse_math=False)
    _plain_axes(axes)


def _models(table: UnitTable) -> "Iterator[tuple[str, NDArray[np.bool_], str, str]]":
    """Yield each model's printable name, which rows are its units, its colour and its marker."""
    models = dict.fromkeys(model for model, _ in table.layers)
    for model, (color, marker) in zip(models, cycle(MODELS), strict=False):
        rows = np.array([name == model for name, _ in table.layers], bool)[table.layer]
        yield printable(model, 40), rows, color, marker


def _plain_axes(axes: "Axes") -> None:
    axes.tick_params(labelsize=8)
    axes.grid(color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
