"""The bars of Network Dissection: the number of detectors and of concepts that they detect, by category and model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shapebias.core.analysis.dissection import Detectors
from shapebias.core.figures.output import MODEL_BARS
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def detectors_figure(counts: Sequence[Detectors]) -> "Figure":
    """Draw the number of detectors (left) and of the different concepts that they detect (right).

    Each layer has one row of panels, with one bar per category and model.
    """
    from matplotlib.figure import Figure

    layers = list(dict.fromkeys(count.layer for count in counts))
    models = list(dict.fromkeys(count.model for count in counts))
    categories = list(counts[0].detectors) if counts else []
    figure = Figure(figsize=(8, 1.0 + 1.7 * max(len(layers), 1)), layout="constrained")
    axes = figure.subplots(max(len(layers), 1), 2, squeeze=False, sharex=True)
    width = 0.8 / max(len(models), 1)
    for row, layer in zip(axes, layers, strict=False):
        for count in counts:
            if count.layer != layer:
                continue
            index = models.index(count.model)
            colour, hatch = MODEL_BARS[index % len(MODEL_BARS)]
            positions = [number + (index - (len(models) - 1) / 2) * width for number in range(len(categories))]
            for axis, by_category in zip(row, (count.detectors, count.unique), strict=True):
                heights = [by_category[name] for name in categories]
                style = {"color": colour, "hatch": hatch, "edgecolor": "white"}
                axis.bar(positions, heights, width, label=f" {count.model}", **style)
        row[0].set_ylabel(printable(layer, 24), parse_math=False)
        for axis in row:
            axis.set_xticks(range(len(categories)), [printable(name, 16) for name in categories])
            axis.yaxis.get_major_locator().set_params(integer=True)
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
    axes[0][0].set_title("Detectors")
    axes[0][1].set_title("Unique concepts")
    bars = {bar.get_label(): bar for axis in axes[:, 0] for bar in axis.containers}
    legend = figure.legend(bars.values(), bars, loc="outside lower center", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure
