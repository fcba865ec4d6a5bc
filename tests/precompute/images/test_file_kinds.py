"""Files that are left out are counted, and those that hold pictures are named with what reads them."""

from pathlib import Path

import pytest

from shapebias.core.errors import UsageError
from shapebias.precompute.images.file_kinds import LeftOut, is_image_name
from shapebias.precompute.images.sources.find import find_images

NAMES = ["a.jfif", "b.JPG", "c.HEIC", "d.heic", "e.svg", "notes.txt", "README", ".hidden.jpg", ".git/x", "f.odd\x1b[2J"]


def make(root: Path) -> Path:
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_a_folder_says_what_it_leaves_out(tmp_path: Path) -> None:
    images, skipped = find_images(str(make(tmp_path)))
    assert (images.paths, skipped) == ([b"a.jfif", b"b.JPG"], [])
    assert images.notes == [
        "files left out: 2 .heic (pillow-heif reads them), 1 .svg (cairosvg draws them), 2 hidden, 1 without "
        "extension, 1 .odd\\x1b[2j, 1 .txt"
    ]


def test_a_folder_of_heic_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.heic").touch()
    with pytest.raises(UsageError, match=r"no images in .* \(it has 1 \.heic \(pillow-heif reads them\)\): name"):
        find_images(str(tmp_path))


def test_many_kinds_are_summed_up() -> None:
    left_out = LeftOut()
    assert (left_out.notes(), bool(left_out)) == ([], False)
    for number in range(20):
        left_out.add(f"a.x{number:02d}".encode())
    assert left_out.text().endswith("1 .x11, 8 others")


def test_what_pillow_reads_is_an_image() -> None:
    assert all(map(is_image_name, (b"a.avif", b"a.jp2", b"a.J2K", b"a.ppm", b"a.jfif")))
    assert not any(map(is_image_name, (b"a.heic", b"a.svg", b"jpg", b"a.jpg.txt")))
