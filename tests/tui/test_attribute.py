"""`shapebias attribute` in a terminal: what is printed, by which graphics."""

import os
import shutil

import pytest

from shapebias.tui.attribute import explained_text, print_maps
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal
from tests.core.pictures.test_attribution_sheet import explained

TERMINAL = Terminal(sixel=True, kitty=False, cell_width=10, cell_height=20, answered=True)


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((60, 40)))
    monkeypatch.setenv("COLUMNS", "60")


def test_the_table_has_gaps_where_a_method_has_one() -> None:
    head, *rows = explained_text(explained()).splitlines()
    assert head.split("  ")[-1] == "gap of Integrated Gradients"
    assert [row.split()[:2] for row in rows] == [[f"photo{n}.png", model] for n in range(2) for model in ("S", "R")]
    assert all(row.endswith("1.23%") for row in rows)


def test_half_cells_have_their_labels_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_maps(explained(images=1), TERMINAL, Graphics.HALFCELL)
    lines = capsys.readouterr().out.splitlines()
    assert "photo0.png" in lines
    assert sum("Integrated Gradients" in line for line in lines) == 2
    assert sum(line.endswith(" gap 1.23%") for line in lines) == 2
    assert all(len(line) <= 60 for line in lines if "\x1b" not in line)


def test_sixel_tiles_are_as_many_as_there_are_maps(capsys: pytest.CaptureFixture[str]) -> None:
    """Four columns of 14 cells fit: the photo, and three methods; a row for each model."""
    print_maps(explained(images=1), TERMINAL, Graphics.SIXEL)
    out = capsys.readouterr().out
    assert out.count("\x1bP0;1q") == 2 * 4


def test_nothing_is_printed_without_graphics(capsys: pytest.CaptureFixture[str]) -> None:
    print_maps(explained(images=1), TERMINAL, Graphics.NONE)
    assert capsys.readouterr().out == ""
