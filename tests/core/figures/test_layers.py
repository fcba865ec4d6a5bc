"""Metrics against depth: one panel per metric, one line per model, at the quartiles of the living units."""

from pathlib import Path

import numpy as np
import pytest

from shapebias.core.analysis.comparison import living
from shapebias.core.figures.layers import depth_figure
from shapebias.core.store.opening import open_store


def test_lines_are_medians_and_bands_quartiles(small_store: Path) -> None:
    store = open_store(small_store)
    figure = depth_figure(store, ["Tiny"], ["smoothness", "max", "coherence"])
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == ["smoothness", "max", "coherence"]
    for axes, metric in zip(panels, ("smoothness", "max", "coherence"), strict=True):
        (line,) = axes.lines
        (band,) = axes.collections
        edges = band.get_paths()[0].vertices
        for number, layer in enumerate(("block1", "block2", "block3")):
            low, median, high = np.percentile(living(store, "Tiny", layer, metric), [25, 50, 75])
            assert line.get_ydata()[number] == pytest.approx(median)
            heights = edges[edges[:, 0] == number, 1]
            assert (heights.min(), heights.max()) == pytest.approx((low, high))
        assert [label.get_text() for label in axes.get_xticklabels()] == ["block1", "block2", "block3"]
