"""Several stores as one: what is shown of a unit is what its own store has."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.errors import ShapebiasError
from shapebias.core.store.errors import StoreError
from shapebias.core.store.joined import JoinedStore, open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store, Unit
from shapebias.core.store.single import SingleStore
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import load_units
from shapebias.tui.jump import find_place


@pytest.fixture(scope="module")
def other_store(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network on fewer images, with concepts."""
    return make_store(tmp_path_factory.mktemp("other") / "other.zarr", limit=20, passes=("dissection",))


@pytest.fixture
def joined(small_store: Path, other_store: Path) -> Store:
    return open_stores([small_store, other_store])


def test_one_store_is_itself(small_store: Path) -> None:
    assert isinstance(open_stores([small_store]), SingleStore)
    assert isinstance(open_stores([small_store, small_store]), SingleStore)


def test_the_models_of_all_are_there(joined: Store, small_store: Path, other_store: Path) -> None:
    assert list(joined.models) == ["Tiny", "Tiny@other"]
    for label, path in (("Tiny", small_store), ("Tiny@other", other_store)):
        store = open_store(path)
        assert joined.owner(label).store.path == path
        assert joined.image_paths_of(label) == store.image_paths
        table, own = load_units(joined, label, "block2"), load_units(store, "Tiny", "block2")
        assert list(table.columns) == list(own.columns)
        for name, values in own.columns.items():
            np.testing.assert_array_equal(table.columns[name], values)
        for index in (0, 7):
            top, alone = joined.top(Unit(label, "block2", index)), store.top(Unit("Tiny", "block2", index))
            np.testing.assert_array_equal(top.map, alone.map)
            np.testing.assert_array_equal(top.value, alone.value)
            for joined_image, image in zip(top.image.tolist(), alone.image.tolist(), strict=True):
                assert joined.image_name(joined_image) == store.image_name(image)
                assert joined.class_of(joined_image) == store.class_of(image) != ""
                assert joined.class_names[joined.labels[joined_image]] == store.class_of(image)
                assert joined.thumbnail(label, joined_image) == store.thumbnail("Tiny", image)
        np.testing.assert_array_equal(
            joined.top_lists(label, "block2", "value"), store.top_lists("Tiny", "block2", "value")
        )
        assert joined.activations(label, "block2", "max").shape[0] == len(store.image_paths)
        column = joined.activation_column(Unit(label, "block2", 7), 1000, 10)
        np.testing.assert_array_equal(column, store.activation_column(Unit("Tiny", "block2", 7), 1000, 10))
    assert len(joined.image_paths) == 70


def test_whole_tables_and_accuracies_are_of_both(joined: Store, small_store: Path, other_store: Path) -> None:
    assert len(load_units(joined)) == 140
    by_model = {accuracy.model: accuracy for accuracy in accuracies(joined)}
    assert {name: accuracy.images for name, accuracy in by_model.items()} == {"Tiny": 50, "Tiny@other": 20}
    assert by_model["Tiny@other"].accuracy == accuracies(open_store(other_store))[0].accuracy


def test_units_are_found_by_the_shown_names(joined: Store) -> None:
    assert joined.unit("Tiny@other/block1/3") == Unit("Tiny@other", "block1", 3)
    assert find_place(joined, "block3/2", "Tiny@other") == (("Tiny@other", "block3"), 2)


def test_marks_are_kept_with_their_own_store(joined: Store, other_store: Path, state_home: Path) -> None:
    marks = Marks(joined)
    marks.set(joined.unit("Tiny@other/block1/3"), "fur")
    marks.set(joined.unit("Tiny/block1/3"))
    assert [str(unit) for unit in marks.units()] == ["Tiny/block1/3", "Tiny@other/block1/3"]
    alone = Marks(open_store(other_store))
    alone.load()
    assert [(str(unit), alone.note(unit)) for unit in alone.units()] == [("Tiny/block1/3", "fur")]
    again = Marks(joined)
    again.load()
    assert again.note(joined.unit("Tiny@other/block1/3")) == "fur"
    again.remove(joined.unit("Tiny@other/block1/3"))
    alone.load()
    assert not alone.units()


def test_three_of_one_name_differ(small_store: Path, tmp_path: Path) -> None:
    paths = [small_store, *(Path(shutil.copytree(small_store, tmp_path / name / "small.zarr")) for name in "ab")]
    assert list(open_stores(paths).models) == ["Tiny", "Tiny@small", "Tiny@small-2"]


def test_errors_are_of_the_store_that_owns_the_model(joined: Store, other_store: Path) -> None:
    with pytest.raises(StoreError) as error:
        joined.thumbnail("Tiny@other", 10_000)
    assert error.value.path == other_store


def test_a_damaged_one_is_one_line(small_store: Path, store_copy: Path) -> None:
    (store_copy / "models/Tiny/zarr.json").write_text("{")
    with pytest.raises(ShapebiasError, match=r"copy\.zarr is damaged"):
        open_stores([small_store, store_copy])


@pytest.mark.parametrize("implementation", [SingleStore, JoinedStore])
def test_both_are_whole_stores(implementation: type[Store]) -> None:
    """They share only the methods that `Store` builds on their own."""
    shared = {"check_layer", "check_model", "filters", "identity", "image_paths_of", "thumbnail", "unit"}
    public = {name for name in vars(Store) if not name.startswith("_")}
    assert public - set(vars(implementation)) == shared
