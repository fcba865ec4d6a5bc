"""The figure of the three criteria: accuracy, accuracy out of distribution and explainability, networks as points."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

from shapebias.core.analysis.criteria import Criteria, NetworkCriteria, family_title, ood_text
from shapebias.core.attribution.methods import CONTROL
from shapebias.core.attribution.scores import SCORES
from shapebias.core.errors import UsageError
from shapebias.core.figures.output import MODELS
from shapebias.core.text import printable
from shapebias.core.uncertainty.interval import UNKNOWN, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Transform

_FILLS = ("full", "none", "bottom", "left")  # how a family's markers are filled, as Matplotlib names it
_GREY = "#6a6a6a"
_NAMED = 3  # the legend names at most so many methods of a family, an axis at most so many sets; of more, the number
_LEAST_SPAN = 0.1  # smallest range of an axis, so that no small difference looks large
_APART = 7.0  # distance in points (1/72 inch) between a network's families, so that they do not hide one another

Value = Callable[[NetworkCriteria], Interval]


class _Points(NamedTuple):
    """The way in which networks are drawn as points, one for each network.

    across, up:  functions from a network to its coordinates
    fill:        how the markers are filled, as Matplotlib names it
    shift:       how far to the right they are drawn, in points (1/72 inch)
    is_control:  whether a control gave the maps: then the points are ticks
    """

    across: Value
    up: Value
    fill: str = "full"
    shift: float = 0.0
    is_control: bool = False

    def of(self, network: NetworkCriteria) -> tuple[Interval, Interval] | None:
        """Return the coordinates of a network; None where one of the two is unknown."""
        across, up = self.across(network), self.up(network)
        return (across, up) if across.is_known and up.is_known else None


class _Panel(NamedTuple):
    across: str
    up: str
    points: list[_Points]


def criteria_figure(results: Criteria, pairs: Sequence[tuple[str, str]]) -> "Figure":
    """Draw networks as points with their 95 % intervals, one panel for every two criteria.

    The criteria are accuracy, accuracy out of distribution, and explainability, for which a network has one point per
    family of methods. An arrow leads from the first to the second of each of `pairs` (labels of networks). Ticks mark
    controls, whose maps do not depend on the network. A panel without a point (ticks do not count) is left out. Raises
    UsageError where none is left.
    """
    from matplotlib.figure import Figure

    panels = [panel for panel in _panels(results) if _has_points(panel, results)]
    if not panels:
        raise UsageError(f"no network has two of the three criteria; {'; '.join(results.missing)}")
    legend_lines = len(results.networks) // 4 + len(results.methods)
    size = (0.4 + 3.7 * max(len(panels), 2), 3.7 + 0.16 * legend_lines)
    figure = Figure(figsize=size, layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for points in panel.points:
            _draw(axes, points, results)
            _join(axes, points, results, pairs)
        _finish(axes, panel, results)
    _legend(figure, results, pairs)
    return figure


def _panels(results: Criteria) -> list[_Panel]:
    score = SCORES[results.score]
    better = "higher" if score.higher else "lower"
    accuracy, ood = "accuracy", f"OOD accuracy ({_sets_text(results)})"
    explainability = f"explainability: {score.title} ({better} is better)"
    fills = dict(zip(results.methods, cycle(_FILLS), strict=False))
    middle = (len(set(fills) - {CONTROL}) - 1) / 2

    def against(across: Value) -> list[_Points]:
        return [
            _Points(across, _explainability_by(CONTROL), is_control=True)
            if family == CONTROL
            else _Points(across, _explainability_by(family), fill, _APART * (number - middle))
            for number, (family, fill) in enumerate(fills.items())
        ]

    return [
        _Panel(accuracy, ood, [_Points(_accuracy, _ood)]),
        _Panel(accuracy, explainability, against(_accuracy)),
        _Panel(ood, explainability, against(_ood)),
    ]


def _accuracy(network: NetworkCriteria) -> Interval:
    return network.accuracy


def _ood(network: NetworkCriteria) -> Interval:
    return network.ood


def _explainability_by(family: str) -> Value:
    return lambda network: network.explainability.get(family, UNKNOWN)


def _sets_text(results: Criteria) -> str:
    return ood_text(results) if len(results.sets) <= _NAMED else f"mean of {len(results.sets)} sets"


def _has_points(panel: _Panel, results: Criteria) -> bool:
    return any(points.of(network) for points in panel.points if not points.is_control for network in results.networks)


def _colours_and_markers(results: Criteria) -> dict[str, tuple[str, str]]:
    """Return a colour and a marker for each network; up to 36 of them differ."""
    return {
        network.model: (MODELS[number % len(MODELS)][0], MODELS[(number + number // len(MODELS)) % len(MODELS)][1])
        for number, network in enumerate(results.networks)
    }


def _draw(axes: "Axes", points: _Points, results: Criteria) -> None:
    for network, (color, marker) in zip(results.networks, _colours_and_markers(results).values(), strict=True):
        position = points.of(network)
        if position is None:
            continue
        across, up = position
        if points.is_control:
            axes.plot([across.mean], [up.mean], marker="_", color=color, markersize=26, markeredgewidth=1.4)
            continue
        axes.errorbar([across.mean], [up.mean], xerr=_bars(across), color=color, elinewidth=0.9, fmt="none")
        axes.errorbar(
            [across.mean],
            [up.mean],
            yerr=_bars(up),
            color=color,
            marker=marker,
            markersize=7,
            markerfacecoloralt="white",
            elinewidth=0.9,
            fillstyle=points.fill,
            transform=_shifted(axes, points.shift),
        )


def _shifted(axes: "Axes", points: float) -> "Transform":
    """Return the transform that draws values `points` (1/72 inch) to the right of their position."""
    from matplotlib.transforms import ScaledTranslation

    figure = axes.get_figure()
    assert figure is not None
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _bars(value: Interval) -> tuple[list[float], list[float]] | None:
    """Return how far an interval extends below and above its mean, as Matplotlib's error bars; None for no ends."""
    return ([value.mean - value.low], [value.high - value.mean]) if value.has_ends else None


def _join(axes: "Axes", points: _Points, results: Criteria, pairs: Sequence[tuple[str, str]]) -> None:
    """Draw an arrow for each pair (of networks' labels) of which both points exist; none between ticks."""
    positions = {} if points.is_control else {network.model: points.of(network) for network in results.networks}
    for pair in pairs:
        start, end = (positions.get(model) for model in pair)
        if start is not None and end is not None:
            axes.annotate(
                "",
                xy=(end[0].mean, end[1].mean),
                xytext=(start[0].mean, start[1].mean),
                xycoords=_shifted(axes, points.shift),
                arrowprops={"arrowstyle": "->", "color": _GREY, "linewidth": 1, "shrinkA": 6, "shrinkB": 6},
            )


def _finish(axes: "Axes", panel: _Panel, results: Criteria) -> None:
    positions = [points.of(network) for points in panel.points for network in results.networks]
    across, up = zip(*(position for position in positions if position is not None), strict=True)
    axes.set_xlim(_limits(across))
    axes.set_ylim(_limits(up))
    axes.set_xticks([tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= min(axes.get_xlim()[1], 1)])
    axes.set_yticks([tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= min(axes.get_ylim()[1], 1)])
    axes.set_xlabel(panel.across, fontsize=9, parse_math=False)
    axes.set_ylabel(panel.up, fontsize=9, parse_math=False)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _limits(values: Sequence[Interval]) -> tuple[float, float]:
    """Return the ends of an axis for fractions, with room beside their intervals; `values` have a known mean."""
    ends = [end for value in values for end in (value.mean, value.low, value.high) if end == end]
    low, high = min(ends), max(ends)
    lacking = max(_LEAST_SPAN - (high - low), 0.0)
    low, high = low - lacking / 2, high + lacking / 2
    beyond = max(high - 1, 0.0) + min(low, 0.0)
    margin = 0.1 * (high - low)
    return low - beyond - margin, high - beyond + margin


def _legend(figure: "Figure", results: Criteria, pairs: Sequence[tuple[str, str]]) -> None:
    """Draw the legend: networks with what they lack, families with their methods, and the meaning of arrows."""
    from matplotlib.lines import Line2D

    def handle(label: str, color: str, marker: str, **style: Any) -> "Line2D":
        facts: dict[str, Any] = {"linestyle": "none", "markerfacecoloralt": "white", "markersize": 7}
        return Line2D([], [], label=f" {label}", color=color, marker=marker, **facts, **style)

    handles = [
        handle(f"{printable(network.model, 40)}{_lacking_text(network, results)}", color, marker)
        for network, (color, marker) in zip(results.networks, _colours_and_markers(results).values(), strict=True)
    ]
    for (family, methods), fill in zip(results.methods.items(), cycle(_FILLS), strict=False):
        names = (
            ", ".join(printable(name, 24) for name in methods) if len(methods) <= _NAMED else f"{len(methods)} methods"
        )
        marker = {"marker": "_"} if family == CONTROL else {"marker": "o", "fillstyle": fill}
        handles.append(handle(f"{family_title(family)} ({names})", _GREY, **marker))
    if len(set(results.methods) - {CONTROL}) > 1:
        handles.append(handle("families of a network: side by side", _GREY, ""))
    if pairs:
        handles.append(handle("standard to robust", _GREY, r"$\rightarrow$"))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _lacking_text(network: NetworkCriteria, results: Criteria) -> str:
    """Return which of the criteria a network lacks that others have, in parentheses; empty where it lacks none."""
    lacking = [
        name
        for name, value in {"accuracy": _accuracy, "OOD accuracy": _ood}.items()
        if not value(network).is_known and any(value(other).is_known for other in results.networks)
    ]
    if results.methods and not network.explainability:
        lacking.append("explainability")
    return f" (no {', no '.join(lacking)})" if lacking else ""
