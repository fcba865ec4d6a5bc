"""Untrusted text is printed so that it never acts on a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.text import aligned, cell_width, padded, plain, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("übung 日本 🙂", "übung 日本 🙂"),
        ("a\nb", "a\\nb"),
        ("a\tb", "a\\tb"),
        ("\x1b]0;evil\x07", "\\x1b]0;evil\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2028", "\\u2028"),
        ("a\ufe0f\u3164", "a\\ufe0f\\u3164"),
        (b"caf\xe9.jpg", "caf\\xe9.jpg"),
        (b"caf\xc3\xa9.jpg", "café.jpg"),
        ("", ""),
    ],
)
def test_examples(text: str | bytes, expected: str) -> None:
    assert printable(text) == expected


@given(st.one_of(st.text(), st.binary(), st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))))
def test_nothing_hidden_comes_out_and_it_can_be_encoded(text: str | bytes) -> None:
    escaped = printable(text)
    assert all(not unicodedata.category(character).startswith("C") for character in escaped)
    assert not {"\u2028", "\u2029"} & set(escaped)
    escaped.encode("utf-8")


@given(st.text(max_size=3000), st.integers(3, 300))
def test_it_is_cut_in_the_middle(text: str, limit: int) -> None:
    escaped = printable(text, limit)
    assert len(escaped) <= limit
    if text.isascii() and text.isprintable() and len(text) > limit:
        head, _, tail = escaped.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert abs(len(head) - len(tail)) <= 1


def test_megabytes_are_cut_too() -> None:
    escaped = printable("a" * 10_000_000 + "\x1b" * 10_000_000, 100)
    assert len(escaped) == 100
    assert escaped.startswith("aaaa")
    assert escaped.endswith("\\x1b")


@given(st.text(st.sampled_from("ab日本é\u0301שלום🙂")), st.integers(3, 30))
def test_cut_text_fits_its_cells_and_padded_text_fills_them(text: str, limit: int) -> None:
    escaped = printable(text, limit)
    assert cell_width(escaped) <= limit
    assert cell_width(padded(escaped, 40)) == 40


def test_columns_of_wide_text_are_aligned() -> None:
    lines = aligned([["日本", "1"], ["a", "200"], ["e\u0301e", "30"]]).splitlines()
    assert {cell_width(line) for line in lines} == {9}


@given(st.text())
def test_plain_text_needs_no_escapes(text: str) -> None:
    assert printable(plain(text), 10_000) == plain(text)
    assert plain(f"a{plain(text)}") == f"a{plain(text)}"
    assert plain("a\x1b[2J\u202eb") == "a[2Jb"
