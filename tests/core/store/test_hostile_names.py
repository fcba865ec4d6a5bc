"""Names, classes and layers of a store that would drive the terminal are never printed as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shapebias.core.analysis.describe import store_text
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from shapebias.core.units.table import load_units
from shapebias.tui.show import unit_text
from tests.support.damaged_store import attributes

EVIL = "\x1b]0;evil\x07\x9b31m\u202e"


@pytest.mark.parametrize("key", ["shapebias_version", "created", "settings"])
def test_evil_attributes_are_not_printed_raw(store_copy: Path, key: str) -> None:
    attributes(store_copy / "zarr.json", lambda facts: facts.update({key: EVIL}))
    assert_harmless(store_text(open_store(store_copy)))


@pytest.mark.parametrize("key", ["label", "architecture", "source", "weights_sha256"])
def test_evil_facts_of_a_model_are_not_printed_raw(store_copy: Path, key: str) -> None:
    attributes(store_copy / "models/Tiny/zarr.json", lambda facts: facts.update({key: EVIL}))
    try:
        assert_harmless(store_text(open_store(store_copy)))
    except StoreError as error:
        assert_harmless(str(error))


def evil_layer(store_copy: Path) -> Path:
    def rename(facts: dict[str, Any]) -> None:
        facts["layers"][1] = EVIL
        facts["layer_facts"][1] |= {"name": EVIL, "module": EVIL}

    attributes(store_copy / "models/Tiny/zarr.json", rename)
    return store_copy


def evil_model(store_copy: Path) -> Path:
    (store_copy / "models/Tiny").rename(store_copy / f"models/{EVIL}")
    attributes(store_copy / f"models/{EVIL}/zarr.json", lambda facts: facts.update(label=EVIL))
    attributes(store_copy / "zarr.json", lambda facts: facts.update(models=[EVIL]))
    return store_copy


@pytest.mark.parametrize("spoil", [evil_layer, evil_model])
def test_evil_names_are_not_printed_raw(store_copy: Path, spoil: Callable[[Path], Path]) -> None:
    path = spoil(store_copy)
    from shapebias.core.units.export import units_text

    try:
        store = open_store(path)
        table = load_units(store)
    except ShapebiasError as error:  # to refuse such a store is as good
        assert_harmless(str(error))
        return
    assert_harmless(store_text(store))
    assert_harmless(units_text(table))
    assert_harmless(unit_text(store, table.unit(20)))
    for name in ("", "Tiny/x/0", f"{next(iter(store.models))}/nothing/0", f"{table.unit(20).model}/block1/99"):
        with pytest.raises(UsageError) as error:
            store.unit(name)
        assert_harmless(str(error.value))


def assert_harmless(text: str) -> None:
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)


def test_a_class_that_is_evil_is_not_printed_raw(store_copy: Path) -> None:
    attributes(store_copy / "images/probe/zarr.json", lambda facts: facts.update(class_names=[EVIL] * 10))
    store = open_store(store_copy)
    assert_harmless(unit_text(store, store.unit("Tiny/block1/0")))
    assert_harmless(store_text(store))
