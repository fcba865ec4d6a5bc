"""Damaged stores: whatever is changed in their files, readers say so in one line, and `verify` finds it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.comparison import compare
from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.analysis.dissection import concepts_of, count_detectors
from shapebias.core.analysis.histogram import activation_histogram
from shapebias.core.analysis.verify import verify_store
from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import View, unit_tiles
from shapebias.core.store.concepts import read_concepts
from shapebias.core.store.opening import open_store
from shapebias.core.units.table import load_units, unit_records
from shapebias.tui.show import unit_text

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store with most passes."""
    path = tmp_path_factory.mktemp("fuzz") / "whole.zarr"
    return make_store(path, limit=12, layers="block1,block2", passes=("noise", "distortions", "dissection"))


def read_everything(path: Path, strict: bool = True) -> None:
    store = open_store(path)
    table = load_units(store)
    concepts = read_concepts(store)
    unit = store.unit("Tiny/block2/3")
    readers: list[Callable[[], Any]] = [
        lambda: json.dumps(store_facts(store)),
        lambda: store_text(store),
        lambda: unit_records(store, table),
        lambda: unit_text(store, unit),
        lambda: [unit_tiles(store, unit, 4, 32, view) for view in View],
        lambda: activation_histogram(store, unit, 8),
        lambda: concepts_of(store, unit),
        lambda: concepts and count_detectors(store, concepts, [("Tiny", "block1")]),
        lambda: accuracies(store),
        lambda: compare(store, "Tiny", "Tiny", ["smoothness", "max"]),
        lambda: store.cue_conflict("Tiny"),
        lambda: store.filters("Tiny"),
    ]
    for read in readers:
        said = in_one_line(read)
        assert said is None or not strict, said


def in_one_line(read: Callable[[], Any]) -> str | None:
    """Return a reader's error message, one line without control characters, or None."""
    try:
        read()
    except ShapebiasError as error:
        if not str(error).isprintable():
            raise
        return str(error)
    return None


def harmless(path: Path) -> None:
    """Every reader gives something, or one line."""
    in_one_line(lambda: read_everything(path, strict=False))


def is_noticed(path: Path) -> bool:
    """Whether verify finds something wrong."""
    wrong: list[Any] = []
    said = in_one_line(lambda: wrong.extend(verify_store(path).wrong))
    return said is not None or bool(wrong)


def test_a_whole_store_is_all_right(whole: Path) -> None:
    read_everything(whole)
    report = verify_store(whole)
    assert report.wrong == report.notes == []
    assert report.arrays > 30


FEW = settings(max_examples=15, deadline=None)


@contextmanager
def changed(file: Path, content: bytes | None) -> Iterator[None]:
    """A file holds something else, or is gone, in the block."""
    usual = file.read_bytes()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(usual)


@FEW
@given(data=st.data())
def test_a_changed_file_is_found_and_harms_nobody(whole: Path, data: st.DataObject) -> None:
    files = sorted(path for path in whole.rglob("*") if path.is_file() and "manifest" not in path.parts)
    file = data.draw(st.sampled_from(files), "file")
    content = bytearray(file.read_bytes())
    how = data.draw(st.sampled_from(["flip", "cut", "remove", "append", "empty"]), "how")
    if how == "flip":
        position = data.draw(st.integers(0, len(content) - 1), "place")
        content[position] ^= 1 << data.draw(st.integers(0, 7), "bit")
    elif how == "cut":
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    elif how == "append":
        content += data.draw(st.binary(min_size=1, max_size=8), "more")
    with changed(file, {"remove": None, "empty": b""}.get(how, bytes(content))):
        harmless(whole)
        assert is_noticed(whole)


ANYTHING = [None, -1, 0, 10**12, 2**63, 1e308, "", "\x1b[31m", "x" * 10_000, [], [[]], {}, True, "float99"]


@FEW
@given(data=st.data())
def test_metadata_of_anything_harms_nobody(whole: Path, data: st.DataObject) -> None:
    """No manifest protects it here: a shape of 10^12 must not be believed."""
    file = data.draw(st.sampled_from(sorted(whole.rglob("zarr.json"))), "file")
    content = json.loads(file.read_text())
    container: Any = content
    key: Any = data.draw(st.sampled_from(sorted(container)), "key")
    while isinstance(container[key], dict | list) and container[key] and data.draw(st.integers(0, 3), "deeper"):
        container = container[key]
        key = data.draw(
            st.sampled_from(sorted(container) if isinstance(container, dict) else range(len(container))), "inner key"
        )
    container[key] = data.draw(st.sampled_from(ANYTHING), "value")
    with changed(whole / "manifest/c/0", None), changed(file, json.dumps(content).encode()):
        harmless(whole)
        is_noticed(whole)
