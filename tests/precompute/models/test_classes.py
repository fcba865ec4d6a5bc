"""Classes of a network: the files that name them."""

import json
from pathlib import Path
from typing import Any

import pytest

from shapebias.core.errors import UsageError
from shapebias.precompute.models.classes import read_classes


@pytest.mark.parametrize(
    "content",
    [
        ["cat", "dog", "owl"],
        {"0": "cat", "1": "dog", "2": "owl"},
        {"2": "owl", "0": "cat", "1": "dog"},
        {"0": ["cat", "a cat"], "1": ["dog", "a dog"], "2": ["owl", "an owl"]},
        {"owl": 2, "cat": 0, "dog": 1},
        "cat\ndog\nowl\n",
        "cat\r\ndog\r\nowl\r\n\r\n",
    ],
)
def test_every_form_of_a_list(tmp_path: Path, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "c").write_text(text, newline="")
    assert read_classes(tmp_path / "c") == ["cat", "dog", "owl"]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"[1, 2]", b'{"0": "a", "2": "b"}', b'["a"', b"a\n\nb", b"\xff\xfe", b'["a", "a"]'),
        *(b"[[]]", b'{"a": 0, "b": 0}', b"[" * 100_000, b'{"a": true}', b'{"0": null}'),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_classes(tmp_path / "c")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_classes(path)
