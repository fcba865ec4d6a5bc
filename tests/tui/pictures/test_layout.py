"""Tiles that fit."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shapebias.core.pictures.sixel import MAX_SIDE
from shapebias.tui.pictures.layout import GridLayout, fit_grid, fit_row

CELLS = st.tuples(st.integers(4, 20), st.integers(8, 40))


def right_and_bottom(layout: GridLayout) -> tuple[int, int]:
    """The cells that the tiles take from the widget's upper left one."""
    x, y = layout.cell_of(layout.count - 1)
    return x + layout.tile_columns, y + layout.tile_rows


@given(st.integers(1, 300), st.integers(1, 100), CELLS, st.integers(1, 40), st.booleans())
@example(width=1, height=9, cell=(7, 8), wanted=1, captioned=True)  # narrower than the lines beside a tile
def test_everything_is_inside_and_gaps_are_equal(
    width: int, height: int, cell: tuple[int, int], wanted: int, captioned: bool
) -> None:
    layout = fit_grid(width, height, cell, wanted, captioned=captioned)
    if layout is None:
        assert min((width - captioned) * cell[0], (height - captioned) * cell[1]) < 48 + sum(cell) + captioned * cell[1]
        return
    right, bottom = right_and_bottom(layout)
    assert right + captioned <= width, "a line fits beside the last column"
    assert bottom + captioned <= height, "captions fit below the last row"
    across, down = layout.cell_columns * cell[0] - layout.size, layout.cell_rows * cell[1] - layout.size
    assert down == cell[1]
    assert abs(across - down) <= cell[0] / 2, "as near as cells allow"
    assert layout.left + (layout.columns - 1) * layout.cell_columns + layout.caption_columns <= width or not captioned
    assert layout.count - layout.columns < wanted
    assert layout.columns <= wanted


@pytest.mark.parametrize(
    ("width", "height", "cell", "wanted", "grid"),
    [
        (96, 32, (8, 16), 25, (6, 4, 112)),  # a panel in a wide terminal
        (56, 30, (8, 17), 25, (4, 5, 85)),  # 160 x 44: fewer and larger ones
        (46, 26, (8, 17), 25, (4, 5, 68)),  # 140 x 40
        (150, 66, (8, 17), 25, (5, 5, 204)),  # 300 x 80
        (54, 30, (2, 4), 9, (3, 3, 32)),  # in cells of text
        (46, 26, (2, 4), 9, (2, 3, 28)),
    ],
)
def test_many_and_large(
    width: int, height: int, cell: tuple[int, int], wanted: int, grid: tuple[int, int, int]
) -> None:
    layout = fit_grid(width, height, cell, wanted, smallest=28, captioned=True)
    assert layout is not None
    assert (layout.columns, layout.rows, layout.size) == grid


def test_no_room_at_all() -> None:
    assert fit_grid(3, 2, (8, 16), 24) is None


def test_the_tile_at_a_cell() -> None:
    layout = fit_grid(56, 30, (8, 17), 25, captioned=True)
    assert layout is not None
    for index in range(layout.count):
        x, y = layout.cell_of(index)
        right, caption = x + layout.tile_columns, y + layout.tile_rows
        assert {layout.tile_at(x, y), layout.tile_at(right - 1, caption)} == {index}
        assert layout.tile_at(right, y) is None
        assert layout.tile_at(x - 1, y) is None
    assert layout.tile_at(1, layout.rows * layout.cell_rows) is None
    assert layout.tile_at(1 + layout.columns * layout.cell_columns, 0) is None


@given(st.integers(1, 300), st.integers(1, 100), st.integers(1, 6))
def test_a_row_has_all_tiles_beside_each_other(width: int, height: int, count: int) -> None:
    layout = fit_row(width, height, (8, 16), count)
    if layout is None:
        assert min((width // count - 1) * 8, height * 16) < 48
        return
    assert (layout.columns, layout.rows) == (count, 1)
    right, bottom = right_and_bottom(layout)
    assert right <= width
    assert bottom <= height
    assert layout.cell_columns == layout.tile_columns + 1
    larger = layout.size + 16
    larger_columns = -(-larger // 8)
    assert larger > min(height * 16, MAX_SIDE) or 8 * larger_columns > MAX_SIDE or larger_columns > width // count - 1
