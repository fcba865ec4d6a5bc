"""The filter language against a plain evaluation row by row, and against any text at all."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.errors import UsageError
from shapebias.core.units.filter import FilterError, filter_mask, filter_words
from shapebias.core.units.table import UnitTable

LAYERS = [("AlexNet", "conv1"), ("AlexNet", "conv5"), ("AlexNet-R", "conv1")]
CONCEPTS = ["", "stripe", "Blue sky", "blue", "dog's head"]

Row = dict[str, Any]
Expression = tuple[str, Callable[[Row], bool]]


def table_of(max_values: list[float], std: list[float] | None = None) -> UnitTable:
    """Units over three layers with two numbers and a text each."""
    rows = len(max_values)
    columns: dict[str, Any] = {
        "max": np.array(max_values, np.float32),
        "std": np.array(std if std is not None else max_values[::-1], np.float32),
        "concept": np.array([CONCEPTS[row % len(CONCEPTS)] for row in range(rows)], object),
    }
    layer = np.array([row % 3 for row in range(rows)], np.int32)
    return UnitTable(LAYERS, layer, np.arange(rows, dtype=np.int32) // 3, columns)


def rows_of(table: UnitTable) -> list[Row]:
    units = [table.unit(row) for row in range(len(table))]
    names = [{"model": unit.model, "layer": unit.layer, "unit": unit.index} for unit in units]
    return [name | {key: values[row] for key, values in table.columns.items()} for row, name in enumerate(names)]


def selected(text: str, table: UnitTable) -> list[int]:
    return np.flatnonzero(filter_mask(text, table)).tolist()


# --- comparisons, and, or, not, parentheses --------------------------------------------------------------------------

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
floats = st.one_of(st.just(math.nan), st.sampled_from([0.0, -0.5, 0.1, 2.0, 1e-3]), st.floats(width=32))
blanks = st.sampled_from(["", " ", "  ", "\t"])


@st.composite
def number_comparisons(draw: st.DrawFn) -> Expression:
    name, operator = draw(st.sampled_from(["max", "std", "unit"])), draw(st.sampled_from(list(COMPARE)))
    number = draw(st.one_of(st.integers(-3, 9).map(float), st.sampled_from([0.1, -0.5, 1e-3, 1.5])))
    written = draw(st.sampled_from([repr(number), f"{number:.3e}", f"'{number!r}'"]))
    text = f"{name}{draw(blanks)}{operator}{draw(blanks)}{written}"
    bound = np.float32(number) if name != "unit" else number
    return text, lambda row: bool(COMPARE[operator](row[name], bound))


@st.composite
def text_comparisons(draw: st.DrawFn) -> Expression:
    name = draw(st.sampled_from(["model", "layer", "concept"]))
    wanted = draw(st.sampled_from(["conv1", "AlexNet", "alexnet", "5", "blue", "sky", "zebra", "and"]))
    operator = draw(st.sampled_from(["=", "!=", "~"]))
    text = f"{name}{draw(blanks)}{operator}{draw(blanks)}" + draw(
        st.sampled_from([wanted, f"'{wanted}'", f'"{wanted}"'])
    )
    if operator == "~":
        return text, lambda row: wanted.lower() in row[name].lower()
    return text, lambda row: (row[name] == wanted) == (operator == "=")


def joined(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    def both(pair: tuple[Expression, Expression]) -> Expression:
        (a, is_a), (b, is_b) = pair
        return f"({a}) and ({b})", lambda row: is_a(row) and is_b(row)

    def either(pair: tuple[Expression, Expression]) -> Expression:
        (a, is_a), (b, is_b) = pair
        return f"({a}) OR ({b})", lambda row: is_a(row) or is_b(row)

    def negated(part: Expression) -> Expression:
        return f"not ({part[0]})", lambda row: not part[1](row)

    pairs = st.tuples(parts, parts)
    return st.one_of(pairs.map(both), pairs.map(either), parts.map(negated))


expressions = st.recursive(st.one_of(number_comparisons(), text_comparisons()), joined, max_leaves=6)


@given(expressions, st.lists(floats, max_size=12))
def test_agrees_with_an_evaluation_row_by_row(expression: Expression, values: list[float]) -> None:
    table = table_of(values)
    text, naive = expression
    assert filter_mask(text, table).tolist() == [naive(row) for row in rows_of(table)]


TABLE = table_of([0.5, 1.0, 2.0, math.nan, -1.0, 2.0, 0.0])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("max > 0.5 and max < 2 or max = 0", [1, 6]),
        ("max = 0 or max > 0.5 and max < 2", [1, 6]),
        ("not max > 0.5 and max < 2", [0, 4, 6]),
        ("not not max >= 2", [2, 5]),
        ("max == -1", [4]),
        ("max>-1e0and", None),
        ("max != 2", [0, 1, 3, 4, 6]),
        ("max = 2 or not max = 2", [0, 1, 2, 3, 4, 5, 6]),
        ("max < 1e300", [0, 1, 2, 4, 5, 6]),
        ("max > 1e300", []),
        ("layer = conv5", [1, 4]),
        ("layer = CONV5", []),
        ("layer ~ CONV5", [1, 4]),
        ("unit = 1", [3, 4, 5]),
        ('concept ~ "DOG\'S"', [4]),
        ("concept = 'Blue sky'", [2]),
        ("concept = ''", [0, 5]),
        ("concept != stripe and unit < 1", [0, 2]),
    ],
)
def test_known_answers(text: str, rows: list[int] | None) -> None:
    if rows is None:
        with pytest.raises(FilterError):
            filter_mask(text, TABLE)
    else:
        assert selected(text, TABLE) == rows


def test_a_float32_is_found_by_the_number_as_it_is_written() -> None:
    assert selected("max = 0.1", table_of([0.1, 0.2])) == [0]
    assert selected("max > 0.1", table_of([0.1, 0.2])) == [1]


# --- top, bottom -----------------------------------------------------------------------------------------------------


@given(st.lists(floats, max_size=30), st.integers(0, 100), st.booleans(), st.booleans())
def test_top_and_bottom_are_the_first_rows_of_the_sorted_table(
    values: list[float], number: int, percent: bool, largest: bool
) -> None:
    table = table_of(values)
    valued = sum(not math.isnan(value) for value in values)
    count = -(-valued * number // 100) if percent else min(number, valued)
    wanted = sorted(table.order("max", ascending=not largest)[:count].tolist())
    text = f"{'top' if largest else 'bottom'} {number}{'%' if percent else ''} max"
    assert selected(text, table) == wanted


def test_a_tenth_of_seventy_is_seven_and_of_seven_one() -> None:
    assert len(selected("top 10% max", table_of([float(value) for value in range(70)]))) == 7
    assert selected("bottom 10 % max and layer = conv1", table_of([0.0, 1, 2, 3, 4, 5, 6])) == [0]
    assert len(selected("top 0.1% max", table_of([0.0, 1, 2]))) == 1


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "column"),
    [
        ("mx > 1", 'unknown metric "mx" at column 1: did you mean max?', 1),
        ("max > 1 and  stdd < 2", 'unknown metric "stdd" at column 14: did you mean std?', 14),
        ("frobnicate > 1", "use model, layer, unit, max, std, concept", 1),
        ("selectivity > 1", "selectivity is not in this store at column 1", 1),
        ("max", "the end where one of < <= > >= = != ~ is expected at column 4", 4),
        ("max >", "the end where a value is expected at column 6", 6),
        ("max > many", "many where a number is expected at column 7", 7),
        ("max > nan", "a number is expected", 7),
        ("max > 1_000", "a number is expected", 7),
        ("max > 50%", "% where and, or or the end is expected at column 9", 9),
        ("max > 1 std < 2", "std where and, or or the end is expected at column 9", 9),
        ("(max > 1", "the end where and, or or ) is expected at column 9", 9),
        ("max > 1)", ") where", 8),
        ("> 1", "> where a metric", 1),
        ("and", "unknown metric", 1),
        ("max ! 1", "did you mean !=?", 5),
        ("concept = 'blue", "the quote is not closed", 11),
        ("concept < blue", "< compares numbers at column 9: concept is text", 9),
        ("max ~ 1", "~ searches texts at column 5: max is a number", 5),
        ("top 10% concept", "concept is text at column 9", 9),
        ("top 101% max", "101 is not a number of units", 5),
        ("top 1.5 max", "write 10 or 10%", 5),
        ("top -1 max", "write 10 or 10%", 5),
        ("top 1e999 max", "write 10 or 10%", 5),
        ("top max", "max where a number is expected", 5),
        ("(" * 5000, "parentheses are nested too deeply", 51),
        ("\x1b[31m > 1", "\\x1b[31m", 1),
    ],
)
def test_mistakes_point_at_the_column(text: str, said: str, column: int) -> None:
    with pytest.raises(FilterError) as error:
        filter_mask(text, TABLE)
    assert said in str(error.value)
    assert error.value.column == column
    assert str(error.value).isprintable()


PIECES = [
    "max",
    "concept",
    "unit",
    "top",
    "bottom",
    "10",
    "%",
    "and",
    "or",
    "not",
    "(",
    ")",
    "<",
    "!=",
    "~",
    "'",
    " ",
    "-1",
]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join)))
def test_any_text_gives_a_mask_or_a_usage_error(text: str) -> None:
    try:
        mask = filter_mask(text, TABLE)
    except UsageError as error:
        said = str(error)
    else:
        said = ""
        assert mask.dtype == bool
        assert mask.shape == (len(TABLE),)
    assert said.isprintable()


@pytest.mark.parametrize("text", ["max > 0.5", "layer ~ conv5 and max < 0", "top 10% max", "not unit = 5"])
def test_a_million_units_are_filtered_without_a_pause(text: str) -> None:
    rng = np.random.default_rng(0)
    rows = 1_000_000
    columns = {"max": rng.standard_normal(rows).astype(np.float32)}
    table = UnitTable(LAYERS, rng.integers(0, 3, rows, np.int32), np.arange(rows, dtype=np.int32), columns)
    times = []
    for _ in range(3):
        begun = time.process_time()
        filter_mask(text, table)
        times.append(time.process_time() - begun)
    assert min(times) < 0.1


def test_columns_are_named_by_their_titles_too() -> None:
    table = table_of([0.1, 0.9, 0.5])
    table.columns["smoothness"] = table.columns["max"]
    table.columns["iou"] = table.columns["max"]
    assert selected("smooth > .4", table) == selected("smoothness > 0.4", table) == [1, 2]
    assert selected("top 1 IoU", table) == selected("iou >= 0.9", table) == [1]
    words = filter_words(table)
    assert {"smooth", "smoothness", "IoU", "iou", "layer"} <= set(words)
    assert words.index("smoothness") < words.index("smooth"), "names come first"
