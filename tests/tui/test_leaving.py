"""However the explorer is left, the terminal is as it was: in a pseudo-terminal, by its bytes and its modes."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shapebias.core.store.opening import open_store
from shapebias.core.units.marks import Marks
from tests.support.pty_terminal import PtyTerminal

pytestmark = pytest.mark.slow

ENTERED = {1049, 25, 1000, 1003, 1006, 2004, 1004}  # alternate screen, cursor, mouse, pastes, focus
CRASHING = """
import sys
from shapebias.tui.widgets.unit_table import UnitTableView
UnitTableView.action_reverse = lambda self: {}["evil \\x1b]0;owned\\x07"]
from shapebias.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def terminal(small_store: Path) -> Iterator[PtyTerminal]:
    with explore("-m", "shapebias", "explore", str(small_store)) as terminal:
        yield terminal


def explore(*arguments: str) -> PtyTerminal:
    terminal = PtyTerminal([sys.executable, *arguments, "--graphics", "sixel"], 160, 48)
    assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 6, timeout=60)
    terminal.wait_quiet(0.3)
    return terminal


def modes(output: bytes) -> dict[int, bool]:
    """The private modes that were switched, as they were at the end."""
    return {int(match[1]): match[2] == b"h" for match in re.finditer(rb"\x1b\[\?(\d+)([hl])", output)}


def check_clean(terminal: PtyTerminal) -> None:
    terminal.wait_quiet(0.2)
    output = terminal.output_since(0)
    final_modes = modes(output)
    assert {mode for mode in ENTERED if final_modes[mode]} == {25}, "only the cursor is on"
    assert final_modes[7], "lines wrap"
    assert terminal.is_cooked(), "keys are echoed, lines are edited, Ctrl-C works"
    assert len(re.findall(rb"\x1b\[>\d+u", output)) == output.count(b"\x1b[<u"), (
        "the keyboard's protocol is the shell's"
    )
    assert b"Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_explorer_and_the_marks_are_kept(
    terminal: PtyTerminal, small_store: Path, number: signal.Signals
) -> None:
    terminal.press("m")
    terminal.wait_quiet(0.3)
    terminal.process.send_signal(number)
    assert terminal.process.wait(10) == -number
    check_clean(terminal)
    marks = Marks(open_store(small_store))
    marks.load()
    assert len(marks.units()) == 1


def test_a_broken_line_ends_the_explorer(terminal: PtyTerminal) -> None:
    terminal.hang_up()
    assert terminal.process.wait(10) == -signal.SIGHUP


def test_a_terminal_that_takes_nothing_does_not_keep_it_alive(terminal: PtyTerminal) -> None:
    terminal.stop_reading()
    for key in "jkjkjkjkjkjk":
        terminal.press(key)
        time.sleep(0.05)
    terminal.process.terminate()
    assert terminal.process.wait(15) == -signal.SIGTERM


def test_stopped_and_continued(terminal: PtyTerminal) -> None:
    mark = terminal.mark()
    terminal.press("\x1a")
    # no shell is above it that could continue it, so it must come back by itself
    assert terminal.wait_for(lambda: len(terminal.sixels_since(mark)) >= 6)
    left, entered = (terminal.output_since(mark).find(sequence) for sequence in (b"\x1b[?1049l", b"\x1b[?1049h"))
    assert 0 <= left < entered
    terminal.press("q")
    assert terminal.process.wait(10) == 0
    check_clean(terminal)


def test_in_a_shell_it_stops_and_fg_brings_it_back(small_store: Path) -> None:
    command = f"{sys.executable} -m shapebias explore {small_store} --graphics sixel"
    with PtyTerminal(
        ["bash", "--norc", "--noprofile", "--noediting", "-i"], 160, 48, environment={"PS1": "$ "}
    ) as shell:
        shell.press(f"{command}\n")
        assert shell.wait_for(lambda: len(shell.sixels_since(0)) >= 6, timeout=60)
        shell.wait_quiet(0.3)
        mark = shell.mark()
        shell.press("\x1a")
        assert shell.wait_for(lambda: b"Stopped" in shell.text_since(mark))
        check_clean(shell)
        mark = shell.mark()
        shell.press("fg; echo status $?\n")
        assert shell.wait_for(lambda: len(shell.sixels_since(mark)) >= 6)
        assert b"block1" in shell.text_since(mark), "the whole screen is painted again"
        shell.wait_quiet(0.3)
        shell.press("q")
        assert shell.wait_for(lambda: b"status 0" in shell.text_since(mark))
        check_clean(shell)


def test_a_mistake_in_the_program_is_said_in_one_line_and_the_marks_are_kept(small_store: Path) -> None:
    with explore("-c", CRASHING, "explore", str(small_store)) as terminal:
        terminal.press("m")
        terminal.wait_quiet(0.3)
        mark = terminal.mark()
        terminal.press("r")
        assert terminal.process.wait(10) == 1
        check_clean(terminal)
        said = terminal.text_since(mark).rpartition(b"shapebias: ")[2]
        assert b"KeyError" in said
        assert said.count(b"\n") == 1
        assert b"\x1b]0;" not in terminal.output_since(mark)
    marks = Marks(open_store(small_store))
    marks.load()
    assert [str(unit) for unit in marks.units()] == ["Tiny/block1/0"]


def test_with_debug_the_traceback_is_below_a_clean_screen(small_store: Path) -> None:
    with explore("-c", CRASHING, "--debug", "explore", str(small_store)) as terminal:
        terminal.press("r")
        assert terminal.process.wait(10) == 1
        terminal.wait_quiet(0.2)
        left, _, after = terminal.output_since(0).rpartition(b"\x1b[?1049l")
        assert left
        assert b"Traceback" in after
        assert b"KeyError" in after
        assert terminal.is_cooked()


def test_resizing_while_a_picture_is_on_its_way(small_store: Path) -> None:
    command = [sys.executable, "-m", "shapebias", "explore", str(small_store), "--graphics", "sixel"]
    with PtyTerminal(command, 160, 48, speed=60_000) as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 2, timeout=60)
        terminal.resize(120, 30)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        mark = terminal.mark()
        terminal.wait_quiet(1.5)
        positions = [sixel.position for sixel in terminal.sixels_since(mark)[-6:]]
        assert len(set(positions)) == 6
        sizes = {sixel.size for sixel in terminal.sixels_since(mark)[-6:]}
        assert len(sizes) == 1
        (size,) = sizes
        assert size is not None
        assert all(position is not None and (position[0] - 1) * 16 + size[1] <= 29 * 16 for position in positions)
        assert terminal.output_since(0).count(b"\x1bP") == len(terminal.sixels_since(0)), "no sixel string was cut"


@pytest.mark.parametrize("speed", [None, 60_000])
def test_leaving_at_once_leaves_no_picture_and_no_traceback(small_store: Path, speed: float | None) -> None:
    command = [sys.executable, "-m", "shapebias", "explore", str(small_store), "--graphics", "sixel"]
    with PtyTerminal(command, 160, 48, speed=speed) as terminal:
        assert terminal.wait_for(lambda: len(terminal.sixels_since(0)) >= 6, timeout=60)
        terminal.press("jjjq")
        assert terminal.process.wait(20) == 0
        check_clean(terminal)
        assert b"\x1bP" not in terminal.output_since(0).rpartition(b"\x1b[?1049l")[2]


WITHOUT_HANGUP = """
import signal, sys, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()  # as a thread that reads from a dead server
from shapebias.tui.terminal import driver
driver._ENDS = (signal.SIGTERM,)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from shapebias.cli import main
main(sys.argv[1:])
"""


def test_the_end_of_the_input_ends_it_whatever_its_threads_do(small_store: Path) -> None:
    with explore("-c", WITHOUT_HANGUP, "explore", str(small_store)) as terminal:
        terminal.hang_up()
        start = time.monotonic()
        assert terminal.process.wait(20) in (128 + signal.SIGHUP, -signal.SIGHUP)
        assert time.monotonic() - start < 5
