"""Reading a store: what is in it, and that damage is an error of one line, never wrong numbers or another exception."""

import contextlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.pictures.tiles import View
from shapebias.core.pictures.unit_picture import unit_picture
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Unit
from shapebias.core.text import printable
from shapebias.core.units.table import load_units, unit_records
from shapebias.tui.show import unit_text
from tests.support.damaged_store import attributes, flip, one_line

EXAMPLES = 25
MODEL = "models/Tiny"


# --- what it holds ---------------------------------------------------------------------------------------------------


def test_images_labels_and_classes(small_store: Path) -> None:
    store = open_store(small_store)
    assert len(store.image_paths) == len(store.labels) == 50
    assert store.image_paths[0] == b"class0/image0.png"
    np.testing.assert_array_equal(store.labels, np.repeat(np.arange(10), 5))
    assert store.class_names == [f"class{number}" for number in range(10)]
    assert store.class_of(12) == "class2"
    assert store.image_name(12) == "class2/image2.png"
    assert store.skipped == []


def test_models_layers_and_metrics(small_store: Path) -> None:
    store = open_store(small_store)
    assert list(store.models) == ["Tiny"]
    assert {name: info.units for name, info in store.layers("Tiny").items()} == {
        "block1": 16,
        "block2": 21,
        "block3": 33,
    }
    names = store.metric_names("Tiny", "block2")
    assert names[:5] == ["smoothness", "coherence", "class_diversity", "visual_diversity", "selectivity"]
    assert names[5:] == [
        "selectivity_mean",
        "sparsity",
        "max",
        "tied",
        "mean",
        "std",
        "q995",
        "tv",
        "filter_smoothness",
    ]
    assert store.metric("Tiny", "block2", "max").dtype == np.float32


def test_a_top_list_is_one_row_of_the_layers_lists(small_store: Path) -> None:
    store = open_store(small_store)
    for index in (0, 20):
        top = store.top(Unit("Tiny", "block2", index))
        np.testing.assert_array_equal(top.value, store.top_lists("Tiny", "block2", "value")[index])
        np.testing.assert_array_equal(top.image, store.top_lists("Tiny", "block2", "image")[index])
        np.testing.assert_array_equal(top.position, store.top_lists("Tiny", "block2", "position")[index])
        assert top.map.shape == (6, 8, 8)


def test_units_are_found_by_name(small_store: Path) -> None:
    store = open_store(small_store)
    assert store.unit("Tiny/block3/32") == Unit("Tiny", "block3", 32)
    assert str(store.unit("Tiny/block1/0")) == "Tiny/block1/0"
    assert store.unit("block3/32") == Unit("Tiny", "block3", 32), "in a store of one model"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "MODEL/LAYER/INDEX"),
        ("Tiny", "MODEL/LAYER/INDEX"),
        ("Tiny/block1", "MODEL/LAYER/INDEX"),
        ("Tini/block1/0", "did you mean Tiny"),
        ("Tiny/blok1/0", "did you mean block1"),
        ("Tiny/block1/16", "0 to 15"),
        ("Tiny/block1/-1", "0 to 15"),
        ("Tiny/block1/x", "0 to 15"),
        ("Tiny/block1/²", "0 to 15"),
        ("Tiny/block1/", "0 to 15"),
        ("Tiny/block1/\x1b[31m", "0 to 15"),
        ("\x1b[31m/block1/1", "no model"),
        ("Tiny/block1/" + "9" * 5000, "0 to 15"),
    ],
)
def test_a_unit_that_is_not_there(small_store: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        open_store(small_store).unit(name)
    assert said in one_line(error)


def test_an_image_without_a_thumbnail_is_damage(small_store: Path) -> None:
    store = open_store(small_store)
    with pytest.raises(StoreError) as error:
        store.thumbnail("Tiny", 1_000)
    assert "damaged" in one_line(error)
    with pytest.raises(StoreError):
        store.image_name(50)


def test_labels_of_images_without_one(make_store: Callable[..., Path], image_folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    shutil.copytree(image_folder / "class1", flat)
    store = open_store(make_store(tmp_path / "flat.zarr", images=str(flat)))
    assert (store.labels == -1).all()
    assert store.class_of(0) == ""
    assert "selectivity" not in store.metric_names("Tiny", "block1")
    assert store.models["Tiny"].top1 is None
    assert "no labels" in store_text(store)


# --- damage ----------------------------------------------------------------------------------------------------------


def use_everything(path: Path) -> None:
    """Read everything that `info`, `units --format json` and `show -o` read, and all of the activations."""
    store = open_store(path)
    table = load_units(store)
    store_text(store)
    json.dumps(store_facts(store))
    json.dumps(unit_records(store, table), allow_nan=False)
    for number, row in enumerate((0, len(table) // 2, len(table) - 1)):
        unit = table.unit(row)
        unit_text(store, unit)
        unit_picture(store, unit, list(View)[number], 16)
    for model in store.models:
        store.cue_conflict(model)
        for layer in store.layers(model):
            for kind in ("max", "mean"):
                store.activations(model, layer, kind)
                store.layer_read(model, layer, f"activations/{kind}")


@pytest.mark.slow
@pytest.mark.parametrize("group", ["", "images/probe", "models", MODEL, f"{MODEL}/metrics", f"{MODEL}/top/image"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "other", "removed", "a list", "a folder"])
def test_a_damaged_zarr_json(store_copy: Path, group: str, damage: str) -> None:
    path = store_copy / group / "zarr.json"
    text = path.read_text()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "removed":
        path.write_text(
            {"truncated": text[: len(text) // 2], "empty": "", "other": '{"zarr_format": 3}', "a list": "[]"}[damage]
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(StoreError) as error:
            use_everything(store_copy)
    one_line(error)


CHUNKS = [
    f"{MODEL}/metrics",
    f"{MODEL}/top/value",
    f"{MODEL}/top/image",
    f"{MODEL}/top/position",
    f"{MODEL}/top/map/8x8",
    f"{MODEL}/activations/max",
    f"{MODEL}/activations/mean",
    "images/probe/label",
    "images/probe/path/data",
    "images/probe/path/offsets",
    "images/probe/thumbnails/resize40-crop32-bicubic/data",
    "images/probe/thumbnails/resize40-crop32-bicubic/offsets",
    "images/probe/thumbnails/resize40-crop32-bicubic/image",
]


def chunks(array: Path) -> list[Path]:
    return sorted(file for file in array.rglob("*") if file.is_file() and file.name != "zarr.json")


@pytest.mark.parametrize("array", CHUNKS)
def test_a_flipped_bit_in_a_chunk_is_found(store_copy: Path, array: str) -> None:
    for file in chunks(store_copy / array):
        original = file.read_bytes()
        for at in {0, 5, len(original) // 2, len(original) - 1, len(original) - 5}:
            file.write_bytes(original)
            flip(file, at, 3)
            with pytest.raises(StoreError) as error:
                open_store(store_copy).read(array)
            assert "damaged" in one_line(error)


@pytest.mark.parametrize("array", CHUNKS)
def test_a_truncated_or_missing_chunk_is_found(store_copy: Path, array: str) -> None:
    for file in chunks(store_copy / array):
        original = file.read_bytes()
        for kept in (0, 3, len(original) // 2, len(original) - 1):
            file.write_bytes(original[:kept])
            with pytest.raises(StoreError):
                open_store(store_copy).read(array)
        file.unlink()
        with pytest.raises(StoreError):
            open_store(store_copy).read(array)


@pytest.mark.parametrize("array", CHUNKS)
def test_a_removed_array_is_found(store_copy: Path, array: str) -> None:
    shutil.rmtree(store_copy / array)
    with pytest.raises(StoreError):
        open_store(store_copy).read(array)


def test_an_error_says_of_which_store_where_and_what(store_copy: Path) -> None:
    array = f"{MODEL}/metrics"
    flip(chunks(store_copy / array)[0])
    with pytest.raises(StoreError) as error:
        open_store(store_copy).read(array)
    assert (error.value.path, error.value.where) == (store_copy, array)
    assert str(error.value) == f"{printable(str(store_copy))} is damaged at {array}: {error.value.problem}"


def test_an_error_of_a_whole_store_has_no_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        open_store(tmp_path / "none")
    assert (error.value.path, error.value.where, error.value.problem) == (tmp_path / "none", "", str(error.value))


def test_offsets_that_do_not_fit_are_damage(store_copy: Path) -> None:
    path = "images/probe/path"
    group = zarr.open_group(store_copy, mode="a")
    offsets = np.asarray(group[f"{path}/offsets"][:])
    for wrong in (offsets[::-1], offsets + 1, offsets * 2, np.where(np.arange(len(offsets)) == 3, 10**6, offsets)):
        group[f"{path}/offsets"][:] = wrong
        with pytest.raises(StoreError):
            _ = open_store(store_copy).image_paths


@pytest.fixture(scope="module")
def fuzzed(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that each example damages and repairs."""
    return Path(shutil.copytree(small_store, tmp_path_factory.mktemp("fuzzed") / "fuzzed.zarr"))


def works_or_says_why(store: Path, file: Path, content: bytes | None) -> None:
    """Check that with other content in a file (None: without it) everything works or raises a ShapebiasError."""
    original = (store / file).read_bytes()
    if content is None:
        (store / file).unlink()
    else:
        (store / file).write_bytes(content)
    try:
        with contextlib.suppress(ShapebiasError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use_everything(store)
    finally:
        (store / file).write_bytes(original)


@pytest.fixture(scope="module")
def files(small_store: Path) -> list[Path]:
    return sorted(file.relative_to(small_store) for file in small_store.rglob("*") if file.is_file())


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_any_flipped_bit_or_removed_file_is_an_error_or_harmless(
    fuzzed: Path, files: list[Path], data: st.DataObject
) -> None:
    file = data.draw(st.sampled_from(files))
    content = bytearray((fuzzed / file).read_bytes())
    at = data.draw(st.none() | st.integers(0, len(content) - 1))
    if at is not None:
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    works_or_says_why(fuzzed, file, None if at is None else bytes(content))


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_any_changed_fact_is_an_error_or_harmless(fuzzed: Path, files: list[Path], data: st.DataObject) -> None:
    """A value in a zarr.json replaced by another: what a bug or a hand could do."""
    file = data.draw(st.sampled_from([file for file in files if file.name == "zarr.json"]))
    content = json.loads((fuzzed / file).read_text())
    container, key = _draw_entry(data, content)
    container[key] = data.draw(
        st.sampled_from([None, -1, 0, 3, 10**12, 1.5, True, "", "\x1b[31mred", "a/b", "../..", [], [1], {}, {"a": 1}])
    )
    works_or_says_why(fuzzed, file, json.dumps(content).encode())


def _draw_entry(data: st.DataObject, content: dict) -> tuple[dict | list, str | int]:
    container: dict | list = content
    while True:
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        key = data.draw(st.sampled_from(keys))
        inner = container[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            return container, key
        container = inner


@pytest.mark.parametrize("array", CHUNKS)
def test_no_flipped_bit_of_a_chunk_gives_wrong_numbers(small_store: Path, store_copy: Path, array: str) -> None:
    """Any byte: at worst it is one that no reader looks at."""
    rng = np.random.default_rng(len(array))
    expected = open_store(small_store).read(array)
    for file in chunks(store_copy / array):
        original = file.read_bytes()
        for _ in range(12):
            file.write_bytes(original)
            flip(file, int(rng.integers(len(original))), int(rng.integers(8)))
            with contextlib.suppress(StoreError):
                np.testing.assert_array_equal(open_store(store_copy).read(array), expected)


@pytest.mark.slow
@pytest.mark.parametrize("array", [path for path in CHUNKS if not path.startswith("images/probe/t")])
@pytest.mark.parametrize("change", [-1, 1, "none"])
def test_an_array_of_another_shape_is_an_error(fuzzed: Path, array: str, change: int | str) -> None:
    """Its zarr.json has no checksum."""
    path = fuzzed / array / "zarr.json"
    original = path.read_text()
    content = json.loads(original)
    content["shape"][0] = 0 if change == "none" else content["shape"][0] + change
    path.write_text(json.dumps(content))
    try:
        with pytest.raises(StoreError) as error:
            use_everything(fuzzed)
        one_line(error)
    finally:
        path.write_text(original)


@pytest.mark.parametrize("value", [None, "text", [1], [{}], {"a": 1}, 7])
@pytest.mark.parametrize("key", ["skipped", "class_names"])
def test_facts_of_the_images_of_another_type_work_or_are_an_error(store_copy: Path, key: str, value: object) -> None:
    attributes(store_copy / "images/probe/zarr.json", lambda facts: facts.update({key: value}))
    with contextlib.suppress(StoreError):
        use_everything(store_copy)
