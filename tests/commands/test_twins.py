"""`shapebias twins`."""

import json
from pathlib import Path

from tests.support.cli import fails, succeeds


def test_twins_are_printed_and_given_as_json(small_store: Path) -> None:
    lines = succeeds("twins", small_store, "Tiny/block2/3", "--limit", 2).splitlines()
    assert lines[0].split() == ["correlation", "unit", "found", "as"]
    assert len(lines) == 5
    records = json.loads(succeeds("twins", small_store, "Tiny/block2/3", "--limit", 2, "--json"))
    assert [record["unit"] for record in records] == [line.split()[1] for line in lines[1:]]
    assert all(-1 <= record["correlation"] <= 1 for record in records)


def test_mistakes_are_said(small_store: Path) -> None:
    assert "Tiny/block2 has units 0 to 20" in fails(2, "twins", small_store, "Tiny/block2/99")
    assert "no model R" in fails(2, "twins", small_store, "Tiny/block2/3", "--model", "R")
