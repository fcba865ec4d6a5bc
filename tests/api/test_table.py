"""Tables: of any records, shown without their markup, handed to packages that may be missing."""

import sys

import numpy as np
import pytest

import shapebias
from shapebias.api.table import Table, table_of

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def table() -> Table:
    records = [{"name": HOSTILE, "value": 0.5, "count": 3}, {"name": None, "value": None, "count": 4}]
    return table_of(records, ("name", "value", "count"))


def test_columns_have_their_types() -> None:
    assert [table()[name].dtype for name in table().columns] == [np.dtype(object), np.dtype(float), np.dtype(int)]
    assert table()[0] == {"name": HOSTILE, "value": 0.5, "count": 3}
    assert table()["name"][1] == ""
    assert np.isnan(table()[1]["value"])
    assert next(iter(table()[1:]))["count"] == 4
    assert table().to_polars()["value"].to_list() == [0.5, None]
    assert table().to_arrow()["value"].to_pylist() == [0.5, None]
    assert table().to_pandas()["count"].tolist() == [3, 4]


def test_what_is_shown_holds_no_markup() -> None:
    html = table()._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in html + repr(table())
    assert "&lt;script&gt;" in html
    assert repr(table()).splitlines()[0].split() == ["name", "value", "count"]


def test_an_empty_table() -> None:
    empty = table_of([], ("a", "b"))
    assert len(empty) == 0
    assert empty.columns == ["a", "b"]
    assert list(empty) == []
    assert "<table>" in empty._repr_html_()


@pytest.mark.parametrize(
    ("package", "method", "extra"),
    [("pandas", "to_pandas", "pandas"), ("polars", "to_polars", "polars"), ("pyarrow", "to_arrow", "parquet")],
)
def test_a_missing_package_is_named(package: str, method: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(shapebias.errors.ShapebiasError) as caught:
        getattr(table(), method)()
    assert str(caught.value) == f"{package} is not installed: pip install 'shapebias[{extra}]'"
