"""What a terminal's answers mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.errors import UsageError
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import read_answers

XTERM = b"\x1b[6;17;8t\x1b[?64;1;2;4;6;9;15;22c"
KITTY = b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;c"


def test_xterm_with_sixel() -> None:
    terminal = read_answers(XTERM, None)
    assert (terminal.sixel, terminal.kitty, terminal.cell_width, terminal.cell_height) == (True, False, 8, 17)
    assert terminal.choose("auto") is Graphics.SIXEL


def test_kitty() -> None:
    terminal = read_answers(KITTY, None)
    assert (terminal.sixel, terminal.kitty, terminal.cell_width, terminal.cell_height) == (False, True, 10, 20)
    assert terminal.choose("auto") is Graphics.KITTY


def test_a_plain_terminal_gets_half_cells_and_the_kernels_cell_size() -> None:
    terminal = read_answers(b"\x1b[?62;14;22c", (9, 18))
    assert terminal.choose("auto") is Graphics.HALFCELL
    assert (terminal.cell_width, terminal.cell_height) == (9, 18)


def test_14_is_not_4() -> None:
    assert not read_answers(b"\x1b[?62;14;24;44c", None).sixel


def test_a_silent_terminal() -> None:
    terminal = read_answers(b"", None)
    assert not terminal.answered
    assert (terminal.cell_width, terminal.cell_height) == (10, 20)


def test_a_wish_overrules_and_a_wrong_one_is_refused() -> None:
    terminal = read_answers(XTERM, None)
    assert terminal.choose("halfcell") is Graphics.HALFCELL
    with pytest.raises(UsageError, match="sixel"):
        terminal.choose("jpeg")


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_keys_typed_meanwhile_do_not_confuse(before: bytes, after: bytes) -> None:
    terminal = read_answers(before + XTERM + after, None)
    assert terminal.answered
    assert terminal.cell_width > 0
    assert terminal.cell_height > 0
