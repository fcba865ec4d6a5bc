"""Conclusions from a terminal's answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.errors import UsageError
from shapebias.tui.terminal.graphics import Colours, Graphics
from shapebias.tui.terminal.query import Terminal, conclude
from shapebias.tui.terminal.questions import ATTRIBUTES, KITTY, OF_SCREEN, QUESTIONS, conversation, questions_for

TERM = {"TERM": "xterm-256color"}
XTERM = b"\x1bP>|XTerm(379)\x1b\\\x1b[6;17;8t\x1b[?64;1;2;4;6;9;15;22c"
KITTY_026 = b"\x1bP>|kitty(0.26.5)\x1b\\\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;c"
KONSOLE = b"\x1bP>|Konsole 22.12.3\x1b\\\x1b_Gi=31;OK\x1b\\\x1b[6;16;8t\x1b[?62;1;4c"
VTE = b"\x1bP>|VTE(7006)\x1b\\\x1bP1$r0;48:2:1:2:3m\x1b\\\x1b[?65;1;9c"


def terminal_of(answers: bytes, environment: dict[str, str] = TERM, tmux: str = "") -> Terminal:
    return conclude(conversation(answers, questions_for(environment), {}), environment, None, tmux)


@pytest.mark.parametrize(
    ("answers", "best"),
    [
        (XTERM, Graphics.SIXEL),
        (KONSOLE, Graphics.SIXEL),
        (KITTY_026, Graphics.KITTY),
        (b"\x1bP>|iTerm2 3.4.1\x1b\\\x1b[?62c", Graphics.ITERM2),
        (VTE, Graphics.HALFCELL),
        (b"", Graphics.HALFCELL),
    ],
)
def test_the_best_graphics(answers: bytes, best: Graphics) -> None:
    assert terminal_of(answers).choose("auto") is best


def test_cells() -> None:
    def cell(answers: bytes, window: tuple[int, int] | None = None) -> tuple[int, int]:
        terminal = conclude(conversation(answers, QUESTIONS, {}), TERM, window)
        return terminal.cell_width, terminal.cell_height

    assert cell(XTERM) == (8, 17)
    assert cell(VTE, (9, 18)) == (9, 18), "the kernel knows"
    assert cell(b"\x1b[6;0;0t\x1b[?4c", (0, 18)) == (10, 20), "PuTTY says nothing that makes sense"


@pytest.mark.parametrize(
    ("answers", "environment", "colours"),
    [
        (VTE, TERM, Colours.TRUE),
        (XTERM, TERM, Colours.TRUE),
        (b"\x1b[?62c", TERM, Colours.INDEXED),
        (b"\x1bP0$r\x1b\\\x1b[?62c", TERM, Colours.INDEXED),
        (b"\x1bP1$r0m\x1b\\\x1b[?62c", TERM, Colours.INDEXED),
        (b"\x1b[?62c", TERM | {"COLORTERM": "truecolor"}, Colours.TRUE),
        (b"\x1b[?6c", {"TERM": "linux"}, Colours.FEW),
        (b"\x1b[?1;2c", {"TERM": "screen", "STY": "1", "COLORTERM": "truecolor"}, Colours.FEW),
        (b"\x1b[?1;2c", {"TERM": "screen-256color", "STY": "1"}, Colours.INDEXED),
    ],
)
def test_colours(answers: bytes, environment: dict[str, str], colours: Colours) -> None:
    assert terminal_of(answers, environment).colours is colours


def test_with_16_colours_there_are_no_pictures() -> None:
    assert terminal_of(b"\x1b[?6c", {"TERM": "linux"}).choose("auto") is Graphics.NONE


def test_tmux_has_what_the_terminal_around_it_has() -> None:
    inside = {"TERM": "tmux-256color", "TMUX": "/tmp/tmux,1,0"}
    answers = b"\x1b[6;16;8t\x1b[?1;2;4c"
    assert terminal_of(answers, inside, "256,RGB,sixel").choose("auto") is Graphics.SIXEL
    assert terminal_of(answers, inside, "256,RGB").choose("auto") is Graphics.HALFCELL
    assert terminal_of(b"\x1b[6;0;0t\x1b[?1;2;4c", inside, "sixel").choose("auto") is Graphics.HALFCELL
    assert terminal_of(b"\x1b[?1;2c", inside, "sixel").choose("auto") is Graphics.HALFCELL
    assert terminal_of(answers, inside, "256").colours is Colours.INDEXED


def test_questions_that_a_multiplexer_would_show_or_hand_on_are_not_asked() -> None:
    assert KITTY not in questions_for({"TERM": "tmux-256color"})
    assert questions_for({"TERM": "xterm", "STY": "4.pts"}) == OF_SCREEN
    assert questions_for(TERM)[-1] is ATTRIBUTES


def test_answers_are_matched_as_whole_numbers() -> None:
    assert not terminal_of(b"\x1b[?62;14;24;44c").sixel


def test_a_silent_terminal() -> None:
    terminal = terminal_of(b"")
    assert not terminal.answered
    assert (terminal.cell_width, terminal.cell_height) == (10, 20)


def test_a_chosen_protocol_overrules_and_an_unknown_one_is_refused() -> None:
    terminal = terminal_of(XTERM)
    assert terminal.choose("halfcell") is Graphics.HALFCELL
    with pytest.raises(UsageError, match="sixel"):
        terminal.choose("jpeg")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60), st.integers(0, len(XTERM)))
def test_what_is_typed_meanwhile_is_kept(typed: str, where: int) -> None:
    before, after = typed[: where % (len(typed) + 1)], typed[where % (len(typed) + 1) :]
    said = conversation(before.encode() + XTERM + after.encode(), QUESTIONS, {})
    assert said.typed.decode() == typed
    assert said.said(ATTRIBUTES) == b"64;1;2;4;6;9;15;22"


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_bytes_of_any_kind_do_not_confuse(before: bytes, after: bytes) -> None:
    terminal = terminal_of(before + XTERM + after)
    assert terminal.answered
    assert terminal.cell_width > 0
    assert terminal.cell_height > 0
