"""Makes untrusted text (file names, labels, names in a store) safe to print."""

import os
import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len

# Control, format (bidirectional overrides, zero width), surrogate, private and unassigned characters, line separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Invisible marks and letters: grapheme joiner, Hangul fillers, variation selectors (terminals differ in their widths).
_INVISIBLE = {"\u034f", "\u115f", "\u1160", "\u3164", "\uffa0", *map(chr, range(0xFE00, 0xFE10))}
_INVISIBLE |= {chr(code) for code in range(0xE0100, 0xE01F0)}


def printable(text: str | bytes, limit: int = 200) -> str:
    r"""Return `text` on one line, with every character that is not plainly visible written as an escape (`\x1b`).

    Bytes are decoded as UTF-8; bytes that are not UTF-8 become `\xNN`. A text longer than `limit` characters or
    terminal cells is cut in its middle, since file names differ at their ends. A terminal acts on no character of the
    result.

    >>> print(printable("red \x1b[31m"))
    red \x1b[31m
    """
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if len(text) > 4 * limit:  # cut first, so that megabytes are never escaped to show one line
        text = text[: 2 * limit] + text[-2 * limit :]
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_escape, text))
    if sum(map(_cost, text)) > limit:
        head = (limit - 1) // 2
        text = f"{_cut_to_width(text, head)}…{_cut_to_width(text[::-1], limit - 1 - head)[::-1]}"
    return text


def plain(text: str) -> str:
    """Return `text` without the characters that `printable` writes as escapes."""
    return "".join(character for character in text if _escape(character) == character)


def _cut_to_width(text: str, limit: int) -> str:
    """Return the longest prefix of `text` that costs at most `limit`."""
    for position, character in enumerate(text):
        limit -= _cost(character)
        if limit < 0:
            return text[:position]
    return text


def _cost(character: str) -> int:
    """Return the part of a limit that a character uses: its terminal cells, at least one."""
    return 1 if character.isascii() else max(1, cell_width(character))


def cell_width(text: str) -> int:
    """Return how many terminal cells a printable text takes, by the tables of Rich, by which Textual lays out the
    screen.
    """
    return len(text) if text.isascii() else cell_len(text)


def padded(text: str, width: int) -> str:
    """Return printable text with spaces after it, up to `width` cells; a wider text as it is."""
    return text + " " * (width - cell_width(text))


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    r"""Return rows of printable cells, the same number in each, as lines.

    Each column is as wide as its widest cell; the first `left` columns are left-aligned, the others right-aligned.

    >>> print("\n".join(line.rstrip() for line in aligned([["unit", "max"], ["7", "10.5"]]).splitlines()))
    unit   max
    7     10.5
    """
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            padded(cell, width) if column < left else " " * (width - cell_width(cell)) + cell
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def markdown_text(text: str, limit: int = 200) -> str:
    """Return `text` on one line so that Markdown shows it as it is, cut as in `printable`."""
    escaped = (
        f"\\{character}" if character in "\\`*_{}[]<>()#+!|~&" else character for character in printable(text, limit)
    )
    return "".join(escaped)


def markdown_row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table; cells are Markdown, such as `markdown_text` returns."""
    return f"| {' | '.join(cells)} |"


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # surrogateescape: a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    if unicodedata.category(character) in _HIDDEN or character in _INVISIBLE:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
