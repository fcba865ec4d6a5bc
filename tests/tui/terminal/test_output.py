"""Updates in fewer bytes show the same: read by a plain interpreter of colours, written here for that."""

import re

from hypothesis import given
from hypothesis import strategies as st

from shapebias.tui.terminal.output import without_repeated_colours

COLOURS = st.sampled_from(["1", "2", "3", "4", "7", "38;2;1;2;3", "38;2;9;9;9", "48;2;0;0;9", "48;5;17", "31", "42"])
PIECES = st.sampled_from(["word", " ", "   ", "é▀", "\x1b[3;4H", "\n", "a b"])
STYLED = st.tuples(st.lists(COLOURS, max_size=3, unique=True).map(";".join), PIECES)


def visible_cells(text: str) -> list[tuple[str, object]]:
    """Return each character or move with its colours; of blanks, only the visible ones."""
    looks: dict[str, str] = {}
    cells: list[tuple[str, object]] = []
    for selectors, move, character in re.findall(r"\x1b\[([\d;]*)m|(\x1b\[[\d;]*H|\n)|(.)", text):
        if move:
            cells.append((move, None))
        elif character:
            seen = character != " " or looks.keys() & {"4", "7"}
            cells.append((character, sorted(looks.items()) if seen else looks.get("background")))
        else:
            for part in re.findall(r"[34]8;2;\d+;\d+;\d+|[34]8;5;\d+|\d+|^$", selectors):
                if part in ("", "0"):
                    looks.clear()
                elif part in ("39", "49"):
                    looks.pop("foreground" if part == "39" else "background", None)
                elif part.startswith(("38", "31")):
                    looks["foreground"] = part
                elif part.startswith(("48", "42")):
                    looks["background"] = part
                else:
                    looks[part] = part
    assert not looks, "it ends without colours"
    return cells


@given(st.lists(STYLED, max_size=12))
def test_shows_the_same(styled: list[tuple[str, str]]) -> None:
    text = "".join(f"\x1b[{colours}m{piece}\x1b[0m" if colours else piece for colours, piece in styled)
    shorter = without_repeated_colours(text)
    assert visible_cells(shorter) == visible_cells(text)
    assert all(selectors.count(";") < 10 for selectors in re.findall(r"\x1b\[([\d;]*)m", shorter)), "mlterm reads 10"


def test_colours_are_set_once() -> None:
    style = "\x1b[38;2;1;2;3;48;2;4;5;6m"
    assert without_repeated_colours(f"{style}one\x1b[0m{style} two\x1b[0m") == f"{style}one two\x1b[m"
