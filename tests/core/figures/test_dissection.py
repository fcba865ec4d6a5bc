"""The bars: their heights, and one model beside the other."""

from shapebias.core.analysis.dissection import Detectors
from shapebias.core.figures.dissection import detectors_figure


def counts(model: str, layer: str, detectors: tuple[int, int], unique: tuple[int, int]) -> Detectors:
    names = ("color", "part")
    return Detectors(
        model=model,
        layer=layer,
        units=9,
        undecided=0,
        detectors=dict(zip(names, detectors, strict=True)),
        unique=dict(zip(names, unique, strict=True)),
    )


def test_bars_are_the_counts_and_models_stand_beside_each_other() -> None:
    figure = detectors_figure(
        [
            counts("S", "conv1", detectors=(3, 0), unique=(2, 0)),
            counts("S", "conv2", detectors=(1, 4), unique=(1, 3)),
            counts("_R$", "conv1", detectors=(7, 1), unique=(5, 1)),
        ]
    )
    axes = figure.axes
    heights = [sorted(bar.get_height() for bar in panel.patches) for panel in axes]
    assert heights == [[0, 1, 3, 7], [0, 1, 2, 5], [1, 4], [1, 3]]
    left = {bar.get_height(): bar.get_x() for bar in axes[0].patches}
    assert left[3] < left[7] < left[1]
    assert [axis.get_ylabel() for axis in axes] == ["conv1", "", "conv2", ""]
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["S", "_R$"]


def test_no_layer_is_an_empty_figure() -> None:
    assert len(detectors_figure([]).axes) == 2
