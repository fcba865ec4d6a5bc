"""The bars of Network Dissection: detectors and the concepts they detect, by category, models beside each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shapebias.core.analysis.dissection import Detectors
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's colours, with hatches, so that no two models differ by colour alone.
_STYLES = (
    ("#0072b2", ""),
    ("#e69f00", "//"),
    ("#009e73", ".."),
    ("#56b4e9", "xx"),
    ("#cc79a7", "\\\\"),
    ("#000000", ""),
)


def detectors_figure(found: Sequence[Detectors]) -> "Figure":
    """A row a layer: left the detectors, right the different concepts they detect, a bar a category and model."""
    from matplotlib.figure import Figure

    layers = list(dict.fromkeys(each.layer for each in found))
    models = list(dict.fromkeys(each.model for each in found))
    categories = list(found[0].detectors) if found else []
    figure = Figure(figsize=(8, 1.0 + 1.7 * max(len(layers), 1)), layout="constrained")
    axes = figure.subplots(max(len(layers), 1), 2, squeeze=False, sharex=True)
    width = 0.8 / max(len(models), 1)
    for row, layer in zip(axes, layers, strict=False):
        for each in found:
            if each.layer != layer:
                continue
            index = models.index(each.model)
            colour, hatch = _STYLES[index % len(_STYLES)]
            places = [place + (index - (len(models) - 1) / 2) * width for place in range(len(categories))]
            for axis, counts in zip(row, (each.detectors, each.unique), strict=True):
                heights = [counts[name] for name in categories]
                axis.bar(places, heights, width, color=colour, hatch=hatch, edgecolor="white", label=f" {each.model}")
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
