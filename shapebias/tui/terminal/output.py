"""Shortens updates of the screen: Textual sends each piece of text with all its colours."""

import re
from functools import lru_cache
from typing import NamedTuple

_SELECTORS = re.compile(r"\x1b\[([\d;]*)m")  # SGR, ECMA-48 8.3.117
_SELECTOR = re.compile(r"[34]8;(?:2;\d+;\d+;\d+|5;\d+)|\d+")
_FOREGROUND = re.compile(r"38;.*|3[0-7]|9[0-7]")
_BACKGROUND = re.compile(r"48;.*|4[0-7]|10[0-7]")
_MOST_PARAMETERS = 10  # most parameters in one sequence: mlterm reads no more
_UNSEEN = re.compile(r"(?:\x1b\[[\d;?]*[A-Zhl]|\n)*")  # moves of the cursor, modes
_SEEN_ON_BLANKS = {"4", "7", "9", "21", "53"}  # underlined, reversed, struck out, underlined twice, overlined


class _Look(NamedTuple):
    """The look of text: the selectors of its colours, empty for the terminal's own, and all `others`, such as bold."""

    foreground: str = ""
    background: str = ""
    others: frozenset[str] = frozenset()


_PLAIN = _Look()


def without_repeated_colours(text: str) -> str:
    """Return text with the same appearance, in which colours are set only where they change.

    `text` is as Textual writes it: it begins in the terminal's own colours. The result ends in the same look as it.
    """
    first, *parts = _SELECTORS.split(text)
    written = [first]
    now = wanted = _PLAIN
    for selectors, piece in zip(parts[::2], parts[1::2], strict=True):
        wanted = _with(wanted, selectors)
        if not _UNSEEN.fullmatch(piece):
            look = wanted
            if piece.isspace() and not (now.others | wanted.others) & _SEEN_ON_BLANKS:
                look = now._replace(background=wanted.background)  # nothing else is seen of blanks
            written.append(_change(now, look))
            now = look
        written.append(piece)
    written.append(_change(now, wanted))
    return "".join(written)


@lru_cache(4096)
def _with(look: _Look, selectors: str) -> _Look:
    """Return a look after the parameters of one SGR sequence, `selectors`, such as `1;31`; empty or `0` reset it.

    Textual switches attributes on, and off only by a reset: no selectors that switch off are known here.
    """
    if selectors in ("", "0"):
        return _PLAIN
    for selector in _SELECTOR.findall(selectors):
        if _FOREGROUND.fullmatch(selector):
            look = look._replace(foreground=selector)
        elif _BACKGROUND.fullmatch(selector):
            look = look._replace(background=selector)
        else:
            look = look._replace(others=look.others | {selector})
    return look


@lru_cache(4096)
def _change(now: _Look, wanted: _Look) -> str:
    """Return the control sequences that change the look `now` to `wanted`; empty where they are equal."""
    if now == wanted:
        return ""
    if wanted == _PLAIN:
        return "\x1b[m"
    selectors = sorted(wanted.others - now.others)
    if now.others - wanted.others:
        now, selectors = _PLAIN, ["0", *sorted(wanted.others)]
    if now.foreground != wanted.foreground:
        selectors.append(wanted.foreground or "39")
    if now.background != wanted.background:
        selectors.append(wanted.background or "49")
    together = ";".join(selectors)
    if together.count(";") < _MOST_PARAMETERS:
        return f"\x1b[{together}m"
    return "".join(f"\x1b[{selector}m" for selector in selectors)
