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

_TIMEOUT = 2.0  # seconds; every terminal answers the last question, so only a dead line takes as long
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

    def choose(self, wish: str) -> Graphics:
        """The graphics for `--graphics WISH`; `auto` is the best there is. Raises UsageError for an unknown wish."""
        if wish == "auto":
            if self.kitty:
                return Graphics.KITTY
            return Graphics.SIXEL if self.sixel else Graphics.HALFCELL
        try:
            return Graphics(wish)
        except ValueError:
            known = ", ".join(Graphics)
            raise UsageError(f"no --graphics {printable(wish)}: auto, {known}") from None


def query_terminal() -> Terminal:
    """Asks the controlling terminal; must run before Textual reads the keyboard. Without a terminal: no graphics."""
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
    """What the bytes that a terminal answered mean; `window_cell` is the kernel's idea of the cell size, if any."""
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
    """Everything the terminal answers, up to its device attributes."""
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
    try:
        packed = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    rows, columns, width, height = struct.unpack("HHHH", packed)
    if min(rows, columns, width, height) == 0:
        return None
    return width // columns, height // rows


def _in_multiplexer() -> bool:
    """Whether this is tmux or screen: they have no kitty graphics, and take the question for a window's title."""
    return "TMUX" in os.environ or os.environ.get("TERM", "").startswith(("screen", "tmux"))


def is_interactive() -> bool:
    """Whether a person sits at both ends: keyboard and screen."""
    return sys.stdin.isatty() and sys.stdout.isatty()
