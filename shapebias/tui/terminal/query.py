"""What the terminal can show, found by asking it: sixel or kitty graphics, the size of a cell in pixels."""

import fcntl
import os
import re
import select
import struct
import sys
import termios
import time
import tty
from dataclasses import dataclass
from enum import StrEnum

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_TIMEOUT = 2.0  # seconds; every terminal answers the last question, so only a dead link takes as long
_KITTY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"  # kitty graphics: OK, or no answer
_QUESTIONS = (
    b"\x1b[16t"  # cell size in pixels
    b"\x1b[c"  # primary device attributes: 4 is sixel
)
_VT340_CELL = (10, 20)


class Graphics(StrEnum):
    """How pictures are drawn."""

    SIXEL = "sixel"
    KITTY = "kitty"
    HALFCELL = "halfcell"
    NONE = "none"


@dataclass(frozen=True)
class Terminal:
    """A terminal's answers. `cell_width` and `cell_height` in pixels; `answered` is false where it kept silent."""

    sixel: bool
    kitty: bool
    cell_width: int
    cell_height: int
    answered: bool

    def choose(self, requested: str) -> Graphics:
        """Return the graphics for `--graphics REQUESTED`; `auto` is the best that the terminal has.

        Raises UsageError for graphics that do not exist.
        """
        if requested == "auto":
            if self.kitty:
                return Graphics.KITTY
            return Graphics.SIXEL if self.sixel else Graphics.HALFCELL
        try:
            return Graphics(requested)
        except ValueError:
            known = ", ".join(Graphics)
            raise UsageError(f"no --graphics {printable(requested)}: auto, {known}") from None


def query_terminal() -> Terminal:
    """Ask the controlling terminal what it can show; without one there are no graphics.

    It must be asked before Textual reads the keyboard.
    """
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return Terminal(False, False, *_VT340_CELL, answered=False)
    try:
        answers = _ask(descriptor)
        return read_answers(answers, _cell_of_window(descriptor))
    finally:
        os.close(descriptor)


def read_answers(answers: bytes, window_cell: tuple[int, int] | None) -> Terminal:
    """Return what the bytes mean that a terminal answered.

    `window_cell` is the size (width, height) of a cell in pixels that the kernel knows, if it knows one.
    """
    attributes = re.search(rb"\x1b\[\?([\d;]*)c", answers)
    cell = re.search(rb"\x1b\[6;(\d+);(\d+)t", answers)
    size = (int(cell[2]), int(cell[1])) if cell else (0, 0)
    if min(size) == 0:
        size = window_cell or _VT340_CELL
    return Terminal(
        sixel=attributes is not None and b"4" in attributes[1].split(b";"),
        kitty=b"\x1b_Gi=31;OK" in answers,
        cell_width=size[0],
        cell_height=size[1],
        answered=attributes is not None,
    )


def _ask(descriptor: int) -> bytes:
    """Ask the terminal; return everything that it answers, up to its device attributes."""
    before = termios.tcgetattr(descriptor)
    answers = b""
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        os.write(descriptor, _QUESTIONS if _in_multiplexer() else _KITTY + _QUESTIONS)
        deadline = time.monotonic() + _TIMEOUT
        while not re.search(rb"\x1b\[\?[\d;]*c", answers):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            answers += os.read(descriptor, 4096)
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
    return answers


def _cell_of_window(descriptor: int) -> tuple[int, int] | None:
    """Return the size (width, height) of a cell in pixels that the kernel knows, None where it knows none."""
    try:
        packed = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    rows, columns, width, height = struct.unpack("HHHH", packed)
    if min(rows, columns, width, height) == 0:
        return None
    return width // columns, height // rows


def _in_multiplexer() -> bool:
    """Return whether this is tmux or screen: without kitty graphics, they take the question for a window's title."""
    return "TMUX" in os.environ or os.environ.get("TERM", "").startswith(("screen", "tmux"))


def is_interactive() -> bool:
    """Return whether a person sits at both ends: keyboard and screen."""
    return sys.stdin.isatty() and sys.stdout.isatty()
