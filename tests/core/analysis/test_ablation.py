"""The summary of ablation scores, and its figure."""

from pathlib import Path

import numpy as np
import pytest

from shapebias.core.analysis.ablation import (
    LayerAblation,
    ablation_records,
    ablation_text,
    check_ablated,
    layer_ablations,
)
from shapebias.core.errors import ShapebiasError
from shapebias.core.figures.ablation import ablation_figure
from shapebias.core.figures.output import save_figure
from shapebias.core.shape_bias.decisions import Counts
from shapebias.core.store.opening import open_store


def layer(model: str, name: str, shape: list[int], texture: list[int]) -> LayerAblation:
    decided = Counts(10, 50, 40) if model == "S" else Counts(100, 80, 20)
    return LayerAblation(model, name, np.array(shape, np.float32), np.array(texture, np.float32), decided)


S = layer("S", "conv1", [0, 3, 0, 3, 1], [0, 0, 7, 2, 9])
R = layer("R", "conv1", [0, 0, 0, 0, 0], [1, 0, 0, 0, 0])
LARGE = layer("R", "conv1", [0, 90, 0, 0, 0], [0, 70, 0, 0, 0])


def test_the_most_responsible_units_and_the_shares() -> None:
    first, second = ablation_records([S, R])
    assert first["shape"] == [
        {"unit": 1, "score": 3, "share": pytest.approx(0.3)},
        {"unit": 3, "score": 3, "share": pytest.approx(0.3)},
        {"unit": 4, "score": 1, "share": pytest.approx(0.1)},
    ]
    assert (first["shape_decisions"], first["texture_decisions"]) == (10, 50)
    assert [unit["share"] for unit in first["texture"]] == pytest.approx([9 / 50, 7 / 50, 2 / 50])
    assert [record["unit"] for record in first["texture"]] == [4, 2, 3]
    assert (first["shape_total"], first["texture_total"]) == (7, 18)
    assert (first["without_shape"], first["without_texture"], first["without_either"]) == (0.4, 0.4, 0.2)
    assert second["shape"] == []
    assert second["without_either"] == 0.8


def test_the_table() -> None:
    first, second = (line.split() for line in ablation_text([S, R]).splitlines()[1:])
    assert first[:8] == ["conv1", "S", "5", "40%", "40%", "20%", "10", "50"]
    assert " ".join(first[8:]) == "1:3 (30%) 3:3 (30%) 4:1 (10%) 4:9 (18%) 2:7 (14%) 3:2 (4%)"
    assert second == ["conv1", "R", "5", "100%", "80%", "80%", "100", "80", "–", "0:1", "(1%)"]


def test_shares_of_a_model_that_never_decides_by_shape_are_0() -> None:
    never = LayerAblation("S", "conv1", np.zeros(3, np.float32), np.ones(3, np.float32), Counts(0, 4, 0))
    assert never.shape_share.tolist() == [0, 0, 0]
    assert never.texture_share.tolist() == [0.25, 0.25, 0.25]


def test_a_store_without_scores(small_store: Path) -> None:
    store = open_store(small_store)
    assert layer_ablations(store) == []
    with pytest.raises(ShapebiasError, match="has no ablation scores"):
        check_ablated(store, [])


def test_the_figure_has_a_panel_for_each_layer_that_there_is(tmp_path: Path) -> None:
    figure = ablation_figure([S, LARGE, layer("S", "a_very$odd\x1bname", [1, 2], [2, 1])])
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["S: conv1", "S: a_very$odd\\x1bname", "R: conv1"]
    points = panels[0].collections[0].get_offsets()
    percent = sorted({(100 * x / 50, 100 * y / 10) for x, y in ((0, 0), (0, 3), (7, 0), (2, 3), (9, 1))})
    np.testing.assert_allclose(sorted(map(tuple, np.asarray(points).tolist())), percent, rtol=1e-6)
    for axes in panels:
        for x, y in np.asarray(axes.collections[0].get_offsets()):
            assert axes.get_xlim()[0] < x < axes.get_xlim()[1]
            assert axes.get_ylim()[0] < y < axes.get_ylim()[1]
    assert panels[0].get_xlim() == panels[2].get_xlim()  # S and R on one scale
    save_figure(figure, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 5000


def test_layers_can_stand_below_one_another() -> None:
    figure = ablation_figure([S, R], upright=True)
    rows = [axes.get_subplotspec().rowspan.start for axes in figure.axes]
    assert rows == [0, 0]
    assert len({tuple(axes.collections[0].get_facecolor()[0]) for axes in figure.axes}) == 2
