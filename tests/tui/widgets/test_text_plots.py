"""Plots in text: what is where."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.tui.widgets.text_plots import bar, marked_line, picture, scatter, series, shades, spread

A, B = ("red", "a"), ("blue", "b")


@given(share=st.floats(0, 1), width=st.integers(1, 80))
def test_a_bar_is_as_long_as_its_share(share: float, width: int) -> None:
    drawn = bar(share, width)
    assert len(drawn) == width
    eighths = 8 * drawn.count("█") + sum(" ▏▎▍▌▋▊▉".find(character) for character in drawn if character != "█")
    assert abs(eighths - 8 * width * share) <= 0.5


def test_nothing_is_drawn_for_what_is_unknown() -> None:
    assert bar(float("nan"), 5) == " " * 5
    assert marked_line({A: float("nan")}, 9).plain == "· · · · ·"
    assert scatter({A: (np.array([0.0, np.nan]), np.array([1.0, 2.0]))}, 9, 5)[0].plain[1:].count("a") == 0
    assert scatter({A: (np.zeros(2), np.zeros(2))}, 9, 5) == []


@given(value=st.floats(0, 1), width=st.integers(5, 90))
def test_a_mark_is_at_its_value(value: float, width: int) -> None:
    line = marked_line({A: value}, width).plain
    assert len(line) == width
    assert abs(line.index("a") / (width - 1) - value) <= 0.5 / (width - 1) + 1e-9


def test_a_scatter_has_the_diagonal_and_points_above_it_where_y_is_larger() -> None:
    x = np.array([1.0, 10.0, 100.0])
    lines = [line.plain[1:] for line in scatter({A: (x, x), B: (x[:1], x[2:])}, 40, 20)]
    assert len(lines) == 21
    grid = lines[:-1]
    assert grid[0][0] == "b" or grid[1][0] == "b"
    places = [(row, line.index("a")) for row, line in enumerate(grid) if "a" in line]
    assert len(places) == 3
    for row, column in places:
        assert abs((19 - row) / 20 - column / 40) <= 0.05
    assert lines[-1].startswith("0.98")
    assert lines[-1].rstrip("─").endswith("102")


def test_a_spread_counts_between_its_ends() -> None:
    values = np.array([0.0, 0.1, 0.9, 1.0, 1.0, 1.0])
    assert spread(values, 0, 1, 2) == "▄█"
    assert spread(values, 1, 1, 3) == "   "


@pytest.mark.parametrize("height", [1, 2, 5])
def test_a_picture_has_two_rows_of_pixels_in_each_line(height: int) -> None:
    pixels = np.arange(height * 3 * 3, dtype=np.uint8).reshape(height, 3, 3)
    lines = picture(pixels)
    assert len(lines) == -(-height // 2)
    assert str(lines[0].spans[1].style) == f"#030405 on {'#0c0d0e' if height > 1 else '#000000'}"


def test_models_differ_by_mark_and_colour() -> None:
    marks = series(["a", "b", "c", "d"])
    assert len({color for color, _ in marks.values()}) == len({mark for _, mark in marks.values()}) == 4


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    cells=st.integers(2, 90),
    rows=st.integers(1, 40),
    sign=st.sampled_from([1, -1]),
)
def test_shades_keep_the_maximum_and_fit(height: int, width: int, cells: int, rows: int, sign: int) -> None:
    values = np.zeros((height, width))
    values[height // 2, width // 3] = sign
    lines = [line.plain for line in shades(values, cells, rows)]
    assert len(lines) <= rows
    assert len(set(map(len, lines))) == 1
    assert len(lines[0]) <= cells
    full = {1: "█", -1: "#"}[sign]
    assert sum(line.count(full) for line in lines) == 2
    if rows >= height and cells >= 2 * width:
        assert lines[height // 2].index(full) == 2 * (width // 3)


def test_shades_tell_zero_from_small_values_and_positive_from_negative() -> None:
    levels = np.array([0, 1, 64, 128, 192, 255]) / 255
    lines = [line.plain for line in shades(np.stack([levels, -levels]), 12, 2)]
    assert lines == ["··░░▒▒▓▓████", "··--==%%####"]


def test_where_several_values_meet_the_largest_by_size_is_drawn() -> None:
    assert [line.plain for line in shades(np.array([[0.3, -1.0, 0.9, -0.5]]), 4, 1)] == ["##██"]
