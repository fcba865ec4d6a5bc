"""The figure of robustness: published points are those of the data, and a network stands where it belongs."""

import numpy as np
import pytest

from shapebias.core.analysis.robustness import SHAPE_BIAS, Network, Strength, published_networks
from shapebias.core.errors import UsageError
from shapebias.core.figures.robustness import robustness_figure

R = Network(name="R$", strengths=(Strength("l2", 3.0),), measures={SHAPE_BIAS: 0.6, "edge": 0.3})
MINE = Network(name="Mine", strengths=(), measures={SHAPE_BIAS: 0.4, "R": 0.45})


def test_points_and_lines() -> None:
    figure = robustness_figure([R, MINE])
    bias_l2, bias_linf, sets_l2, sets_linf, variants_l2, _ = figure.axes
    _, trained = published_networks()
    curve = bias_l2.lines[0]
    np.testing.assert_array_equal(curve.get_ydata(), [one.measures[SHAPE_BIAS] for one in trained[:10]])
    np.testing.assert_array_equal(curve.get_xdata(), [0, 0.01, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 3, 5])
    np.testing.assert_array_equal(bias_linf.lines[0].get_xdata(), [0, 0.5, 1, 2, 4, 8])
    drawn = [[(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines] for axes in figure.axes]
    assert ([3.0], [0.6]) in drawn[0]
    assert not any(points == ([3.0], [0.6]) for points in drawn[1]), "it was trained by the other norm"
    assert all(([0, 1], [0.4, 0.4]) in lines for lines in drawn[:2]), "its epsilon is not known"
    assert ([3.0], [0.3]) in drawn[2]
    assert ([0, 1], [0.45, 0.45]) in drawn[4]
    assert [text.get_text() for text in sets_l2.texts] == ["edge"]
    assert [text.get_text() for text in sets_linf.texts] == ["silhouette", "stylized", "edge"]
    assert variants_l2.get_ylabel() == "accuracy on variants\nof ImageNet"
    legend = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert legend[2:] == ["R$", "Mine (epsilon not said)"]


def test_no_network_is_said() -> None:
    with pytest.raises(UsageError, match="precompute it with --cue-conflict, --ood edge=DIR"):
        robustness_figure([])
