"""The forms of a line: path and class come back whatever separates them, and tables are read by their header."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.errors import UsageError
from shapebias.precompute.images.sources.labelled_lines import parse_any_line, parse_line, parse_lines

paths = st.from_regex(r"[a-zA-Z0-9_./ é-]{0,12}[a-z0-9]\.(jpg|JPEG|png|jfif)", fullmatch=True).filter(
    lambda s: s == s.strip()
)
labels = st.from_regex(r"[0-9]{1,4}|n[0-9]{8}|[a-z]{1,8}( [a-z]{1,8})?", fullmatch=True)


@settings(deadline=None)
@given(paths, labels, st.sampled_from(["\t", " ", "  ", ",", ", ", ";", "\t "]))
def test_path_and_class_come_back(path: str, label: str, separator: str) -> None:
    line = f"{path}{separator}{label}\r".encode()
    assert parse_line(line) == (path.encode(), label.encode())


@settings(deadline=None)
@given(paths)
def test_a_path_alone_has_no_class(path: str) -> None:
    assert parse_line(path.encode()) == (path.encode(), None)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1), labels), min_size=1
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([("filename", "label"), ("Image_ID", "WNID"), ("path", "class name")]),
)
def test_tables_as_csv_writes_them(rows: list[tuple[str, str]], delimiter: str, columns: tuple[str, str]) -> None:
    rows = [(path.strip() or "x", label) for path, label in rows]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["split", *columns])
    writer.writerows(["val", *row] for row in rows)
    expected = [(path.encode(), label.encode()) for path, label in rows]
    assert parse_lines(b"\xef\xbb\xbf" + text.getvalue().encode(), "t.csv") == expected


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        (b"a.jpg b.jpg", b"a.jpg b.jpg", None),
        (b"x y.JPEG 2", b"x y.JPEG", b"2"),
        (b"a,b.jpg", b"a,b.jpg", None),
        (b'"a, b.jpg",3', b"a, b.jpg", b"3"),
        (b"a.jpg,3,train", b"a.jpg", b"3"),
        (b"a.jpg great white shark", b"a.jpg", b"great white shark"),
        (b"a.jpg\tn01440764\ttench", b"a.jpg", b"n01440764"),
        (b"no-extension 7", b"no-extension 7", None),
    ],
)
def test_lines(line: bytes, path: bytes, label: bytes | None) -> None:
    assert parse_line(line) == (path, label)


def test_lines_of_a_file_of_labels_need_no_extension() -> None:
    assert parse_any_line(b"ILSVRC2012_val_00000001 65") == (b"ILSVRC2012_val_00000001", b"65")
    assert parse_any_line(b"a.jpg,tench") == (b"a.jpg", b"tench")
    assert parse_any_line(b"my photo.jpg") == (b"my photo.jpg", None)


def test_tables_whose_columns_cannot_be_told(tmp_path: object) -> None:
    table = b"label,colour,size\ncat,red,3\n"
    with pytest.raises(UsageError, match=r"^t\.csv has the columns label, colour, size: call that of the path `path`$"):
        parse_lines(table, "t.csv")
    assert parse_lines(b"picture,label\na.jpg,cat\n", "t.csv") == [(b"a.jpg", b"cat")]
    assert parse_lines(b"ImageId,PredictionString\nval_1,n01440764 1 2 3 4\n", "t.csv") == [
        (b"val_1", b"n01440764 1 2 3 4")
    ]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_lines_or_an_error(content: bytes) -> None:
    try:
        lines = parse_lines(content, "list")
    except UsageError:
        return
    assert all(path and (label is None or label) for path, label in lines)
