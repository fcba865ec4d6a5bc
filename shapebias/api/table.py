"""Tables of rows and columns, which notebooks display and which can be converted for other packages."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from shapebias.api.html import table_html
from shapebias.api.packages import import_extra
from shapebias.core.errors import UsageError
from shapebias.core.text import aligned, printable

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_IN_TEXT, _IN_HTML = 10, 20  # rows that are shown
Row = TypeVar("Row", covariant=True)


class TableBase(ABC, Generic[Row]):
    """The base class of tables: access by rows and by columns, display, and conversion for other packages."""

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self._columns = dict(columns)

    # Overridden by each kind of table

    @abstractmethod
    def _row(self, number: int) -> Row:
        """Return a row by its number, from 0."""

    @abstractmethod
    def _take(self, rows: NDArray[np.int64]) -> Self:
        """Return a table of the rows with these numbers, in this order."""

    def _cell(self, name: str, value: Any) -> str:
        """Return a value of the column `name` as it is displayed."""
        if isinstance(value, str):
            return printable(value, 60)
        if isinstance(value, float | np.floating):
            return "–" if np.isnan(value) else f"{value:.4g}"
        return str(value)

    def _header(self) -> dict[str, str]:
        """Return the explanations of the displayed columns by name, empty where there is none."""
        return dict.fromkeys(self._columns, "")

    # Rows and columns

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __iter__(self) -> Iterator[Row]:
        return map(self._row, range(len(self)))

    @overload
    def __getitem__(self, key: int) -> Row: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    def __getitem__(self, key: int | slice | str) -> "Row | Self | NDArray[Any]":
        """Return a row by its number, a table of some rows by a slice, or a column [rows] by its name.

        Raises IndexError for a row, UsageError for a column that is not there.
        """
        if isinstance(key, slice):
            return self._take(np.arange(len(self))[key])
        if isinstance(key, str):
            if key not in self._columns:
                raise UsageError(f"no column {printable(key)}: there are {', '.join(self._columns)}")
            return self._columns[key].copy()
        return self._row(range(len(self))[key])

    # Conversion for other packages

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a pandas data frame with a column for each column. Raises ShapebiasError where pandas is not
        installed.

        >>> store.units().to_pandas().groupby("model")["unit"].count()["R"]
        np.int64(256)
        """
        frame: pandas.DataFrame = import_extra("pandas", "pandas").DataFrame(self._columns)
        return frame

    def to_arrow(self) -> "pyarrow.Table":
        """Return an Arrow table, null where a number is undefined. Raises ShapebiasError where pyarrow is not
        installed.

        >>> store.units().to_arrow().num_rows
        512
        """
        arrow = import_extra("pyarrow", "parquet")
        return arrow.table({name: arrow.array(values, from_pandas=True) for name, values in self._columns.items()})

    def to_polars(self) -> "polars.DataFrame":
        """Return a Polars data frame, null where a number is undefined. Raises ShapebiasError where Polars is not
        installed.

        >>> store.units().to_polars().height
        512
        """
        series = {name: values.tolist() if values.dtype == object else values for name, values in self._columns.items()}
        frame: polars.DataFrame = import_extra("polars", "polars").DataFrame(series, nan_to_null=True)
        return frame

    # Display

    def _cells(self, names: Sequence[str], count: int) -> list[list[str]]:
        return [[self._cell(name, self._columns[name][row]) for name in names] for row in range(min(count, len(self)))]

    def _more(self, count: int) -> str:
        return f"… {len(self):,} rows" if len(self) > count else ""

    def __repr__(self) -> str:
        names = list(self._header())
        text = aligned([names, *self._cells(names, _IN_TEXT)], left=0)
        return text + self._more(_IN_TEXT) if len(self) > _IN_TEXT else text.rstrip("\n")

    def _repr_html_(self) -> str:
        header = self._header()
        names = list(header)
        numbers = [self._columns[name].dtype != object for name in names]
        table = table_html(names, self._cells(names, _IN_HTML), numbers=numbers, hints=list(header.values()))
        return table + self._more(_IN_HTML)


class Table(TableBase[dict[str, Any]]):
    """A table whose rows are dictionaries by column; columns are arrays, of texts where their type is object.

    >>> accuracy = store.accuracy()
    >>> accuracy.columns
    ['model', 'kind', 'condition', 'accuracy', 'images']
    >>> accuracy[0]["model"], accuracy[0]["condition"], accuracy[0]["images"]
    ('S', 'clean', 48)
    >>> len(accuracy[:1])
    1
    >>> frame = accuracy.to_pandas()
    >>> frame["images"].max()
    np.int64(48)
    """

    def _row(self, number: int) -> dict[str, Any]:
        return {
            name: values[number] if values.dtype == object else values[number].item()
            for name, values in self._columns.items()
        }

    def _take(self, rows: NDArray[np.int64]) -> "Table":
        return Table({name: values[rows] for name, values in self._columns.items()})


def table_of(records: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Return a table of records with these columns, which all records have; None becomes NaN or an empty text."""
    return Table({name: _column([record[name] for record in records]) for name in columns})


def _column(values: list[Any]) -> NDArray[Any]:
    """Return values as an array: of type object where some are texts, else of numbers.

    None becomes an empty text or NaN.
    """
    present = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in present):
        return np.array(["" if value is None else value for value in values], object)
    if len(present) < len(values):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array(values)
