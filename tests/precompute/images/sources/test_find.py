from pathlib import Path

import pytest

from shapebias.core.errors import UsageError
from shapebias.precompute.images.builtin.drawing import SHAPES, draw_path
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.patterns import expand


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


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("{8..11}.tar", ["8.tar", "9.tar", "10.tar", "11.tar"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("s3://b/{a,b}/{0..1}.tar", ["s3://b/a/0.tar", "s3://b/a/1.tar", "s3://b/b/0.tar", "s3://b/b/1.tar"]),
        ("{a,}.tar", ["a.tar", ".tar"]),
        ("{3..1}", []),
        ("{a..c}{", ["a..c{"]),
    ],
)
def test_braces(pattern: str, names: list[str]) -> None:
    assert expand(pattern) == names


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{0..999999999}.tar", "stands for too many files"),
        ("{000..999}{000..999}{0..1}.tar", "stands for too many files"),
        ("nothing-*.tar", r"no file matches nothing-\*\.tar"),
        ("{5..1}.tar", "no file matches"),
        ("photos/{0..9}.jpg", "patterns are for tar files"),
        ("nothing.tar", "cannot be read: no such file"),
    ],
)
def test_patterns_that_name_nothing(source: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_images(source)


def test_a_tar_file_among_photos_is_not_taken_for_them(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cat").symlink_to(image_folder / "class0")
    (tmp_path / "backup.tar").write_bytes(b"")
    assert len(find_images(str(tmp_path))[0]) == 5
