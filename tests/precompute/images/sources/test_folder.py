"""Listing a folder: order, labels, limits, odd names, links, and errors that say what to do."""

import os
from pathlib import Path

import numpy as np
import pytest

from shapebias.core import imagenet
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.images.image_set import Skipped
from shapebias.precompute.images.sources import folder
from shapebias.precompute.images.sources.folder import list_images


def make(root: Path, *names: str | bytes) -> Path:
    for name in names:
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_class_folders(tmp_path: Path) -> None:
    make(tmp_path, "dog/2.jpg", "dog/1.PNG", "cat/b/deep.webp", "cat/a.tiff", "empty/notes.txt", "README.txt")
    images, skipped = list_images(tmp_path)
    assert images.paths == [b"cat/a.tiff", b"cat/b/deep.webp", b"dog/1.PNG", b"dog/2.jpg"]
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.labels.dtype == np.int32
    assert images.class_ids == images.class_names == ["cat", "dog"]
    assert (len(images), images.root, skipped) == (4, tmp_path, [])


def test_classes_keep_together_where_bytes_would_not(tmp_path: Path) -> None:
    make(tmp_path, "a/x.jpg", "a-b/x.jpg")  # "-" sorts before "/"
    images, _ = list_images(tmp_path)
    assert images.paths == [b"a/x.jpg", b"a-b/x.jpg"]
    assert images.labels.tolist() == [0, 1]


def test_imagenet_labels(tmp_path: Path) -> None:
    wnids = imagenet.wnids()
    make(tmp_path, f"{wnids[999]}/z.JPEG", f"{wnids[7]}/y.JPEG", ".hidden/x.jpg", "notes/readme.txt")
    images, _ = list_images(tmp_path)
    assert images.labels.tolist() == [7, 999]
    assert images.class_ids == wnids
    assert images.class_names == imagenet.class_names()
    make(tmp_path, "n00000000/w.jpg")
    images, _ = list_images(tmp_path)
    assert images.class_ids == ["n00000000", wnids[7], wnids[999]]


def test_a_folder_that_is_a_class_of_imagenet_itself(tmp_path: Path) -> None:
    images, _ = list_images(make(tmp_path / imagenet.wnids()[7], "b.jpg", "a.jpg"))
    assert (images.paths, images.labels.tolist()) == ([b"a.jpg", b"b.jpg"], [7, 7])


def test_flat_folder_is_searched_throughout_without_labels(tmp_path: Path) -> None:
    make(tmp_path, "b.jpg", "a.gif", "sub/c.bmp", "sub/deeper/d.jpe", "sub/.hidden.jpg", ".secret/e.jpg", "f.txt")
    images, _ = list_images(tmp_path)
    assert images.paths == [b"a.gif", b"b.jpg", b"sub/c.bmp", b"sub/deeper/d.jpe"]
    assert images.labels.tolist() == [-1] * 4
    assert (images.class_ids, images.class_names) == ([], [])


def test_names_of_any_bytes(tmp_path: Path) -> None:
    names = [b"\xff\xfe/\x1b[2J.jpg", b"\xff\xfe/new\nline.jpg", "ü/é.jpg".encode()]
    make(tmp_path, *names)
    images, _ = list_images(tmp_path)
    assert sorted(images.paths) == sorted(names)
    assert [os.fsencode(name) for name in images.class_ids] == ["ü".encode(), b"\xff\xfe"]


def test_links_count_and_loops_end(tmp_path: Path) -> None:
    root = make(tmp_path / "root", "a/1.jpg", "b/2.jpg")
    make(tmp_path / "elsewhere", "3.jpg")
    (root / "a" / "broken.jpg").symlink_to("nowhere")
    (root / "a" / "self.jpg").symlink_to("self.jpg")
    (root / "a" / "up").symlink_to("..")
    (root / "a" / "here").symlink_to(".")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "b" / "pipe.jpg")
    images, skipped = list_images(root)
    expected = [b"a/1.jpg", b"a/broken.jpg", b"a/self.jpg", b"b/2.jpg", b"b/pipe.jpg", b"c/3.jpg"]
    assert images.paths == expected
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 2]
    assert skipped == []


def test_folders_that_all_link_to_each_other_are_searched_once(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(12)]  # 12! ways to walk
    make(tmp_path, "top.jpg", *(f"{name}/{name}.jpg" for name in names))
    for name in names:
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    images, skipped = list_images(tmp_path)
    assert (len(images), skipped) == (12, [Skipped(b"top.jpg", "beside the class folders")])
    assert images.paths == list_images(tmp_path)[0].paths


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 29, 30, 31, 1000])
def test_limit_spreads_over_the_listing(tmp_path: Path, limit: int) -> None:
    make(tmp_path, *(f"{label}/{number}.jpg" for label in "abc" for number in range(10)))
    everything, _ = list_images(tmp_path)
    images = everything.spread(limit)
    count = min(limit, 30)
    chosen = [index * 30 // count for index in range(count)]
    assert images.paths == [everything.paths[index] for index in chosen]
    assert images.labels.tolist() == [index // 10 for index in chosen]
    assert images.class_ids == ["a", "b", "c"]


def test_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "good/1.jpg", "bad/2.jpg", "good/worse/3.jpg")
    real = os.scandir

    def scandir(path: bytes) -> object:
        if path.endswith((b"bad", b"worse")):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(folder.os, "scandir", scandir)
    images, skipped = list_images(tmp_path)
    reason = "cannot be listed: permission denied"
    assert images.paths == [b"good/1.jpg"]
    assert skipped == [Skipped(b"bad", reason), Skipped(b"good/worse", reason)]
    with pytest.raises(ShapebiasError, match=r"^cannot list .*bad: permission denied$"):
        list_images(tmp_path / "bad")
    (tmp_path / "good" / "1.jpg").unlink()
    with pytest.raises(UsageError, match=r"2 of its folders cannot be listed$"):
        list_images(tmp_path)


def test_errors_are_one_line_and_printable(tmp_path: Path) -> None:
    make(tmp_path, "file.jpg", "none/readme.txt", "odd\x1b[31m\n/readme.txt")
    cases = {"gone": "no folder", "file.jpg": "is a file", "none": "no images in", "odd\x1b[31m\n": "no images in"}
    for name, words in cases.items():
        with pytest.raises(UsageError, match=words) as caught:
            list_images(tmp_path / name)
        assert str(caught.value).isprintable()
