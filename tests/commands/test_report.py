"""`shapebias report`: its formats and its mistakes."""

from pathlib import Path

import pytest

from tests.support.cli import fails, succeeds


def test_a_page_and_markdown(small_store: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "report.html"
    assert succeeds("report", small_store, "-o", page, "--light") == f"{page}\n"
    html = page.read_text("utf-8")
    assert html.startswith("<!doctype html>")
    assert f"shapebias report {small_store} --light -o {page}" in html
    assert "shapebias precompute" in html
    succeeds("report", small_store, "-o", tmp_path / "report.md", "--light")
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text.startswith("# Tiny\n")
    assert f"](report-pictures/{'accuracy'}.png)" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "r.html", "--format", "pdf"), "no --format pdf: there are html, md"),
        (("-o", "r.html", "--pair", "Tiny"), "name two models"),
        (("-o", "r.html", "--pair", "Tiny,Big"), "no model Big"),
        (("-o", "."), "is a folder: name a file"),
    ],
)
def test_wrong_usage(small_store: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in fails(2, "report", small_store, *arguments)


def test_what_cannot_be_read_or_written(small_store: Path, tmp_path: Path) -> None:
    assert "does not exist" in fails(1, "report", tmp_path / "nothing.zarr", "-o", tmp_path / "r.html")
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "cannot write" in fails(1, "report", small_store, "-o", blocked / "r.html", "--light")


def test_without_matplotlib(small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert "pip install 'shapebias[plots]'" in fails(1, "report", small_store, "-o", tmp_path / "r.html")
