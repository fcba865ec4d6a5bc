"""The unit table as text, JSON, CSV or Parquet."""

import csv
import io
import json
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import cannot_write
from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Store
from shapebias.core.text import aligned, printable
from shapebias.core.units.table import UnitTable, unit_columns, unit_records

FORMATS = ("table", "json", "csv", "parquet")


def write_units(store: Store, table: UnitTable, form: str, text: TextIO, binary: BinaryIO) -> None:
    """Write `table`, of units of `store`, in the format `form` of FORMATS: Parquet to `binary`, the others to `text`.

    Undefined values are null in JSON and Parquet, and empty in CSV. Raises UsageError for another format, and
    ShapebiasError where Parquet's package is missing.
    """
    if form == "table":
        text.write(units_text(table))
    elif form == "json":
        json.dump(unit_records(store, table), text, indent=1, allow_nan=False)
        text.write("\n")
    elif form == "csv":
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["model", "layer", "unit", *table.columns])
        for row in range(len(table)):
            unit = table.unit(row)
            cells = (table.cell(name, row) for name in table.columns)
            texts = [cell if isinstance(cell, str) else "" if np.isnan(cell) else repr(cell) for cell in cells]
            writer.writerow([unit.model, unit.layer, unit.index, *texts])
    elif form == "parquet":
        _write_parquet(table, binary)
    else:
        raise UsageError(f"no format {printable(form)}: {', '.join(FORMATS)}")


def units_text(table: UnitTable) -> str:
    """Return the table as text in aligned columns, with a header line; no row or column is left out."""
    header = ["unit", *(METRICS[name].title for name in table.columns)]
    rows = [
        [str(table.unit(row)), *(METRICS[name].format(table.cell(name, row)) for name in table.columns)]
        for row in range(len(table))
    ]
    return aligned([header, *rows])


def _write_parquet(table: UnitTable, binary: BinaryIO) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ShapebiasError("Parquet needs pyarrow: pip install 'shapebias[parquet]'") from error
    buffer = io.BytesIO()
    arrays = {name: pyarrow.array(values, from_pandas=True) for name, values in unit_columns(table).items()}
    pyarrow.parquet.write_table(pyarrow.table(arrays), buffer)
    binary.write(buffer.getvalue())


def write_units_file(store: Store, table: UnitTable, form: str, path: Path) -> None:
    """Write `table` into a file, in the formats of `write_units`.

    Raises UsageError for another format, ShapebiasError where Parquet's package is missing, and CannotWriteError where
    the file cannot be written.
    """
    try:
        if form == "parquet":
            with path.open("wb") as binary:
                write_units(store, table, form, io.StringIO(), binary)
        else:
            with path.open("w", encoding="utf-8", newline="") as text:
                write_units(store, table, form, text, io.BytesIO())
    except OSError as error:
        raise cannot_write(path, error) from error
