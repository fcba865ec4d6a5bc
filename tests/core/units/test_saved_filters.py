"""Filters with names and those used last, on the disk and in expressions."""

from pathlib import Path

import numpy as np
import pytest

from shapebias.core.errors import ShapebiasError
from shapebias.core.units.filter import FilterError, filter_mask
from shapebias.core.units.saved_filters import SavedFilters, definition_in, saved_filters
from tests.core.units.test_filter import table_of

TABLE = table_of([1.0, 2.0, 3.0, 4.0])


def test_they_are_there_in_the_next_run_and_in_another_one_meanwhile() -> None:
    one, other = SavedFilters(), SavedFilters()
    one.save("large", "max > 2")
    other.save("small", "max < 2")
    other.use("@small")
    for text in ("max > 1", "@small", "max > 3"):
        one.use(text)
    assert saved_filters() == {"large": "max > 2", "small": "max < 2"}
    other.load()
    assert other.recent == ["max > 1", "@small", "max > 3"], "each once, the newest last"
    one.save("small", "")
    assert saved_filters() == {"large": "max > 2"}


def test_so_many_are_remembered() -> None:
    filters = SavedFilters()
    for number in range(130):
        filters.use(f"max > {number}")
    filters.load()
    assert filters.recent == [f"max > {number}" for number in range(30, 130)]


@pytest.mark.parametrize("contents", ["{", "[]", '{"saved": []}', '{"saved": {"a": 1}}', '{"recent": [3]}'])
def test_a_damaged_file_is_said_and_kept(state_home: Path, contents: str) -> None:
    file = state_home / "shapebias" / "filters.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(contents)
    with pytest.raises(ShapebiasError, match="damaged"):
        saved_filters()
    with pytest.raises(ShapebiasError, match="damaged"):
        SavedFilters().save("large", "max > 2")
    assert file.read_text() == contents or '"recent"' in contents


@pytest.mark.parametrize(
    ("text", "name", "expression"),
    [
        ("@large = max > 2", "large", "max > 2"),
        (" @a-1=@large and max < 4 ", "a-1", "@large and max < 4"),
        ("@large =", "large", ""),
    ],
)
def test_a_definition(text: str, name: str, expression: str) -> None:
    definition = definition_in(text)
    assert definition is not None
    assert (definition.name, definition.expression) == (name, expression)
    assert text[definition.start :].strip() == expression


@pytest.mark.parametrize("text", ["max = 2", "@large", "@large and max = 2", "@large == 2", "@ = max > 2", ""])
def test_no_definition(text: str) -> None:
    assert definition_in(text) is None


def test_a_name_stands_for_its_expression() -> None:
    saved = {"large": "max > 2 or max < 0", "both": "@large and max < 4"}
    assert np.array_equal(filter_mask("@large", TABLE, saved), filter_mask("max > 2", TABLE))
    assert filter_mask("not @both", TABLE, saved).tolist() == [True, True, False, True], "as if in parentheses"


def test_mistakes_are_at_the_name() -> None:
    with pytest.raises(FilterError, match="no filter is saved as @large at column 13: @large = EXPRESSION"):
        filter_mask("max > 1 and @large", TABLE)
    with pytest.raises(FilterError, match="no filter is saved as @x at column 1: there is @large"):
        filter_mask("@x", TABLE, {"large": "max > 2"})
    with pytest.raises(FilterError, match='which is maxi > 2: unknown metric "maxi" at column 5: did you mean max'):
        filter_mask("not @large", TABLE, {"large": "maxi > 2"})
    with pytest.raises(FilterError, match="@a would contain itself"):
        filter_mask("@a", TABLE, {"a": "@b", "b": "max > 1 and @a"})
    with pytest.raises(FilterError, match="@a would contain itself at column 1"):
        filter_mask("@a or max > 1", TABLE, {"a": "max > 3"}, defines="a")
