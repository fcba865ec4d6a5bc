"""The figure of attribution maps' scores: a panel for every score, in it a row for every method, and in that a point
with its interval for every model.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from shapebias.core.analysis.explainability import IN_TABLES, Explained
from shapebias.core.attribution.scores import SCORES
from shapebias.core.figures.output import MODELS
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_APART = 0.16  # distance between the points of two models in a row


def attribution_figure(rows: Sequence[Explained], scores: Sequence[str] = IN_TABLES) -> "Figure":
    """Draw how well methods explain models: the mean of each score over images with its 95 % interval.

    There is one panel per score, one row per method and one point per model. Methods of one family are next to each
    other; families and methods are in the order of `rows`. Scores without any value are left out.
    """
    from matplotlib.figure import Figure

    scores = [name for name in scores if any(row.scores[name].mean == row.scores[name].mean for row in rows)]
    families = dict.fromkeys(row.family for row in rows)
    methods = list(dict.fromkeys(row.method for family in families for row in rows if row.family == family))
    figure = Figure(figsize=(2.2 + 1.75 * len(scores), 1.4 + 0.27 * len(methods)), layout="constrained")
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for score, axes in zip(scores, panels, strict=True):
        _panel(axes, rows, score, methods)
    family_of = {row.method: row.family for row in rows}
    for number in range(1, len(methods)):
        if family_of[methods[number]] != family_of[methods[number - 1]]:
            for axes in panels:
                axes.axhline(number - 0.5, color="#bbbbbb", linewidth=0.8)
    panels[0].set_yticks(range(len(methods)), [printable(method, 24) for method in methods])
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _panel(axes: "Axes", rows: Sequence[Explained], score: str, methods: Sequence[str]) -> None:
    models = list(dict.fromkeys(row.model for row in rows))
    for number, (model, (color, marker)) in enumerate(zip(models, cycle(MODELS), strict=False)):
        of_model = [row for row in rows if row.model == model]
        means = [row.scores[score].mean for row in of_model]
        below = [row.scores[score].mean - row.scores[score].low for row in of_model]
        above = [row.scores[score].high - row.scores[score].mean for row in of_model]
        heights = [methods.index(row.method) + _APART * (number - (len(models) - 1) / 2) for row in of_model]
        axes.errorbar(
            means,
            heights,
            xerr=(below, above),
            label=f" {printable(model, 40)}",
            color=color,
            marker=marker,
            markersize=5,
            elinewidth=1.2,
            linestyle="none",
        )
    better = "higher is better" if SCORES[score].higher else "lower is better"
    axes.set_title(SCORES[score].title, fontsize=9)
    axes.set_xlabel(better, fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
