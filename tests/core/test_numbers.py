"""Numbers as they are written for reading."""

import numpy as np
import pytest

from shapebias.core.numbers import NumberColumn, number_text, rank_shares


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (25.0, "25"),
        (0.8342, "0.834"),
        (12.345, "12.3"),
        (999.4, "999"),
        (4321.6, "4322"),
        (1.26e6, "1.3e6"),
        (2e-5, "2e-5"),
        (-0.0511, "-0.051"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (0.0, "0"),
    ],
)
def test_three_digits_and_whole_numbers_whole(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_column_aligns_at_the_point_and_fits_its_width() -> None:
    values = np.array([120.0, 12.34, 0.5, 0.123, 7.0, np.nan], np.float32)
    column = NumberColumn(values)
    texts = [column.text(float(value)).rjust(column.width) for value in values]
    assert {len(text) for text in texts} == {column.width}
    assert {text.index(".") for text in texts if "." in text} == {column.width - 1 - column.decimals}
    assert texts[0].strip() == "120"
    assert texts[0].index("0") == column.width - 2 - column.decimals, "its last digit is before the point"


def test_what_is_rounding_beside_the_column_is_nothing() -> None:
    column = NumberColumn(np.array([0.5, 6e-8, -2e-9, 0.0], np.float32))
    assert [column.text(value).strip() for value in (0.5, 6e-8, -2e-9)] == ["0.500", "0", "0"]


def test_columns_of_whole_numbers_have_no_point() -> None:
    column = NumberColumn(np.array([1.0, 25.0, 3.0], np.float32))
    assert (column.decimals, column.width) == (0, 2)


def test_ranks_are_within_layers_and_shared_by_equal_values() -> None:
    values = np.array([3.0, 1.0, 1.0, np.nan, 10.0, 20.0], np.float32)
    layer = np.array([0, 0, 0, 0, 1, 1], np.int32)
    shares = rank_shares(values, layer)
    assert shares.tolist()[:3] == [1.0, 0.0, 0.0]
    assert np.isnan(shares[3])
    assert shares.tolist()[4:] == [0.0, 1.0]
