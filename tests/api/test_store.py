"""Stores, units and tables from Python: the numbers of the commands."""

import base64
import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shapebias
from shapebias.core.store.opening import open_store
from tests.support.cli import succeeds

pytestmark = pytest.mark.slow


def printed(*arguments: object) -> Any:
    return json.loads(succeeds(*arguments))


def test_units_are_those_of_the_command(pair: shapebias.Store) -> None:
    condition = "layer = conv5 and top 10% selectivity"
    units = pair.units(condition, sort="smoothness", ascending=True)
    wanted = printed(
        "units", pair.path, "--filter", condition, "--sort", "smoothness", "--ascending", "--format", "json"
    )
    assert units.to_records() == wanted
    assert [unit.name for unit in units] == [f"{one['model']}/{one['layer']}/{one['unit']}" for one in wanted]
    for name in ("smoothness", "max", "tv_shift", "iou"):
        np.testing.assert_array_equal(units[name], np.array([one[name] for one in wanted], np.float32))


def test_the_frames_hold_the_same(pair: shapebias.Store, tmp_path: Path) -> None:
    units = pair.units("layer = conv5")
    frame, arrow, polars = units.to_pandas(), units.to_arrow(), units.to_polars()
    succeeds("units", pair.path, "--filter", "layer = conv5", "--format", "parquet", "-o", tmp_path / "units.parquet")
    parquet = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "units.parquet")
    assert arrow.equals(parquet)
    assert frame.columns.tolist() == polars.columns == arrow.column_names == units.columns
    assert polars.to_dict(as_series=False) == arrow.to_pydict()
    for name in units.columns:
        column = units[name]
        assert frame[name].tolist() == column.tolist() or np.isnan(column.astype(np.float64)).any()
        if column.dtype != object:
            np.testing.assert_array_equal(frame[name].to_numpy(), column)


def test_slices_and_rows(pair: shapebias.Store) -> None:
    units = pair.units(sort="max")
    assert len(units) == len(units.to_pandas()) == 512
    assert [unit.name for unit in units[2:8:3]] == [units[2].name, units[5].name]
    assert units[-1].name == units[511].name
    assert units[:0].to_records() == []
    with pytest.raises(IndexError):
        units[512]
    units["max"][:] = 0  # a copy
    assert units["max"][0] > 0


def test_a_unit_is_what_the_store_holds(pair: shapebias.Store, pair_folder: Path) -> None:
    unit, store = pair.unit("R/conv5/42"), open_store(pair_folder / "pair.zarr")
    (known,) = printed("units", pair.path, "--filter", "model=R and layer=conv5 and unit=42", "--format", "json")
    metrics = {name: value for name, value in unit.metrics.items() if value == value and value != ""}
    assert metrics == {name: known[name] for name in metrics}
    top = [{key: row[key] for key in ("image", "value", "y", "x")} for row in unit.top_images]
    assert top == known["top"]
    for kind in ("max", "mean"):
        stored = store.activations("R", "conv5", kind)[:, 42].astype(np.float32)
        np.testing.assert_array_equal(unit.activations(kind), stored)
    best = int(unit.activations().argmax())
    assert pair.images()[best]["image"] == known["top"][0]["image"]
    assert unit.concepts[0]["iou"] == pytest.approx(unit.metrics["iou"])
    assert unit.concepts[0]["concept"] == unit.metrics["concept"]
    twins = printed("twins", pair.path, unit.name, "--json")
    assert list(unit.twins()) == twins


def test_the_grid_is_the_picture_that_show_writes(pair: shapebias.Store, tmp_path: Path) -> None:
    succeeds("show", pair.path, "R/conv5/42", "--view", "crop", "-o", tmp_path / "unit.png")
    grid = pair.unit("R/conv5/42").grid(view="crop")
    assert grid.tobytes() == Image.open(tmp_path / "unit.png").tobytes()


def test_accuracy_shape_bias_and_comparison_are_those_of_the_commands(pair: shapebias.Store) -> None:
    facts = printed("info", pair.path, "--json")
    assert list(pair.accuracy()) == [one for model in facts["models"] for one in model["accuracy"]]
    for row, model in zip(pair.shape_bias(), facts["models"], strict=True):
        known = model["cue_conflict"]
        bias = math.nan if known["shape_bias"] is None else known["shape_bias"]
        assert (row["model"], row["shape"], row["texture"], row["other"]) == (
            *(model["label"], known["shape"], known["texture"], known["other"]),
        )
        np.testing.assert_equal(row["shape_bias"], bias)
    categories = pair.shape_bias(by_category=True)
    assert sum(categories["shape"]) == sum(pair.shape_bias()["shape"])
    comparison = pair.compare("S", "R", metrics=["smoothness", "tv_shift"])
    options = ("S", "R", "--metric", "smoothness", "--metric", "tv_shift")
    assert comparison.record == printed("compare", pair.path, *options, "--json")
    assert str(comparison) == succeeds("compare", pair.path, *options)
    assert comparison.layers["difference"].tolist() == [row["difference"] for row in comparison.record["layers"]]
    assert pair.info() == facts


def test_several_stores_open_as_one(pair: shapebias.Store, small_store: Path) -> None:
    both = shapebias.open(pair.path, small_store)
    assert both.models == ["S", "R", "Tiny"]
    assert len(both.images()) == 98
    assert len(both.images("Tiny")) == len(both.unit("Tiny/block1/0").activations()) == 50
    assert both.unit("Tiny/block1/0").top_images[0]["image"] in set(both.images("Tiny")["image"])
    assert both.unit("Tiny/block1/0").concepts.to_pandas().empty


def test_notebooks_show_it(pair: shapebias.Store) -> None:
    card = pair.unit("R/conv5/42")._repr_html_()
    start = card.index("base64,") + len("base64,")
    picture = Image.open(BytesIO(base64.b64decode(card[start : card.index('"', start)])))
    assert picture.size == (500, 232)
    assert len(card) < 60_000
    table = pair.units(sort="smoothness")._repr_html_()
    assert table.count("<tr>") == 21
    assert table.endswith("… 512 rows")
    assert "demo" not in repr(pair)
    assert "S: small" in pair._repr_html_()
    assert "<pre>" in pair.compare()._repr_html_()


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda store: store.unit("R/conv5/999"), "R/conv5 has units 0 to 159, not 999"),
        (lambda store: store.unit("R"), "R is not a unit: write MODEL/LAYER/INDEX, such as S/conv4/0"),
        (lambda store: store.layers("X"), "no model X: there are S, R"),
        (lambda store: store.images("X"), "no model X: there are S, R"),
        (lambda store: store.units("smoothness >"), "the end where a value is expected at column 13"),
        (lambda store: store.units()["nothing"], "no column nothing: there are model, layer"),
        (
            lambda store: store.unit("R/conv5/1").activations("median"),
            "no activations of kind median: there are max, mean",
        ),
        (lambda store: store.unit("R/conv5/1").grid("side"), "no --view side: crop, mask, whole"),
        (lambda store: store.compare("S", "S"), "S is compared with itself: name two different models"),
        (lambda store: shapebias.open(), "name a store"),
    ],
)
def test_mistakes_are_one_line(pair: shapebias.Store, ask: Any, line: str) -> None:
    with pytest.raises(shapebias.errors.UsageError) as caught:
        ask(pair)
    assert str(caught.value).startswith(line)
    assert str(caught.value).isprintable()


def test_a_store_without_activations_says_so(make_store: Any, tmp_path: Path) -> None:
    store = shapebias.open(make_store(tmp_path / "none.zarr", activations="none", limit=8))
    with pytest.raises(shapebias.errors.UsageError, match="the store keeps no max activations of Tiny"):
        store.unit("Tiny/block1/0").activations()
    assert len(store.shape_bias()) == 0
