"""The abilities of the terminal, concluded from its answers: graphics, colours, the size of a cell in pixels."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass, field

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.tui.terminal.graphics import Colours, Graphics
from shapebias.tui.terminal.questions import (
    ATTRIBUTES,
    CELL_SIZE,
    KITTY,
    TRUE_COLOUR,
    XTVERSION,
    Conversation,
    ask,
    multiplexer_in,
    questions_for,
    says_true_colour,
)

_VT340_CELL = (10, 20)
_ITERM2_NAMES = ("iTerm", "WezTerm", "mintty")  # terminals with its inline images, as they name themselves
_TRUE_COLOUR_BACK = re.compile(rb"48[:;]2[:;][\d:;]*1[:;]2[:;]3")
_TMUX_TIMEOUT = 1.0  # seconds


@dataclass(frozen=True)
class Terminal:
    """The abilities of a terminal.

    sixel, kitty, iterm2:     whether it has these graphics
    cell_width, cell_height:  in pixels
    answered:                 false where it did not answer
    colours:                  how many colours its characters can have
    multiplexer:              `tmux`, `screen` or empty
    conversation:             its answers, and what was typed meanwhile
    reasons:                  a line on each conclusion: what was concluded, and from what
    """

    sixel: bool
    kitty: bool
    cell_width: int
    cell_height: int
    answered: bool
    iterm2: bool = False
    colours: Colours = Colours.TRUE
    multiplexer: str = ""
    conversation: Conversation = field(default_factory=Conversation, repr=False)
    reasons: tuple[str, ...] = field(default=(), repr=False)

    @property
    def best_graphics(self) -> Graphics:
        """The best graphics that the terminal has: without real pictures half cells, or none with 16 colours."""
        for has, graphics in (
            (self.sixel, Graphics.SIXEL),
            (self.kitty, Graphics.KITTY),
            (self.iterm2, Graphics.ITERM2),
        ):
            if has:
                return graphics
        return Graphics.NONE if self.colours is Colours.FEW else Graphics.HALFCELL

    def choose(self, requested: str) -> Graphics:
        """Return the graphics for `--graphics REQUESTED`; `auto` is the best that the terminal has.

        Any other kind is returned even if the terminal lacks it. Raises UsageError for one that does not exist.
        """
        if requested == "auto":
            return self.best_graphics
        try:
            return Graphics(requested)
        except ValueError:
            known = ", ".join(Graphics)
            raise UsageError(f"no --graphics {printable(requested)}: there are auto, {known}") from None


def query_terminal() -> Terminal:
    """Ask the controlling terminal for its abilities, and return them; without a terminal it has neither answered nor
    real pictures.

    This must happen before Textual reads the keyboard. Text typed meanwhile is in the conversation.
    """
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return Terminal(False, False, *_VT340_CELL, answered=False)
    try:
        said = ask(descriptor, questions_for(os.environ))
        features = _features_of_tmux(said) if multiplexer_in(os.environ) == "tmux" else ""
        return conclude(said, os.environ, _cell_of_window(descriptor), features)
    finally:
        os.close(descriptor)


def conclude(
    conversation: Conversation,
    environment: Mapping[str, str],
    window_cell: tuple[int, int] | None = None,
    tmux_features: str = "",
) -> Terminal:
    """Return the abilities of a terminal from its answers and from environment variables.

    window_cell:    size (width, height) of a cell in pixels according to the kernel, if known
    tmux_features:  what the terminal around tmux can do, as tmux lists it, separated by commas; empty outside tmux
    """
    multiplexer = multiplexer_in(environment)
    features = tmux_features.split(",")
    cell, cell_reason = _cell(conversation, window_cell)
    sixel = b"4" in (conversation.said(ATTRIBUTES) or b"").split(b";")
    reasons = [f"sixel: {'yes' if sixel else 'no'}, by the device attributes"]
    if sixel and multiplexer == "tmux":  # since 3.4 it claims sixel whatever the terminal around it has
        sixel = "sixel" in features and cell_reason != _UNKNOWN_CELL
        around = "has it" if "sixel" in features else "lacks it (tmux display -p '#{client_termfeatures}')"
        reasons = [f"sixel: {'yes' if sixel else 'no'}: tmux has it, the terminal around it {around}"]
    kitty = conversation.said(KITTY) == b"OK"
    iterm2, iterm2_reason = _iterm2(conversation, environment)
    colours, colours_reason = _colours(conversation, environment, features, sixel or kitty or iterm2)
    no_kitty = "no: not through a multiplexer" if multiplexer else "no"
    reasons += [
        f"kitty graphics: {'yes, by its answer' if kitty else no_kitty}",
        f"iTerm2's images: {'yes' if iterm2 else 'no'}, {iterm2_reason}",
        f"colours: {colours}, {colours_reason}",
        f"a cell: {cell[0]} x {cell[1]} pixels, {cell_reason}",
    ]
    return Terminal(
        sixel=sixel,
        kitty=kitty,
        cell_width=cell[0],
        cell_height=cell[1],
        answered=conversation.said(ATTRIBUTES) is not None,
        iterm2=iterm2,
        colours=colours,
        multiplexer=multiplexer,
        conversation=conversation,
        reasons=tuple(reasons),
    )


_UNKNOWN_CELL = "assumed, as no answer gives the size of a cell"


def _cell(conversation: Conversation, window_cell: tuple[int, int] | None) -> tuple[tuple[int, int], str]:
    """Return the size (width, height) of a cell in pixels, and the source of that information."""
    height, _, width = (conversation.said(CELL_SIZE) or b"").partition(b";")
    if width.isdigit() and height.isdigit() and min(int(width), int(height)) > 0:
        return (int(width), int(height)), "by its answer"
    if window_cell is not None and min(window_cell) > 0:
        return window_cell, "by the size of its window"
    return _VT340_CELL, _UNKNOWN_CELL


def _iterm2(conversation: Conversation, environment: Mapping[str, str]) -> tuple[bool, str]:
    """Return whether a terminal has iTerm2's inline images, as its name tells, and the source of that information."""
    if multiplexer_in(environment):
        return False, "not through a multiplexer"
    name = (conversation.said(XTVERSION) or b"").decode("ascii", "replace")
    names = (name, environment.get("LC_TERMINAL", ""), environment.get("TERM_PROGRAM", ""))
    known = next((name for name in names if name.startswith(_ITERM2_NAMES)), "")
    return bool(known), f"by its name {printable(known, 40)}" if known else "by its name"


def _colours(
    conversation: Conversation, environment: Mapping[str, str], tmux_features: list[str], graphics: bool
) -> tuple[Colours, str]:
    """Return how many colours a terminal has, and the source of that information."""
    kind = environment.get("TERM", "")
    multiplexer = multiplexer_in(environment)
    if multiplexer == "tmux":
        true = "RGB" in tmux_features
        return (Colours.TRUE, "by tmux") if true else (Colours.INDEXED, "by tmux, for the terminal around it")
    if not multiplexer and says_true_colour(environment):
        return Colours.TRUE, "by COLORTERM"
    if graphics:
        return Colours.TRUE, "as it has graphics"
    if _TRUE_COLOUR_BACK.search(conversation.said(TRUE_COLOUR) or b""):
        return Colours.TRUE, "by its answer"
    if kind.endswith("-direct"):
        return Colours.TRUE, f"by TERM={printable(kind, 40)}"
    indexed = "256" in kind
    return (Colours.INDEXED if indexed else Colours.FEW), f"by TERM={printable(kind, 40)}"


def _features_of_tmux(conversation: Conversation) -> str:
    """Return what the terminal around tmux can do, as tmux lists it, separated by commas.

    `sixel` is left out where tmux does not know the size of the terminal's cells. Empty where tmux cannot be asked.
    """
    command = ["tmux", "display-message", "-p", "#{client_termfeatures},#{client_cell_width}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TMUX_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    features, _, width = done.stdout.strip().rpartition(",")
    return features if width.isdigit() and int(width) > 0 else features.replace("sixel", "")


def _cell_of_window(descriptor: int) -> tuple[int, int] | None:
    """Return the size (width, height) of a cell in pixels according to the kernel; None where it does not know."""
    try:
        packed = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    rows, columns, width, height = struct.unpack("HHHH", packed)
    if min(rows, columns, width, height) == 0:
        return None
    return width // columns, height // rows


def is_interactive() -> bool:
    """Return whether both input and output are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()
