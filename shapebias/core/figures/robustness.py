"""The figure of shape bias and accuracy out of distribution against epsilon, for published networks and a store's."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from shapebias.core.analysis.robustness import (
    L2,
    LINF,
    NORMS,
    SETS,
    SHAPE_BIAS,
    VARIANTS,
    Network,
    published_networks,
)
from shapebias.core.errors import UsageError
from shapebias.core.figures.output import MODELS
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = {  # for each row of panels the label of its axis, and the names of its measures
    "shape bias": (SHAPE_BIAS,),
    "accuracy among\nsixteen categories": SETS,
    "accuracy on variants\nof ImageNet": tuple(VARIANTS),
}
_STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
_GREY = "#8a8a8a"
_GROUND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3}  # of a text over lines
_AXES = {  # for each norm the label of the axis, where the axis becomes logarithmic, and its ticks
    L2: ("epsilon, l2, pixels in [0, 1]", 0.01, (0, 0.01, 0.1, 1, 5)),
    LINF: ("epsilon, linf, 255ths", 0.5, (0, 0.5, 1, 2, 4, 8)),
}


def robustness_figure(networks: Sequence[Network]) -> "Figure":
    """Draw the published networks as lines against epsilon, one column per norm, and a store's own networks over them.

    Rows of panels are the shape bias, accuracies among sixteen categories, and accuracies on variants of ImageNet. For
    every measure, a network of `own` is a point at its strength, or if that is unknown, a horizontal line. Raises
    UsageError without networks (those of `networks_of` all have a measurement).
    """
    from matplotlib.figure import Figure

    if not networks:
        raise UsageError(
            "no model of this store decided among the sixteen categories, or for a variant of ImageNet: precompute it "
            "with --cue-conflict, --ood edge=DIR, silhouette or stylized, or --variant R=DIR"
        )
    torchvision, trained = published_networks()
    figure = Figure(figsize=(8.4, 8.4), layout="constrained")
    grid = figure.subplots(len(_ROWS), len(NORMS), sharex="col", sharey="row", squeeze=False)
    for axes_row, (name, measures) in zip(grid, _ROWS.items(), strict=True):
        for axes, norm in zip(axes_row, NORMS, strict=True):
            _draw_published(axes, torchvision, trained, measures=measures, norm=norm)
            for network, (color, marker) in zip(networks, cycle(MODELS), strict=False):
                _draw_network(axes, network, measures, norm, color=color, marker=marker)
        axes_row[0].set_ylabel(name)
    for axes, norm in zip(grid[-1], NORMS, strict=True):
        label, threshold, ticks = _AXES[norm]
        axes.set_xscale("symlog", linthresh=threshold, linscale=0.6)
        axes.set_xlim(-threshold / 3, 1.2 * ticks[-1])
        axes.set_xlabel(label)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    _legend(figure, networks)
    return figure


def _draw_published(
    axes: "Axes", torchvision: Network, trained: Sequence[Network], *, measures: Sequence[str], norm: str
) -> None:
    """Draw one line per measure through the published networks of a norm, and torchvision's as a cross at epsilon 0.

    `trained` are sorted by strength.
    """
    points = [
        (strength.epsilon, network) for network in trained for strength in network.strengths if strength.norm == norm
    ]
    for measure, style in zip(measures, _STYLES, strict=False):
        epsilons, values = zip(*((epsilon, network.measures[measure]) for epsilon, network in points), strict=True)
        axes.plot(epsilons, values, linestyle=style, color=_GREY, marker=".", markersize=5, zorder=1)
        if norm == NORMS[-1] and len(measures) > 1:
            label, end = VARIANTS.get(measure, measure), (epsilons[-1], values[-1])
            axes.annotate(label, end, (8, -2), textcoords="offset points", fontsize=7, color="#555555")
        axes.plot([0], [torchvision.measures[measure]], marker="x", color=_GREY, markersize=6, zorder=1)
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_network(
    axes: "Axes", network: Network, measures: Sequence[str], norm: str, *, color: str, marker: str
) -> None:
    """Draw one of the store's networks for each measure that it has: a point at its epsilon, or where that is unknown,
    a line across in the measure's style. A network of the other norm is not drawn.
    """
    at = [strength.epsilon for strength in network.strengths if strength.norm == norm]
    for measure, style in zip(measures, _STYLES, strict=False):
        value = network.measures.get(measure)
        if value is None:
            continue
        if not network.strengths:
            axes.axhline(value, linestyle=style, color=color, linewidth=1.3, zorder=2)
        for epsilon in at:
            axes.plot([epsilon], [value], marker=marker, color=color, markersize=7, markeredgecolor="white", zorder=3)
            if len(measures) > 1:
                axes.annotate(
                    measure,
                    (epsilon, value),
                    (5, -3),
                    textcoords="offset points",
                    fontsize=6,
                    color=color,
                    bbox=_GROUND,
                )


def _legend(figure: "Figure", networks: Sequence[Network]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=_GREY, marker=".", label="ResNet-50, Gavrikov & Keuper 2024"),
        Line2D([], [], color=_GREY, marker="x", linestyle="none", label="torchvision's ResNet-50, the same"),
    ]
    for network, (color, marker) in zip(networks, cycle(MODELS), strict=False):
        has_attack = bool(network.strengths)
        label = f" {printable(network.name, 40)}" + ("" if has_attack else " (epsilon not said)")
        handle = Line2D([], [], color=color, marker=marker, linestyle="none", label=label)
        if not has_attack:
            handle.set(marker="", linestyle="-")
        handles.append(handle)
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
