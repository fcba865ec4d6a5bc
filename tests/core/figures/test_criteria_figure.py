"""The panels of the criteria: which there are, which points and arrows they have, and what is left out."""

import math
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from shapebias.core.analysis.criteria import Criteria, NetworkCriteria
from shapebias.core.errors import UsageError
from shapebias.core.figures.criteria import criteria_figure
from shapebias.core.uncertainty.interval import UNKNOWN, Interval


def around(mean: float) -> Interval:
    return Interval(mean, mean - 0.05, mean + 0.1)


def network(model: str, accuracy: float | None, ood: float | None, **families: float) -> NetworkCriteria:
    return NetworkCriteria(
        model=model,
        accuracy=UNKNOWN if accuracy is None else around(accuracy),
        ood=UNKNOWN if ood is None else around(ood),
        explainability={family: around(mean) for family, mean in families.items()},
    )


def known(*networks: NetworkCriteria, **changes: Any) -> Criteria:
    families = dict.fromkeys(family for one in networks for family in one.explainability)
    facts: dict[str, Any] = {
        "score": "insertion_max",
        "sets": ("edge", "silhouette"),
        "methods": {family: (f"{family}-method",) for family in families},
        "missing": ("no explainability: precompute it",),
    }
    return Criteria(networks=networks, **(facts | changes))


S = network("S$", 0.9, 0.2, gradient=0.3, cam=0.6, control=0.25)
R = network("R", 0.8, 0.5, gradient=0.5, cam=0.7, control=0.3)


def points(axes: Axes) -> list[tuple[float, float]]:
    """Every point of a panel, without the ends of intervals."""
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines]  # type: ignore[index, arg-type]


def arrows(axes: Axes) -> list[tuple[Any, Any]]:
    return [(text.xyann, text.xy) for text in axes.texts if isinstance(text, Annotation)]


def test_three_panels_with_every_network_and_family() -> None:
    figure = criteria_figure(known(S, R), [("S$", "R")])
    accuracies, of_accuracy, of_ood = figure.axes
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "accuracy",
        "accuracy",
        "OOD accuracy (mean of 2 sets: edge, silhouette)",
    ]
    assert accuracies.get_ylabel() == of_ood.get_xlabel()
    assert of_accuracy.get_ylabel() == of_ood.get_ylabel() == "explainability: insertion / max (higher is better)"
    assert points(accuracies) == [(0.9, 0.2), (0.8, 0.5)]
    assert points(of_accuracy) == [(0.9, 0.3), (0.8, 0.5), (0.9, 0.6), (0.8, 0.7), (0.9, 0.25), (0.8, 0.3)]
    assert points(of_ood) == [(0.2, 0.3), (0.5, 0.5), (0.2, 0.6), (0.5, 0.7), (0.2, 0.25), (0.5, 0.3)]
    assert arrows(accuracies) == [((0.9, 0.2), (0.8, 0.5))]
    assert arrows(of_accuracy) == [((0.9, 0.3), (0.8, 0.5)), ((0.9, 0.6), (0.8, 0.7))], "none between controls"
    legend = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    named = [f"{family} ({method}-method)" for family, method in (("gradient",) * 2, ("CAM", "cam"), ("control",) * 2)]
    assert legend == ["S$", "R", *named, "families of a network: side by side", "standard to robust"]


def test_intervals_are_bars() -> None:
    accuracies, of_accuracy, _ = criteria_figure(known(S), []).axes
    across, up = (container.lines[2][0].get_segments()[0] for container in accuracies.containers)
    assert across[:, 0].tolist() == pytest.approx([0.85, 1.0])
    assert up[:, 1].tolist() == pytest.approx([0.15, 0.3])
    assert len(of_accuracy.containers) == 4, "two of each family, and controls have none"
    without_ends = NetworkCriteria(
        model="Early", accuracy=Interval(0.7, math.nan, math.nan), ood=around(0.3), explainability={}
    )
    [axes] = criteria_figure(known(without_ends), []).axes
    assert [len(container.lines[2]) for container in axes.containers] == [0, 1]


def test_what_is_not_known_is_left_out() -> None:
    """A panel without data, a network without a criterion: never a point at 0."""
    without = network("X", 0.7, None, cam=0.4)
    [axes] = criteria_figure(known(without, sets=()), []).axes
    assert (axes.get_xlabel(), points(axes)) == ("accuracy", [(0.7, 0.4)])
    figure = criteria_figure(known(S, without), [("S$", "X")])
    accuracies, of_accuracy, of_ood = figure.axes
    assert points(accuracies) == [(0.9, 0.2)]
    assert arrows(accuracies) == []
    assert (0.7, 0.4) in points(of_accuracy)
    assert len(arrows(of_accuracy)) == 1, "by the family that both have"
    assert points(of_ood) == [(0.2, 0.3), (0.2, 0.6), (0.2, 0.25)]
    assert figure.legends[0].get_texts()[1].get_text().strip() == "X (no OOD accuracy)"


def test_nothing_to_draw_is_said() -> None:
    for lacking in (network("X", 0.7, None), network("X", None, None, cam=0.4), network("X", 0.7, None, control=0.4)):
        with pytest.raises(UsageError, match="two of the three criteria; no explainability: precompute it"):
            criteria_figure(known(lacking), [])


def test_many_networks_look_different_and_small_differences_small() -> None:
    networks = [network(f"N{number}", 0.7 + number / 1e4, 0.5, gradient=0.5) for number in range(13)]
    figure = criteria_figure(known(*networks), [])
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[0].lines}
    assert len(looks) == 13
    low, high = figure.axes[0].get_xlim()
    assert high - low >= 0.1
