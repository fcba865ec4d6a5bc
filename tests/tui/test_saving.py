"""Files that the explorer saves: beside what is there, never over it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import View
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import load_units
from shapebias.tui.saving import save_marks, save_table, save_unit_picture


@pytest.fixture
def store(small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return open_store(small_store)


def test_pictures_are_numbered_not_replaced(store: Store) -> None:
    unit = store.unit("Tiny/block2/4")
    paths = [save_unit_picture(store, unit, View.MASK) for _ in range(3)]
    assert [str(path) for path in paths] == [f"Tiny-block2-4-mask{suffix}.png" for suffix in ("", "-2", "-3")]
    for path in paths:
        assert Image.open(path).format == "PNG"


def test_the_table_is_saved_in_its_order(store: Store) -> None:
    table = load_units(store, "Tiny", "block2")
    path = save_table(store, table.take(table.order("std")[:4]))
    lines = path.read_text().splitlines()
    assert lines[0].startswith("model,layer,unit,smoothness,")
    order = np.argsort(-store.metric("Tiny", "block2", "std"), kind="stable")[:4]
    assert [line.split(",")[2] for line in lines[1:]] == [str(unit) for unit in order]


def test_marks_become_markdown_with_pictures(store: Store) -> None:
    marks = Marks(store)
    with pytest.raises(ShapebiasError, match="no unit is marked"):
        save_marks(store, marks)
    marks.set(store.unit("Tiny/block2/4"), "*stripes* <b>\x1b[31m")
    marks.set(store.unit("Tiny/block1/0"))
    path = save_marks(store, marks)
    assert str(path) == "small-marks/marks.md"
    text = path.read_text()
    assert text.index("## Tiny/block1/0") < text.index("## Tiny/block2/4")
    assert "\\*stripes\\* \\<b\\>\\\\x1b\\[31m" in text, "what Markdown and terminals would act on is escaped"
    assert "| selectivity |" in text
    for name in ("001.png", "002.png"):
        assert f"]({name})" in text
        assert min(Image.open(path.parent / name).size) > 200
    assert str(save_marks(store, marks)) == "small-marks-2/marks.md"
    assert save_marks(store, marks, path.parent) == path, "a folder that is named is written again"


def test_a_folder_that_cannot_be_made_is_said(store: Store, tmp_path: Path) -> None:
    marks = Marks(store)
    marks.set(store.unit("Tiny/block1/0"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ShapebiasError, match="cannot write"):
        save_marks(store, marks, tmp_path / "file")
