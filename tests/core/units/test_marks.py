"""Marks on the disk: at once, whole, and never over a file that cannot be read."""

import json
import os
from pathlib import Path

import pytest

from shapebias.core.errors import ShapebiasError
from shapebias.core.files import read_state, state_folder
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.marks import Marks


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


def names(marks: Marks) -> list[str]:
    return [str(unit) for unit in marks.units()]


def test_marks_are_on_the_disk_at_once_and_in_the_stores_order(store: Store, state_home: Path) -> None:
    marks = Marks(store)
    marks.load()
    assert names(marks) == []
    for name, note in (("Tiny/block3/5", ""), ("Tiny/block1/11", "stripes ☃"), ("Tiny/block1/2", "")):
        marks.set(store.unit(name), note)
        again = Marks(store)
        again.load()
        assert store.unit(name) in again
        assert again.note(store.unit(name)) == note
    assert names(again) == ["Tiny/block1/2", "Tiny/block1/11", "Tiny/block3/5"]
    marks.set(store.unit("Tiny/block1/11"), "spots")
    marks.remove(store.unit("Tiny/block3/5"))
    again.load()
    assert names(again) == ["Tiny/block1/2", "Tiny/block1/11"]
    assert again.note(store.unit("Tiny/block1/11")) == "spots"
    assert [path.name for path in (state_home / "shapebias/marks").iterdir()] == [marks.paths[0].name], (
        "no partial file"
    )


def test_every_store_has_marks_of_its_own_by_its_resolved_path(store: Store, store_copy: Path, tmp_path: Path) -> None:
    Marks(store).set(store.unit("Tiny/block1/2"))
    other = Marks(open_store(store_copy))
    other.load()
    assert len(other) == 0
    link = tmp_path / "link.zarr"
    link.symlink_to(store.path)
    same = Marks(open_store(link))
    same.load()
    assert names(same) == ["Tiny/block1/2"]


def test_two_explorers_of_a_store_keep_each_others_marks(store: Store) -> None:
    one, two = Marks(store), Marks(store)
    one.set(store.unit("Tiny/block1/2"))
    two.set(store.unit("Tiny/block1/3"))
    assert names(two) == ["Tiny/block1/2", "Tiny/block1/3"]


def test_marks_of_units_that_are_no_more_stay_in_the_file_but_are_not_listed(store: Store) -> None:
    marks = Marks(store)
    marks.set(store.unit("Tiny/block1/2"))
    state = read_state(marks.paths[0])
    assert state is not None
    state["marks"] |= {"Tiny/gone/1": "was good", "Tiny/block1/99": ""}
    marks.paths[0].write_text(json.dumps(state))
    marks.set(store.unit("Tiny/block1/3"))
    assert names(marks) == ["Tiny/block1/2", "Tiny/block1/3"]
    assert json.loads(marks.paths[0].read_text())["marks"]["Tiny/gone/1"] == "was good"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"marks": [1]}', b'{"marks": {"a": 1}}', b"\xff", b"[" * 99999])
def test_a_damaged_file_is_said_and_not_written_over(store: Store, damage: bytes) -> None:
    marks = Marks(store)
    marks.paths[0].parent.mkdir(parents=True)
    marks.paths[0].write_bytes(damage)
    for action in (marks.load, lambda: marks.set(store.unit("Tiny/block1/2"))):
        with pytest.raises(ShapebiasError, match="damaged: move it away"):
            action()
    assert marks.paths[0].read_bytes() == damage
    assert store.unit("Tiny/block1/2") in marks, "it is marked as long as the program runs"


def test_a_folder_that_cannot_be_made_is_said(store: Store, state_home: Path) -> None:
    (state_home / "shapebias").write_text("a file where the folder would be")
    marks = Marks(store)
    with pytest.raises(ShapebiasError, match="cannot"):
        marks.set(store.unit("Tiny/block1/2"))
    assert store.unit("Tiny/block1/2") in marks


def test_the_state_folder_is_where_the_standard_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state_home: Path
) -> None:
    assert state_folder() == state_home / "shapebias"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    if os.uname().sysname == "Linux":
        assert state_folder() == tmp_path / ".local/state/shapebias"


def test_the_next_mark_is_in_the_networks_order_and_around(store: Store) -> None:
    marks = Marks(store)
    assert marks.next_to(store.unit("Tiny/block1/3"), 1) is None
    for name in ("Tiny/block3/5", "Tiny/block1/11", "Tiny/block3/2"):
        marks.set(store.unit(name))
    for name, step, wanted in (
        ("Tiny/block1/3", 1, "Tiny/block1/11"),
        ("Tiny/block1/11", 1, "Tiny/block3/2"),
        ("Tiny/block3/5", 1, "Tiny/block1/11"),
        ("Tiny/block1/11", -1, "Tiny/block3/5"),
        ("Tiny/block2/0", -1, "Tiny/block1/11"),
    ):
        assert str(marks.next_to(store.unit(name), step)) == wanted
