"""The unit table in every format says the same."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.metrics import METRICS
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.export import units_text, write_units, write_units_file
from shapebias.core.units.table import UnitTable, load_units


@pytest.fixture(scope="module")
def store(small_store: Path) -> Store:
    return open_store(small_store)


@pytest.fixture
def table(store: Store) -> UnitTable:
    """The store's units in an order of their own, one number undefined."""
    table = load_units(store)
    table = table.take(table.order("mean"))
    table.columns["selectivity"][3] = np.nan
    return table


def written(store: Store, table: UnitTable, form: str) -> str:
    text = io.StringIO()
    write_units(store, table, form, text, io.BytesIO())
    return text.getvalue()


def test_json_csv_and_parquet_agree_to_the_last_bit(store: Store, table: UnitTable) -> None:
    records = json.loads(written(store, table, "json"))
    rows = list(csv.DictReader(io.StringIO(written(store, table, "csv"))))
    binary = io.BytesIO()
    write_units(store, table, "parquet", io.StringIO(), binary)
    columns = pyarrow.parquet.read_table(io.BytesIO(binary.getvalue())).to_pydict()
    assert len(records) == len(rows) == len(columns["unit"]) == len(table)
    for index, (record, row) in enumerate(zip(records, rows, strict=True)):
        unit = table.unit(index)
        for fields in (record, row, {name: values[index] for name, values in columns.items()}):
            assert (fields["model"], fields["layer"], int(fields["unit"])) == (unit.model, unit.layer, unit.index)
            for name, values in table.columns.items():
                if np.isnan(values[index]):
                    assert fields[name] in (None, "")
                else:
                    assert np.float32(fields[name]) == values[index]
    assert records[3]["selectivity"] is None


def test_json_has_the_promised_shape(store: Store, table: UnitTable) -> None:
    record = json.loads(written(store, table, "json"))[0]
    assert list(record) == ["model", "layer", "unit", *table.columns, "top"]
    assert set(record["top"][0]) == {"image", "value", "y", "x"}


def test_the_table_is_aligned_and_whole(table: UnitTable) -> None:
    lines = units_text(table).splitlines()
    assert len(lines) == 1 + len(table)
    assert lines[0].split() == ["unit", *(METRICS[name].title for name in table.columns)]
    assert len({len(line) for line in lines}) == 1  # numbers end at the same column
    for row, line in enumerate(lines[1:]):
        cells = line.split()
        assert cells[0] == str(table.unit(row))
        assert cells[1:] == [METRICS[name].format(float(values[row])) for name, values in table.columns.items()]
    assert "–" in lines[4]


@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_a_table_without_rows(store: Store, table: UnitTable, form: str) -> None:
    empty = table.take(np.zeros(0, np.int64))
    binary = io.BytesIO()
    text = io.StringIO()
    write_units(store, empty, form, text, binary)
    assert text.getvalue() or binary.getvalue()


def test_an_unknown_format_is_a_usage_error(store: Store, table: UnitTable) -> None:
    with pytest.raises(UsageError, match="parquet"):
        written(store, table, "xml")


@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_a_file_holds_the_same(store: Store, table: UnitTable, tmp_path: Path, form: str) -> None:
    path = tmp_path / "units"
    write_units_file(store, table, form, path)
    if form == "parquet":
        assert pyarrow.parquet.read_table(path).num_rows == len(table)
    else:
        assert path.read_text("utf-8") == written(store, table, form)


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_file_that_cannot_be_written_is_one_line(store: Store, table: UnitTable, tmp_path: Path, form: str) -> None:
    for path in (tmp_path, tmp_path / "none\n" / "units"):
        with pytest.raises(ShapebiasError, match="cannot be written") as error:
            write_units_file(store, table, form, path)
        assert "\n" not in str(error.value)


def test_csv_quotes_what_needs_it(store: Store) -> None:
    name = 'a,"b"\nc'
    table = UnitTable([("M", name)], np.zeros(1, np.int32), np.zeros(1, np.int32), {"max": np.ones(1, np.float32)})
    rows = list(csv.reader(io.StringIO(written(store, table, "csv"))))
    assert rows[1] == ["M", name, "0", "1.0"]
