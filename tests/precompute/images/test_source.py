from pathlib import Path

import pytest

from shapebias.core.errors import UsageError
from shapebias.precompute.images.builtin import SHAPES, draw_path
from shapebias.precompute.images.source import find_images


def test_a_folder(image_folder: Path) -> None:
    images, skipped = find_images(str(image_folder), 10)
    assert (len(images), skipped, images.read) == (10, [], None)
    assert images.root == image_folder


@pytest.mark.parametrize(("split", "count"), [("train", 6000), ("probe", 2000), ("cue-conflict", 1200)])
def test_built_in_images(split: str, count: int) -> None:
    images, skipped = find_images(f"builtin:{split}")
    assert (len(images), skipped, images.read) == (count, [], draw_path)
    some, _ = find_images(f"builtin:{split}", 32)
    assert [images.paths.index(path) for path in some.paths] == [index * count // 32 for index in range(32)]
    assert set(some.labels.tolist()) == set(range(len(SHAPES)))


@pytest.mark.parametrize(
    ("source", "limit", "said"),
    [
        ("builtin:probes", None, "no built-in images builtin:probes: builtin:train, builtin:probe"),
        ("builtin:", None, "no built-in images"),
        ("builtin:probe", 0, "at least 1, not 0"),
        ("builtin", None, "no folder builtin"),
    ],
)
def test_bad_sources_are_one_line(source: str, limit: int | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_images(source, limit)
