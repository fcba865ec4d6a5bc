"""The filter language: expressions that select units of a table, such as `selectivity > 0.8 and layer ~ conv`.

    EXPR      = TERM {or TERM}        TERM = FACTOR {and FACTOR}
    FACTOR    = not FACTOR | (EXPR) | @NAME | COLUMN OPERATOR VALUE | (top | bottom) NUMBER[%] COLUMN
    COLUMN    = model, layer, unit or a metric, by its name or its title (smoothness or smooth)
    OPERATOR  = < <= > >= (numbers)  = != (both)  ~ (texts: contains, upper or lower case)
    VALUE     = a number, a word, or 'text' or "text" in quotes

Numbers are compared in the column's own precision, so that `max = 0.1` matches a float32 0.1. NaN matches no comparison
except `!=`: `a != b` always means `not a = b`. `top 10% max` selects a tenth (rounded up) of the table's units that
have a value, those with the largest values. `bottom 5 max` selects the five smallest. Of equal values the earlier row
wins. `@NAME` stands for an expression that the user saved (`saved_filters.py`).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS
from shapebias.core.text import printable
from shapebias.core.units.table import UnitTable

Mask = NDArray[np.bool_]

_DEEPEST = 50  # largest depth of nested parentheses
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'[^']*'|"[^"]*") | (?P<symbol><=|>=|!=|==|[<>=~()%]) | (?P<word>[^\s<>=!~()%'"]+))""", re.X
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_ORDER: dict[str, Callable[..., Mask]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}


class FilterError(UsageError):
    """The filter expression is wrong.

    problem:  what is wrong
    column:   the position of the error in the expression, in characters from 1
    hint:     what may be meant; empty where that is unknown
    """

    def __init__(self, problem: str, column: int, hint: str = "") -> None:
        super().__init__(f"{problem} at column {column}" + (f": {hint}" if hint else ""))
        self.problem, self.column, self.hint = problem, column, hint


@dataclass(frozen=True)
class _Token:
    kind: str  # kind of the token: string, symbol, word or end
    text: str
    column: int

    @property
    def value(self) -> str:
        """The text without its quotes."""
        return self.text[1:-1] if self.kind == "string" else self.text

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words


def filter_mask(text: str, table: UnitTable, saved: Mapping[str, str] | None = None, defines: str = "") -> Mask:
    """Return which rows of `table` the expression `text` selects, bool [rows]; all where it is blank.

    `saved` are expressions by name, for `@NAME`; `defines` is the name that the expression is to have, which it cannot
    contain. Raises FilterError where the expression is wrong.
    """
    if not text.strip():
        return np.ones(len(table), bool)
    return _Parser(_tokens(text), table, saved or {}, frozenset([defines])).parse()


def select_units(
    table: UnitTable,
    condition: str | None = None,
    sort: str | None = None,
    ascending: bool = False,
    *,
    saved: Mapping[str, str] | None = None,
) -> UnitTable:
    """Return the units of `table` that the expression `condition` selects, sorted by the metric `sort`: the largest
    first, unless `ascending`.

    None selects all units, or leaves them in their order. `saved` are expressions by name, for `@NAME`. Raises
    FilterError where the expression is wrong, and UsageError for a metric that the table does not have.

    >>> layers = [("demo-s", "conv1"), ("demo-s", "conv2")]
    >>> layer, index = np.array([0, 0, 1], np.int32), np.array([0, 1, 0], np.int32)
    >>> table = UnitTable(layers, layer, index, {"tv": np.array([0.5, 2.0, 1.5], np.float32)})
    >>> chosen = select_units(table, "tv > 1 and model = demo-s", sort="tv")
    >>> [str(chosen.unit(row)) for row in range(len(chosen))]
    ['demo-s/conv1/1', 'demo-s/conv2/0']
    """
    if condition is not None:
        table = table.take(np.flatnonzero(filter_mask(condition, table, saved)))
    return table if sort is None else table.take(table.order(sort, ascending))


def filter_columns(table: UnitTable) -> list[str]:
    """Return the names of the columns that an expression over `table` can use."""
    return ["model", "layer", "unit", *table.columns]


def filter_words(table: UnitTable) -> list[str]:
    """Return all words that stand for a column of `table`: names, and titles of one word."""
    return [*filter_columns(table), *_titles(table)]


def _titles(table: UnitTable) -> dict[str, str]:
    """Return names of columns by their titles, for the columns whose title is one word that names no column."""
    titles = {METRICS[name].title: name for name in table.columns}
    return {title: name for title, name in titles.items() if " " not in title and title not in table.columns}


def _tokens(text: str) -> list[_Token]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            hint = "the quote is not closed" if text[position] in "'\"" else "did you mean !=?"
            raise FilterError(f"unexpected {printable(text[position])}", position + 1, hint)
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        position = match.end()
    return [*tokens, _Token("end", "", end + 1)]


class _Parser:
    """A recursive-descent parser that evaluates the expression while it reads it."""

    def __init__(
        self, tokens: list[_Token], table: UnitTable, saved: Mapping[str, str], inside: frozenset[str]
    ) -> None:
        """`inside` are the names of the saved expressions in which this one is."""
        self._tokens, self._table = tokens, table
        self._saved, self._inside = saved, inside
        self._position = 0
        self._depth = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _take(self) -> _Token:
        token = self._next
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token

    def parse(self) -> Mask:
        mask = self._expression()
        if self._next.kind != "end":
            raise _unexpected(self._next, "and, or or the end")
        return mask

    def _expression(self) -> Mask:
        mask = self._term()
        while self._next.is_word("or"):
            self._take()
            mask = mask | self._term()
        return mask

    def _term(self) -> Mask:
        mask = self._factor()
        while self._next.is_word("and"):
            self._take()
            mask = mask & self._factor()
        return mask

    def _factor(self) -> Mask:
        negated = False
        while self._next.is_word("not"):
            self._take()
            negated = not negated
        if self._next.text == "(":
            mask = self._parentheses()
        elif self._next.kind == "word" and self._next.text.startswith("@"):
            mask = self._named(self._take())
        elif self._next.is_word("top", "bottom"):
            mask = self._selection(largest=self._take().is_word("top"))
        else:
            mask = self._comparison()
        return ~mask if negated else mask

    def _named(self, token: _Token) -> Mask:
        """Return which units a saved expression selects; its mistakes are at the column of its name."""
        name = token.text[1:]
        if name in self._inside:
            raise FilterError(f"{printable(token.text, 40)} would contain itself", token.column)
        if name not in self._saved:
            hint = f"there is {', '.join(f'@{name}' for name in self._saved)}" if self._saved else ""
            raise FilterError(
                f"no filter is saved as {printable(token.text, 40)}",
                token.column,
                printable(hint) or f"{printable(token.text, 40)} = EXPRESSION in the explorer saves one",
            )
        expression = self._saved[name]
        try:
            return _Parser(_tokens(expression), self._table, self._saved, self._inside | {name}).parse()
        except FilterError as error:
            what = f"in {printable(token.text, 40)}, which is {printable(expression, 80)}: {error.problem}"
            raise FilterError(what, token.column, error.hint) from error

    def _parentheses(self) -> Mask:
        opened = self._take()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise FilterError("parentheses are nested too deeply", opened.column)
        mask = self._expression()
        self._depth -= 1
        if self._next.text != ")":
            raise _unexpected(self._next, "and, or or )")
        self._take()
        return mask

    def _selection(self, largest: bool) -> Mask:
        amount = self._take()
        number = _number(amount)
        percent = self._next.text == "%"
        if percent:
            self._take()
        if number < 0 or (percent and number > 100) or (not percent and number % 1 != 0):
            raise FilterError(
                f"{printable(amount.text, 40)} is not a number of units", amount.column, "write 10 or 10%"
            )
        name = self._column()
        if self._is_text(name.text):
            raise FilterError(f"{name.text} is text", name.column, "only numbers have a top and a bottom")
        return _extreme(self._numbers(name.text), number, percent, largest)

    def _comparison(self) -> Mask:
        name = self._column()
        operator, value = self._take(), self._take()
        symbol = "=" if operator.text == "==" else operator.text
        if symbol not in (*_ORDER, "~"):
            raise _unexpected(operator, "one of < <= > >= = != ~")
        if value.kind not in ("word", "string"):
            raise _unexpected(value, "a value")
        if self._is_text(name.text):
            if symbol not in ("=", "!=", "~"):
                raise FilterError(f"{symbol} compares numbers", operator.column, f"{name.text} is text: use = != ~")
            return self._compare_texts(name.text, symbol, value.value)
        if symbol == "~":
            raise FilterError("~ searches texts", operator.column, f"{name.text} is a number: use < <= > >= = !=")
        values, number = self._numbers(name.text), _number(value)
        with np.errstate(over="ignore"):  # numbers beyond float32 become infinite
            return _ORDER[symbol](values, values.dtype.type(number) if values.dtype.kind == "f" else number)

    def _column(self) -> _Token:
        """Return the next token, its text replaced by the name of the column that it names. Raises FilterError where it
        names none.
        """
        token = self._take()
        columns = filter_columns(self._table)
        if token.kind != "word":
            raise _unexpected(token, "a metric, model, layer or unit")
        titles = {title.lower(): name for title, name in _titles(self._table).items()}
        if token.text not in columns and token.text.lower() in titles:
            return replace(token, text=titles[token.text.lower()])
        if token.text not in columns:
            absent = f"{token.text} is not in this store"
            problem = absent if token.text in METRICS else f'unknown metric "{printable(token.text, 40)}"'
            close = get_close_matches(token.text.lower(), columns, 1)
            raise FilterError(
                problem, token.column, f"did you mean {close[0]}?" if close else f"use {', '.join(columns)}"
            )
        return token

    def _is_text(self, name: str) -> bool:
        return name in ("model", "layer") or (name != "unit" and self._table.columns[name].dtype.kind not in "iuf")

    def _numbers(self, name: str) -> NDArray[np.float32] | NDArray[np.int32]:
        return self._table.index if name == "unit" else self._table.columns[name]

    def _compare_texts(self, name: str, symbol: str, value: str) -> Mask:
        """Return which rows of the column `name` match the text `wanted` by = != or ~, bool [rows]. Compares each
        different text once.
        """

        def matches(text: object) -> bool:
            return value.casefold() in str(text).casefold() if symbol == "~" else str(text) == value

        if name in ("model", "layer"):
            part = ("model", "layer").index(name)
            mask = np.array([matches(pair[part]) for pair in self._table.layers], bool)[self._table.layer]
        else:
            texts = self._table.columns[name].tolist()
            answers = {text: matches(text) for text in set(texts)}
            mask = np.fromiter((answers[text] for text in texts), bool, len(texts))
        return ~mask if symbol == "!=" else mask


def _unexpected(token: _Token, expected: str) -> FilterError:
    text = "the end" if token.kind == "end" else printable(token.text, 40)
    return FilterError(f"{text} where {expected} is expected", token.column)


def _number(token: _Token) -> float:
    if _NUMBER.fullmatch(token.value) is None:
        raise _unexpected(token, "a number")
    return float(token.value)


def _extreme(values: NDArray[np.float32] | NDArray[np.int32], number: float, percent: bool, largest: bool) -> Mask:
    """Return which values are the `number` smallest or largest, bool [rows]; of equal values the earlier row wins.

    With `percent`, `number` is a percentage of the values that are not NaN, rounded up.
    """
    mask = ~np.isnan(values)
    valued = int(mask.sum())
    count = math.ceil(valued * number / 100 - 1e-9) if percent else min(int(number), valued)
    if 0 < count < valued:
        keys = -values if largest else values
        edge = np.partition(keys, count - 1)[count - 1]
        mask = keys < edge
        mask[np.flatnonzero(keys == edge)[: count - int(mask.sum())]] = True
    return mask if count else np.zeros(len(values), bool)
