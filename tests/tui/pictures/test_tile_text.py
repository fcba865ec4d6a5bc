"""The text of a grid: captions and the cursor."""

from pathlib import Path

import pytest
from rich.style import Style

from shapebias.core.numbers import number_text
from shapebias.core.store.opening import open_store
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.tile_text import TileStyles, TileText, captions

LAYOUT = GridLayout(2, 2, 9, 4, 45, (8, 15), left=1)  # tiles of 6 x 3 cells
CURSOR, LINE = Style(reverse=True), Style(bold=True)
STYLES = TileStyles(Style(), Style(dim=True), CURSOR, LINE)
CAPTIONS = ["1 a  2.5", "2 b  2.4", "3 c  0.3"]


def test_the_cursor_is_a_line_at_each_side_and_the_caption() -> None:
    text = TileText(LAYOUT, CAPTIONS)
    strips = [text.strip(y, 20, 1, STYLES) for y in range(8)]
    assert [strip.text for strip in strips] == [
        "         ▐      ▌   ",
        "         ▐      ▌   ",
        "         ▐      ▌   ",
        " 1 a  2.5▐2 b  2.4  ",
        "                    ",
        "                    ",
        "                    ",
        " 3 c  0.3           ",
    ]
    assert [segment.text for strip in strips for segment in strip if segment.style == CURSOR] == ["2 b  2.4"]
    assert {segment.text for strip in strips for segment in strip if segment.style == LINE} == {"▐", "▌"}
    without = [text.strip(y, 20, None, STYLES).text for y in range(8)]
    assert without[3] == " 1 a  2.5 2 b  2.4  "
    assert not "".join(without[:3]).strip()


def test_without_lines_only_the_caption_has_the_cursor() -> None:
    text = TileText(LAYOUT, CAPTIONS, lines=False)
    assert not "".join(text.strip(y, 20, 0, STYLES).text for y in range(3)).strip()
    assert [segment.text for segment in text.strip(3, 20, 0, STYLES) if segment.style == CURSOR] == [CAPTIONS[0]]


@pytest.mark.parametrize("width", [2, 5, 8, 12, 30])
def test_what_does_not_fit_is_left_out_name_first(small_store: Path, width: int) -> None:
    store = open_store(small_store)
    unit = store.unit("Tiny/block1/1")
    top = store.top(unit)
    texts = captions(store, unit, 99, width)
    assert {len(text) for text in texts} == {width}
    for rank, text in enumerate(texts):
        value, name = number_text(float(top.value[rank])), store.class_of(int(top.image[rank]))
        assert text.split()[0] == str(rank + 1)
        assert (text.split()[-1] == value) == (width >= len(value) + 2)
        if width == 30:
            assert text.split() == [str(rank + 1), *name.split(), value]
        if width == 12:
            room = 12 - len(value) - 3
            assert text.split()[1] == (name if len(name) <= room else name[: room - 1] + "…")
