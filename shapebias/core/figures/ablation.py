"""The figure of ablation scores (matplotlib, the extra `plots`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shapebias.core.analysis.ablation import LayerAblation
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_SIDE = 2.6  # inches a panel
_COLOR = "#0072b2"


def ablation_figure(layers: Sequence[LayerAblation]) -> "Figure":
    """Shape score against texture score, a point a unit, larger where several units share it: a row of panels for each
    model, a column for each layer name. The line marks equal scores."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(each.model for each in layers))
    names = list(dict.fromkeys(each.layer for each in layers))
    figure = Figure(figsize=(0.6 + _SIDE * len(names), 0.6 + _SIDE * len(models)), layout="constrained")
    grid = figure.subplots(len(models), len(names), sharex="col", sharey="col", squeeze=False)
    for row in grid:
        for axes in row:
            axes.set_visible(False)
    for each in layers:
        axes = grid[models.index(each.model), names.index(each.layer)]
        axes.set_visible(True)
        points, times = np.unique(np.stack([each.texture, each.shape], 1), axis=0, return_counts=True)
        axes.scatter(points[:, 0], points[:, 1], s=8 * np.sqrt(times), color=_COLOR, alpha=0.6, linewidth=0)
        axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8, zorder=0)
        title = axes.set_title(f"{printable(each.model, 24)}: {printable(each.layer, 24)}", fontsize=9)
        title.set_parse_math(False)
        twins = [other for other in layers if other.layer == each.layer]
        axes.set_xlim(_limits([other.texture for other in twins]))
        axes.set_ylim(_limits([other.shape for other in twins]))
    figure.supxlabel("Texture score (images)", fontsize=9)
    figure.supylabel("Shape score (images)", fontsize=9)
    return figure


def _limits(scores: "Sequence[NDArray[np.float32]]") -> tuple[float, float]:
    """Of an axis that shows all scores, of every model."""
    highest = max(1.0, *(float(each.max()) for each in scores))
    return -0.06 * highest, 1.06 * highest
