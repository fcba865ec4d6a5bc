"""The figure of shape bias by observer and category. Does not use pyplot or its settings."""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from shapebias.core.figures.output import MODELS, PEOPLE
from shapebias.core.shape_bias.observers import Observer, saw_other_images, shape_categories
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike, NDArray


def shape_bias_figure(observers: Sequence[Observer]) -> "Figure":
    """Draw the usual plot of shape bias (Geirhos et al. 2019), with one row per shape category.

    Each observer has one point per row, and a vertical line at its shape bias over all images with the 95 % interval.
    One whose figures are for images of other categories has the line only.

    Of published observers (those without counts by category) only people are drawn, and only if no recorded people are
    given.
    """
    from matplotlib.figure import Figure

    drawn = _drawn(observers)
    categories = shape_categories(drawn)
    figure = Figure(
        figsize=(7.6, 1.9 + 0.34 * len(categories) + 0.24 * math.ceil(len(drawn) / 2)), layout="constrained"
    )
    axes = figure.add_subplot()
    _rows(axes, categories)
    styles = cycle(MODELS)
    lines = []
    for observer in drawn:
        rows = [] if saw_other_images(observer, drawn) else categories
        lines.append(_draw(axes, observer, rows, *(PEOPLE if observer.is_people else next(styles))))
    labels = [_label(observer, drawn) for observer in drawn]
    legend = figure.legend(
        lines,
        labels,
        loc="outside lower center",
        ncols=min(len(drawn), 2),
        frameon=False,
        handlelength=1,
        handletextpad=0.3,
    )
    for text in [*legend.get_texts(), *axes.get_yticklabels()]:
        text.set_parse_math(False)
    return figure


def _drawn(observers: Sequence[Observer]) -> list[Observer]:
    people = [observer for observer in observers if observer.is_people]
    recorded = [observer for observer in people if observer.score.categories]
    models = [observer for observer in observers if not observer.is_people and observer.score.categories]
    return [*(recorded or people), *models]


def _rows(axes: "Axes", categories: list[str]) -> None:
    axes.set_ylim(max(len(categories), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(categories)), [printable(name, 24) for name in categories])
    axes.set_xlim(0, 1)
    axes.set_xticks([step / 10 for step in range(0, 11, 2)])
    axes.set_xlabel("Fraction of shape decisions (shape bias)")
    axes.set_ylabel("Shape category")
    top = axes.secondary_xaxis("top", functions=(_complement, _complement))
    top.set_xticks([step / 10 for step in range(0, 11, 2)])
    top.set_xlabel("Fraction of texture decisions")
    axes.hlines(range(len(categories)), 0, 1, color="#d9d9d9", linewidth=0.8, zorder=0)
    axes.tick_params(axis="y", length=0, pad=9)
    for side in ("left", "right"):
        axes.spines[side].set_visible(False)


def _complement(fraction: "ArrayLike") -> "NDArray[np.float64]":
    return 1 - np.asarray(fraction, np.float64)


def _draw(axes: "Axes", observer: Observer, categories: list[str], color: str, marker: str) -> "Line2D":
    """Draw one observer's vertical line, interval, and point in each category; return the points for the legend.

    Without categories there are no points, only the marker in the legend.
    """
    mean, (low, high) = observer.score.counts.shape_bias, observer.score.interval
    if not math.isnan(low):
        axes.axvspan(low, high, color=color, alpha=0.12, linewidth=0, zorder=0.5)
    if not math.isnan(mean):
        axes.axvline(mean, color=color, linewidth=1.6, linestyle="-" if observer.is_people else "--", zorder=1)
    biases = [observer.category_bias.get(category, math.nan) for category in categories]
    (points,) = axes.plot(
        biases,
        range(len(categories)),
        linestyle="none",
        marker=marker,
        markersize=8,
        color=color,
        markeredgecolor="white",
        markeredgewidth=0.8,
        clip_on=False,
        zorder=3 if observer.is_people else 2,
    )
    return points


def _label(observer: Observer, drawn: Sequence[Observer]) -> str:
    """Return an observer's name and shape bias for the legend.

    Between them are the source, of people and where two of the `drawn` have one name; `other images` where its figures
    are for others than those of the `drawn`; and how a model's stimuli were prepared. The text begins with a space,
    since matplotlib hides labels that begin with an underscore.
    """
    shares_name = sum(other.name == observer.name for other in drawn) > 1
    source = f", {printable(observer.source, 40)}" if observer.is_people or shares_name else ""
    images = ", other images" if saw_other_images(observer, drawn) else ""
    images += f", {observer.score.stimuli} stimuli" if observer.score.stimuli and not observer.is_people else ""
    mean = observer.score.counts.shape_bias
    number = "undefined" if math.isnan(mean) else f"{mean:.2f}"
    return f" {printable(observer.name, 40)}{source}{images}: {number}"
