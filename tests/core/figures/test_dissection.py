"""The bars: their heights, and one model beside the other."""

from shapebias.core.analysis.dissection import Detectors
from shapebias.core.figures.dissection import detectors_figure


def test_bars_are_the_counts_and_models_stand_beside_each_other() -> None:
    found = [
        Detectors("S", "conv1", 9, {"color": 3, "part": 0}, {"color": 2, "part": 0}),
        Detectors("S", "conv2", 9, {"color": 1, "part": 4}, {"color": 1, "part": 3}),
        Detectors("_R$", "conv1", 9, {"color": 7, "part": 1}, {"color": 5, "part": 1}),
    ]
    figure = detectors_figure(found)
    axes = figure.axes
    heights = [sorted(bar.get_height() for bar in each.patches) for each in axes]
    assert heights == [[0, 1, 3, 7], [0, 1, 2, 5], [1, 4], [1, 3]]
    left = {bar.get_height(): bar.get_x() for bar in axes[0].patches}
    assert left[3] < left[7] < left[1]
    assert [axis.get_ylabel() for axis in axes] == ["conv1", "", "conv2", ""]
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["S", "_R$"]


def test_no_layer_is_an_empty_figure() -> None:
    assert len(detectors_figure([]).axes) == 2
