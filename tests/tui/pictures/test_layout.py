"""Tiles that fit."""

from hypothesis import given
from hypothesis import strategies as st

from shapebias.tui.pictures.layout import GAP, fit_grid, fit_row


@given(st.integers(1, 300), st.integers(1, 100), st.integers(4, 20), st.integers(8, 40), st.integers(1, 40))
def test_everything_is_inside_and_nothing_overlaps(
    width: int, height: int, cell_width: int, cell_height: int, wanted: int
) -> None:
    layout = fit_grid(width, height, (cell_width, cell_height), wanted)
    if layout is None:
        assert min(width * cell_width, height * cell_height) < 48 + GAP + cell_height
        return
    assert layout.size + GAP <= layout.cell_columns * cell_width
    assert layout.size + GAP <= layout.cell_rows * cell_height
    assert layout.columns * layout.cell_columns <= width
    assert layout.rows * layout.cell_rows <= height
    places = [layout.cell_of(index) for index in range(layout.count)]
    assert len(set(places)) == layout.count
    assert max(x for x, _ in places) + layout.cell_columns <= width


def test_the_largest_tiles_that_show_all() -> None:
    layout = fit_grid(96, 32, (8, 16), 24)
    assert layout is not None
    assert (layout.columns, layout.rows, layout.size) == (6, 4, 124)


def test_too_small_for_all_shows_fewer() -> None:
    layout = fit_grid(20, 10, (8, 16), 24)
    assert layout is not None
    assert 0 < layout.count < 24
    assert layout.size >= 48


def test_no_room_at_all() -> None:
    assert fit_grid(3, 2, (8, 16), 24) is None


@given(st.integers(1, 300), st.integers(1, 100), st.integers(1, 6))
def test_a_row_has_all_tiles_beside_each_other(width: int, height: int, count: int) -> None:
    layout = fit_row(width, height, (8, 16), count)
    if layout is None:
        assert min(width // count * 8, height * 16) < 48 + GAP + 16
        return
    assert (layout.columns, layout.rows) == (count, 1)
    assert count * layout.cell_columns <= width
    assert layout.cell_rows <= height
    alone = fit_grid(width // count, height, (8, 16), 1)
    assert alone is not None
    assert layout.size == alone.size
