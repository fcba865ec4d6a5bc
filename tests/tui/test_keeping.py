"""Marks that are taken back, names and paths that are copied, images that are opened."""

from pathlib import Path

import pytest

from shapebias.core.analysis.by_image import ImageName
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui.saving import image_file, open_image
from tests.support.explorer_pilot import exploring, frame, press, status, write


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


async def test_changes_of_marks_are_taken_back_one_by_one(store: Store) -> None:
    async with exploring(store) as (app, pilot):
        unit = app.units.unit
        assert unit is not None
        await pilot.press("m", "M")
        await write(app, pilot, "dots")
        await press(app, pilot, "enter")
        assert "1 marked" in status(app)
        await pilot.press("m")
        assert unit not in app.session.marks
        for note in ("dots", "", None):
            await press(app, pilot, "u")
            assert (app.session.marks.note(unit) if unit in app.session.marks else None) == note
        await press(app, pilot, "u")
        assert "no change of a mark to take back" in status(app)
        assert "●" not in frame(app.panel)


async def test_names_and_paths_are_copied(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exploring(store, unit="Tiny/block2/3") as (app, pilot):
        await press(app, pilot, "y")
        assert app.clipboard == "Tiny/block2/3"
        await press(app, pilot, "Y")
        assert app.clipboard.endswith(store.image_name(int(store.top(store.unit("Tiny/block2/3")).image[0])))
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        await press(app, pilot, "O")
        assert "no program opens images here" in status(app) or "not on this machine" in status(app)


def test_without_a_screen_no_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "1")
    assert not open_image(tmp_path / "image.png")


def test_an_image_that_is_no_file_here_has_no_path(store: Store) -> None:
    assert image_file(store, ImageName("nowhere/image.png", "", False)) is None
