"""Untrusted text (file names, labels, names in a store) made safe to print."""

import os
import unicodedata
from collections.abc import Sequence

# Control, format (bidirectional overrides, zero width), surrogate, private and unassigned characters, line separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str | bytes, limit: int = 200) -> str:
    """`text` on one line, every character that is not plainly visible written as an escape (`\\x1b`).

    Bytes are read as UTF-8, bytes that are not UTF-8 become `\\xNN`. Longer than `limit` characters, it is cut in
    its middle (file names differ at their ends). The result holds no character that a terminal acts on.
    """
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if len(text) > 4 * limit:  # never escape megabytes to show a line
        text = text[: 2 * limit] + text[-2 * limit :]
    plain = text.isascii() and text.isprintable()
    shown = text if plain else "".join(_escape(character) for character in text)
    if len(shown) > limit:
        head = (limit - 1) // 2
        shown = shown[:head] + "…" + shown[len(shown) - (limit - 1 - head) :]
    return shown


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows of cells as lines: columns as wide as their widest cell, the first `left` flush left, the rest right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # surrogateescape: a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    if unicodedata.category(character) in _HIDDEN:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
