"""Only what changes is sent, and the terminal then shows what Textual means it to."""

from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region, Size
from textual.strip import Strip

from shapebias.tui.terminal.frame import Change, Frame

SIZE = Size(12, 2)
LINES = st.lists(st.text("ab  語", max_size=14), min_size=2, max_size=2)


def update(lines: list[str], style: Style | None = None) -> LayoutUpdate:
    strips = [Strip([Segment(line, style)]).adjust_cell_length(SIZE.width, style) for line in lines]
    return LayoutUpdate([[strip] for strip in strips], Region(0, 0, *SIZE))


def write(screen: list[list[str]], change: Change) -> None:
    """Write a change as a terminal does: half a wide character is none."""
    for y, x, cells in change.runs:
        for column, (content, _) in enumerate(cells, x):
            if screen[y][column] == "" and column > 0 and column == x:
                screen[y][column - 1] = " "
            screen[y][column] = str(content)


@given(st.lists(LINES, min_size=1, max_size=4))
def test_the_terminal_shows_the_last_update(updates: list[list[str]]) -> None:
    frame, screen = Frame(ColorSystem.TRUECOLOR), [["?"] * SIZE.width for _ in range(SIZE.height)]
    for lines in updates:
        write(screen, frame.change(update(lines), SIZE))
    expected = [strip.text for (strip,) in update(updates[-1]).strips]
    assert ["".join(row) for row in screen] == expected
    assert not frame.change(update(updates[-1]), SIZE).runs, "nothing changes"


def test_a_new_colour_is_sent_and_a_forgotten_screen_is_sent_whole() -> None:
    frame = Frame(ColorSystem.TRUECOLOR)
    frame.change(update(["a", "b"]), SIZE)
    assert frame.change(update(["a", "b"], Style(color="#010203")), SIZE).runs
    frame.forget()
    assert sum(region.area for region in frame.change(update(["a", "b"]), SIZE).regions) == SIZE.area


def test_blanks_do_not_wipe_a_picture_before_they_are_meant_to() -> None:
    frame = Frame(ColorSystem.TRUECOLOR)
    frame.change(update(["a", "b"]), SIZE)
    frame.painted(Region(4, 0, 3, 2), owner="grid")
    assert not frame.change(update(["a", "b"]), SIZE).runs
    (over,) = frame.change(update(["a    word", "b"]), SIZE).regions
    assert over == Region(5, 0, 4, 1)
    frame.uncover("grid")
    wiped = set(frame.change(update(["a    word", "b"]), SIZE).regions)
    assert {(x, region.y) for region in wiped for x in region.column_range and range(region.x, region.right)} == {
        (4, 0),
        *((x, 1) for x in (4, 5, 6)),
    }


def test_a_picture_that_moves_leaves_nothing_where_it_was() -> None:
    """The picture's owner may paint at the new position before blanks are written at the old one."""
    frame = Frame(ColorSystem.TRUECOLOR)
    frame.change(update(["", ""]), SIZE)
    frame.painted(Region(0, 0, 3, 1), owner="grid")
    frame.uncover("grid")
    frame.painted(Region(6, 0, 3, 1), owner="grid")
    wiped = frame.change(update(["", ""]), SIZE).regions
    assert {x for region in wiped for x in region.column_range} >= {0, 1, 2}
    assert not frame.change(update(["", ""]), SIZE).runs, "the picture stays where it is now"
