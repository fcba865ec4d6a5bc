"""The figure of ablation scores (matplotlib, the extra `plots`)."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Literal

import numpy as np

from shapebias.core.analysis.ablation import LayerAblation
from shapebias.core.figures.output import MODELS
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_SIDE = 2.6  # inches per panel


def ablation_figure(layers: Sequence[LayerAblation], upright: bool = False) -> "Figure":
    """Draw the shape score against the texture score of each unit, as percentages of the model's decisions by shape and
    texture.

    Each model has a row of panels and each layer name a column (`upright`: the other way round). Each unit is one
    point, and a point is larger where several units share it. The line marks equal percentages.
    """
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(scores.model for scores in layers))
    names = list(dict.fromkeys(scores.layer for scores in layers))
    down, across = (names, models) if upright else (models, names)
    figure = Figure(figsize=(0.6 + _SIDE * len(across), 0.6 + _SIDE * len(down)), layout="constrained")
    shared: Literal["row", "col"] = "row" if upright else "col"  # a layer's panels share their scale
    panels = figure.subplots(len(down), len(across), sharex=shared, sharey=shared, squeeze=False)
    grid = panels.T if upright else panels
    for axes in grid.ravel():
        axes.set_visible(False)
    colours = {model: color for model, (color, _) in zip(models, cycle(MODELS), strict=False)}
    for scores in layers:
        axes = grid[models.index(scores.model), names.index(scores.layer)]
        axes.set_visible(True)
        points, times = np.unique(
            100 * np.stack([scores.texture_share, scores.shape_share], 1), axis=0, return_counts=True
        )
        axes.scatter(
            points[:, 0], points[:, 1], s=8 * np.sqrt(times), color=colours[scores.model], alpha=0.6, linewidth=0
        )
        axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8, zorder=0)
        title = axes.set_title(f"{printable(scores.model, 24)}: {printable(scores.layer, 24)}", fontsize=9)
        title.set_parse_math(False)
        column = [other for other in layers if other.layer == scores.layer]
        axes.set_xlim(_limits([100 * other.texture_share for other in column]))
        axes.set_ylim(_limits([100 * other.shape_share for other in column]))
    figure.supxlabel("Texture score (% of the decisions by texture)", fontsize=9)
    figure.supylabel("Shape score (% of the decisions by shape)", fontsize=9)
    return figure


def _limits(scores: "Sequence[NDArray[np.float64]]") -> tuple[float, float]:
    """Return the limits of an axis that shows all scores, of every model."""
    highest = max(1.0, *(float(values.max()) for values in scores))
    return -0.06 * highest, 1.06 * highest
