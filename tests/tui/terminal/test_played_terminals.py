"""The command in pseudo-terminals that answer as other terminals do."""

import sys
from pathlib import Path

import pytest

from tests.support.pty_terminal import PtyTerminal

pytestmark = pytest.mark.slow

KITTY = {
    b"\x1b[>0q": b"\x1bP>|kitty(0.26.5)\x1b\\",
    b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\": b"\x1b_Gi=31;OK\x1b\\",
    b"\x1b[c": b"\x1b[?62;c",
}
PLAIN = {b"\x1b[c": b"\x1b[?6c"}
VTE = {b"\x1b[c": b"\x1b[?65;1;9c", b"\x1bP$qm\x1b\\": b"\x1bP1$r0;48:2:1:2:3m\x1b\\"}


def explore(store: Path, answers: dict[bytes, bytes], **environment: str) -> PtyTerminal:
    command = [sys.executable, "-m", "shapebias", "explore", str(store)]
    return PtyTerminal(command, 160, 48, environment={"COLORTERM": "", **environment}, answers=answers)


def test_kitty_gets_pictures_without_placeholders_and_those_seen_before_by_number(small_store: Path) -> None:
    with explore(small_store, KITTY) as terminal:
        assert terminal.wait_for(lambda: terminal.output_since(0).count(b"\x1b_Ga=p") >= 6, timeout=60)
        terminal.wait_quiet(1.0)
        mark = terminal.mark()
        terminal.press("j")
        assert terminal.wait_for(lambda: terminal.output_since(mark).count(b"\x1b_Ga=p") >= 6)
        terminal.wait_quiet(1.0)
        assert b"\x1b_Ga=t" in terminal.output_since(mark)
        mark = terminal.mark()
        terminal.press("k")
        assert terminal.wait_for(lambda: terminal.output_since(mark).count(b"\x1b_Ga=p") >= 6)
        terminal.wait_quiet(0.5)
        assert b"\x1b_Ga=t" not in terminal.output_since(mark)
        assert len(terminal.output_since(mark)) < 5000
        assert "\U0010eeee".encode() not in terminal.output_since(0)
        mark = terminal.mark()
        terminal.press("q")
        assert terminal.process.wait(20) == 0
        terminal.wait_quiet(0.2)
        assert terminal.output_since(mark).count(b"d=I") >= 12, "the terminal keeps nothing of it"


@pytest.mark.parametrize(
    ("answers", "kind", "has", "has_not"),
    [
        (PLAIN, "xterm-256color", b"48;5;", b"48;2;18"),
        (VTE, "xterm-256color", b"48;2;", b"48;5;"),
        (PLAIN, "xterm", b"image2.png", b"\xe2\x96\x80"),
    ],
)
def test_colours_are_those_that_the_terminal_has(
    small_store: Path, answers: dict[bytes, bytes], kind: str, has: bytes, has_not: bytes
) -> None:
    with explore(small_store, answers, TERM=kind) as terminal:
        assert terminal.wait_for(lambda: b"block1/0" in terminal.text_since(0), timeout=60)
        terminal.wait_quiet(0.5)
        assert has in terminal.output_since(0)
        assert has_not not in terminal.output_since(0)


def test_keys_typed_before_the_first_screen_are_not_lost(small_store: Path) -> None:
    with PtyTerminal([sys.executable, "-m", "shapebias", "explore", str(small_store)], 160, 48) as terminal:
        assert terminal.wait_for(lambda: b"\x1b[c" in terminal.output_since(0), timeout=60), "it asks"
        terminal.press("jj")
        assert terminal.wait_for(lambda: b"block1/2" in terminal.text_since(0), timeout=60)


def test_a_terminal_that_cannot_be_drawn_on_is_told(small_store: Path) -> None:
    with explore(small_store, PLAIN, TERM="dumb") as terminal:
        assert terminal.process.wait(60) == 2
        terminal.wait_quiet(0.2)
        assert b"TERM is dumb" in terminal.text_since(0)
        assert b"\x1b" not in terminal.output_since(0)


def test_errors_go_to_a_log_and_the_screen_does_not(small_store: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = f"{sys.executable} -m shapebias explore {small_store} 2>{log}"
    with PtyTerminal(["sh", "-c", command], 160, 48) as terminal:
        assert terminal.wait_for(lambda: b"block1/0" in terminal.text_since(0), timeout=60)
        terminal.press("q")
        assert terminal.process.wait(20) == 0
    assert log.read_text() == ""


def test_doctor_prints_questions_answers_and_conclusions() -> None:
    command = [sys.executable, "-m", "shapebias", "doctor"]
    with PtyTerminal(command, 160, 60, environment={"COLORTERM": ""}, answers=KITTY) as terminal:
        assert terminal.process.wait(120) == 0
        terminal.wait_quiet(0.2)
        said = terminal.text_since(0).decode()
    assert "pictures by kitty graphics" in said
    for question, answer in (
        ("XTVERSION", "kitty(0.26.5) ("),
        ("kitty graphics (a=q)", "OK ("),
        ("DECRQSS", "no answer"),
    ):
        (line,) = (line for line in said.splitlines() if question in line)
        assert answer in line
    assert "kitty graphics: yes, by its answer" in said
    assert "a cell: 8 x 16 pixels" in said
