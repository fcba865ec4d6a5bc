"""Decisions in a store: read back, absent, and damaged."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from tests.support.cue_conflict_store import STIMULI

IMAGES, DECISIONS = "images/cue-conflict", "models/Tiny/cue_conflict"
ARRAYS = [
    f"{IMAGES}/path/data",
    f"{IMAGES}/path/offsets",
    f"{IMAGES}/shape",
    f"{IMAGES}/texture",
    f"{DECISIONS}/decision",
]


def test_decisions_are_read(cue_conflict_store: Path) -> None:
    decisions = open_store(cue_conflict_store).cue_conflict("Tiny")
    assert decisions is not None
    assert decisions.categories == ["cat", "dog", "elephant", "knife"]
    assert decisions.images == STIMULI
    assert decisions.shape.tolist() == [0, 0, 1, 2]
    assert decisions.texture.tolist() == [1, 2, 0, 1]
    assert decisions.decision.tolist() == [0, 2, 3, 2]
    assert decisions.decision.dtype == np.int32
    assert (decisions.excluded, decisions.stimuli) == (1, "model")  # as in stores of early versions


def test_a_store_without_them(small_store: Path) -> None:
    store = open_store(small_store)
    assert store.cue_conflict("Tiny") is None
    assert store_facts(store)["models"][0]["cue_conflict"] is None
    assert "shape bias" not in store_text(store)


def test_info_tells_the_shape_bias(cue_conflict_store: Path) -> None:
    store = open_store(cue_conflict_store)
    assert (
        "shape bias 0.6667, 95 % interval 0.0000 to 1.0000: 2 shape, 1 texture, 1 other, model stimuli"
        in store_text(store)
    )
    facts = json.loads(json.dumps(store_facts(store), allow_nan=False))["models"][0]["cue_conflict"]
    assert (facts["shape"], facts["texture"], facts["other"], facts["excluded"]) == (2, 1, 1, 1)
    assert facts["shape_bias"] == pytest.approx(2 / 3)
    assert facts["categories"]["dog"] == {"shape": 0, "texture": 0, "other": 1, "shape_bias": None}


def test_a_shape_bias_that_is_undefined(cue_conflict_store: Path) -> None:
    zarr.open_group(cue_conflict_store, mode="a")[f"{DECISIONS}/decision"][:] = -1
    store = open_store(cue_conflict_store)
    assert "shape bias undefined: 0 shape, 0 texture, 4 other" in store_text(store)
    assert (
        json.loads(json.dumps(store_facts(store), allow_nan=False))["models"][0]["cue_conflict"]["interval"]
        == [None] * 2
    )


def is_damaged(path: Path) -> None:
    with pytest.raises(StoreError) as error:
        open_store(path).cue_conflict("Tiny")
    assert "damaged" in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("array", ARRAYS)
def test_damaged_arrays(cue_conflict_store: Path, array: str) -> None:
    (chunk,) = (file for file in (cue_conflict_store / array / "c").rglob("*") if file.is_file())
    original = chunk.read_bytes()
    for content in (b"", original[:-1], bytes([original[0] ^ 4]) + original[1:]):
        chunk.write_bytes(content)
        is_damaged(cue_conflict_store)
    chunk.unlink()
    is_damaged(cue_conflict_store)
    shutil.rmtree(cue_conflict_store / array)
    is_damaged(cue_conflict_store)


@pytest.mark.parametrize("part", [IMAGES, f"{IMAGES}/path", f"{IMAGES}/shape/zarr.json", f"{IMAGES}/zarr.json"])
def test_missing_parts(cue_conflict_store: Path, part: str) -> None:
    path = cue_conflict_store / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    is_damaged(cue_conflict_store)


@pytest.mark.parametrize("array", ARRAYS[2:])
@pytest.mark.parametrize("values", [[0, 0, 1, 4], [0, 0, 1, -2], [0, 0, 1], [0, 0, 1, 2, 3]])
def test_values_that_shapebias_would_not_write(cue_conflict_store: Path, array: str, values: list[int]) -> None:
    root = zarr.open_group(cue_conflict_store, mode="a")
    root.create_array(array, data=np.array(values, np.int32), overwrite=True, config={"write_empty_chunks": True})
    is_damaged(cue_conflict_store)


@pytest.mark.parametrize(
    "change",
    [
        {"categories": None},
        {"categories": "cats"},
        {"categories": ["cat", "dog", "elephant"]},
        {"categories": ["cat", "dog", "elephant", 1]},
        {"categories": ["cat", "dog", "elephant", "\x1b[31m"]},
        {"categories": ["cat", "dog", "elephant", "cat"]},
        {"excluded": -1},
        {"excluded": "1"},
        {"stimuli": "squeezed"},
        {"stimuli": 1},
    ],
)
def test_facts_that_shapebias_would_not_write(cue_conflict_store: Path, change: dict[str, object]) -> None:
    path = cue_conflict_store / IMAGES / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"].update(change)
    path.write_text(json.dumps(content))
    is_damaged(cue_conflict_store)


@pytest.mark.parametrize("array", ARRAYS)
def test_no_flipped_bit_gives_wrong_decisions(cue_conflict_store: Path, array: str) -> None:
    expected = open_store(cue_conflict_store).read(array)
    rng = np.random.default_rng(len(array))
    (chunk,) = (file for file in (cue_conflict_store / array / "c").rglob("*") if file.is_file())
    original = chunk.read_bytes()
    for at in range(len(original)):
        damaged = bytearray(original)
        damaged[at] ^= 1 << int(rng.integers(8))
        chunk.write_bytes(damaged)
        with contextlib.suppress(StoreError):
            np.testing.assert_array_equal(open_store(cue_conflict_store).read(array), expected)
