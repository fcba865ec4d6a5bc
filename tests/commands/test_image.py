"""`shapebias image`."""

import json
from pathlib import Path

from tests.support.cli import fails, succeeds


def test_an_image_is_printed_and_given_as_json(small_store: Path) -> None:
    lines = succeeds("image", small_store, "class1/image3.jpg", "--limit", 2).splitlines()
    assert lines[0] == "class1/image3.jpg  (class1)"
    record = json.loads(succeeds("image", small_store, 8, "--limit", 2, "--layer", "block2", "--json"))
    assert record["image"] == "class1/image3.jpg"
    [model] = record["models"]
    assert [unit["unit"] for unit in model["layers"]["block2"]] == [
        line.split()[0] for line in lines if line.startswith("Tiny/block2/")
    ]


def test_mistakes_are_said(small_store: Path) -> None:
    assert "5 images contain class1" in fails(2, "image", small_store, "class1")
    assert "no image nothing" in fails(2, "image", small_store, "nothing")
    assert "no model R" in fails(2, "image", small_store, "8", "--model", "R")
