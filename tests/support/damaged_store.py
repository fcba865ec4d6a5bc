"""Ways to damage a store, for tests, and what an error of one line is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shapebias.core.errors import ShapebiasError


def one_line(error: pytest.ExceptionInfo[ShapebiasError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "\x1b" not in text
    return text


def attributes(path: Path, change: Callable[[dict], None]) -> None:
    """Let `change` alter the attributes in the zarr.json at `path`, a dict, and write them back."""
    content = json.loads(path.read_text())
    change(content["attributes"])
    path.write_text(json.dumps(content))


def flip(path: Path, at: int = -1, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at if at >= 0 else len(data) // 2] ^= 1 << bit
    path.write_bytes(data)
