"""The figure of metrics by depth: one panel per metric, the layers from input to output, one line per model."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from shapebias.core.analysis.comparison import living
from shapebias.core.figures.output import MODELS
from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_COLUMNS = 2
_QUARTILES = (25, 50, 75)
_MOST_TICKS = 12  # largest number of layers that are named below a panel


def depth_figure(store: Store, models: Sequence[str], metrics: Sequence[str]) -> "Figure":
    """Draw the median of each metric over the living units of each layer, and a band from the lower to the upper
    quartile.

    There is one panel per metric and one line per model. Where a model lacks a metric in a layer, the line has a gap.
    """
    from matplotlib.figure import Figure

    layers = list(dict.fromkeys(layer for model in models for layer in store.layers(model)))
    columns = min(_COLUMNS, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(7.6, 0.7 + 2.3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(metrics) :]:
        axes.set_axis_off()
    for metric, axes in zip(metrics, grid.ravel(), strict=False):
        for model, (color, marker) in zip(models, cycle(MODELS), strict=False):
            _line(axes, _quartiles(store, model, layers, metric), label=model, color=color, marker=marker)
        axes.set_title(METRICS[metric].in_words, fontsize=10, loc="left", parse_math=False)
        _name_layers(axes, layers)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _quartiles(store: Store, model: str, layers: Sequence[str], metric: str) -> "NDArray[np.float64]":
    """Return the lower quartile, median and upper quartile of a metric over the living units of each layer.

    The result is float64 [3, layers]; NaN where the model lacks the layer, the metric, or units with a value.
    """
    own_layers = store.layers(model)
    measured = [
        living(store, model, layer, metric)
        if layer in own_layers and metric in store.metric_names(model, layer)
        else np.zeros(0)
        for layer in layers
    ]
    return np.array([np.percentile(values, _QUARTILES) if len(values) else [np.nan] * 3 for values in measured]).T


def _line(axes: "Axes", quartiles: "NDArray[np.float64]", *, label: str, color: str, marker: str) -> None:
    lower, median, upper = quartiles
    positions = np.arange(len(median))
    axes.fill_between(positions, lower, upper, color=color, alpha=0.14, linewidth=0)
    axes.plot(
        positions, median, color=color, marker=marker, markersize=5, linewidth=1.6, label=f" {printable(label, 40)}"
    )


def _name_layers(axes: "Axes", layers: Sequence[str]) -> None:
    step = -(-len(layers) // _MOST_TICKS)
    named = range(0, len(layers), step)
    crowded = sum(len(layers[number]) for number in named) > 44  # number of characters that fit side by side
    names = [printable(layers[number], 20) for number in named]
    axes.set_xticks(list(named), names, fontsize=8, parse_math=False)
    if crowded:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
