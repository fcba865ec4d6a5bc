"""Images in tar files: the same as in a folder, whatever the archive holds beside them."""

import io
import os
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core import imagenet
from shapebias.core.errors import UsageError
from shapebias.precompute.images.fetch import fetch
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.loader import load
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.folder import list_images

WNIDS = imagenet.wnids()


def write(path: Path, members: Iterable[tuple[str, bytes]], kind: bytes = tarfile.REGTYPE) -> str:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "elsewhere"
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def contents(images: ImageSet) -> dict[bytes, bytes]:
    assert images.members is not None
    return {
        path: fetch(os.fsdecode(images.members.address(images.prefix + b"/" + path, index)))
        for index, path in enumerate(images.paths)
    }


def test_a_tar_file_is_as_the_folder_it_was_made_of(image_folder: Path, tmp_path: Path) -> None:
    files = sorted(image_folder.rglob("*.*"), key=lambda path: path.name)  # not the folder's order
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for path in files:
            archive.add(path, f"./photos/{path.relative_to(image_folder)}")
    images, skipped = find_images(str(tmp_path / "a.tar"))
    folder = list_images(image_folder)[0]
    assert images.paths == folder.paths
    assert images.labels.tolist() == folder.labels.tolist()
    assert (images.class_ids, images.class_names, skipped) == (folder.class_ids, folder.class_names, [])
    assert contents(images) == {path: (image_folder / path.decode()).read_bytes() for path in folder.paths}
    some = images.spread(7)
    assert contents(some) == {path: contents(images)[path] for path in folder.spread(7).paths}


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_used_is_skipped_for_the_same_reasons(image_folder: Path, tmp_path: Path, workers: int) -> None:
    good = (image_folder / "class0/image0.png").read_bytes()
    members = {"a/0.png": good, "a/1.png": b"", "a/2.png": b"junk", "a/3.png": good[:200], "b/4.png": good}
    for name, content in members.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write(tmp_path / "a.tar", members.items())
    results = []
    for source in ("folder", "a.tar"):
        with load(find_images(str(tmp_path / source))[0], Geometry(20, 16), 3, workers, thumbnails=True) as loader:
            batches = [(b.positions.tolist(), b.pixels.tobytes(), b.thumbnails) for b in loader]
            results.append((batches, loader.skipped))
    assert results[0] == results[1]
    assert [image.reason for image in results[0][1]] == [
        "empty file",
        "not a JPEG, PNG or other image of a known kind",
        "truncated",
    ]


def test_webdataset_shards(tmp_path: Path) -> None:
    for shard in range(3):
        keys = [f"{shard:03d}{key:03d}" for key in range(4)]
        sample = [("jpg", b"image"), ("cls", b"%d\n" % shard), ("json", b"{}"), ("seg.png", b"mask")]
        write(tmp_path / f"train-{shard:04d}.tar", [(f"{k}.{e}", c) for k in keys for e, c in sample])
    whole = find_images(str(tmp_path))[0]
    assert len(whole) == 12
    assert whole.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert whole.class_ids == ["0", "1", "2"]
    for pattern in ("train-{0000..0002}.tar", "train-*.tar", "train-000{0,1,2}.tar"):
        assert find_images(str(tmp_path / pattern))[0].paths == whole.paths
    assert len(find_images(str(tmp_path / "train-{0001..0002}.tar"))[0]) == 8
    with pytest.raises(UsageError, match=r"train-0003\.tar cannot be read: no such file"):
        find_images(str(tmp_path / "train-{0000..0003}.tar"))


def test_webdataset_keys_with_dots_and_companion_pictures(tmp_path: Path) -> None:
    sample = [("jpg", b"image"), ("cls", b"7"), ("seg.png", b"mask"), ("json", b"{}")]
    dotted = [(f"img.v2.{key}.{end}", content) for key in "ab" for end, content in sample]
    inputs = [("0001.input.jpg", b"image"), ("0001.cls", b"3")]
    images, skipped = find_images(write(tmp_path / "a.tar", [*dotted, *inputs, ("alone.png", b"image")]))
    assert images.paths == [b"0001.input.jpg", b"alone.png", b"img.v2.a.jpg", b"img.v2.b.jpg"]
    assert (images.labels.tolist(), skipped) == ([3, -1, 7, 7], [])
    assert images.notes == ["files left out: 2 .json, 2 companion pictures"]


def test_numbers_0_to_999_are_imagenets(tmp_path: Path) -> None:
    members = [(f"{key:04d}.{end}", b"%d" % key) for key in range(1000) for end in ("jpg", "cls")]
    images = find_images(write(tmp_path / "a.tar", members))[0]
    assert images.class_ids == WNIDS
    assert images.labels.tolist() == list(range(1000))
    few = find_images(write(tmp_path / "b.tar", members[:20]))[0]
    assert few.class_ids == [str(number) for number in range(10)]
    names = find_images(write(tmp_path / "c.tar", [("0.jpg", b""), ("0.cls", b"cat"), ("1.jpg", b"")]))[0]
    assert (names.class_ids, names.labels.tolist()) == (["cat"], [0, -1])


def test_classes_of_imagenet(tmp_path: Path) -> None:
    in_folders = find_images(write(tmp_path / "a.tar", [(f"train/{WNIDS[7]}/x.JPEG", b"")]))[0]
    assert in_folders.paths == [f"{WNIDS[7]}/x.JPEG".encode()]
    assert in_folders.labels.tolist() == [7]
    (tmp_path / "classes").mkdir()
    for label in (999, 3):  # as the tar file of ImageNet's training images unpacks
        write(tmp_path / f"classes/{WNIDS[label]}.tar", [(f"{WNIDS[label]}_{n}.JPEG", b"") for n in (2, 1)])
    images = find_images(str(tmp_path / "classes"))[0]
    assert images.labels.tolist() == [3, 3, 999, 999]
    assert images.paths[0] == f"{WNIDS[3]}/{WNIDS[3]}_1.JPEG".encode()


def test_archives_with_the_same_names_keep_the_classes_of_their_folders(tmp_path: Path) -> None:
    for shard in range(2):
        write(tmp_path / f"{shard}.tar", [("cat/1.jpg", b"%d" % shard), ("dog/1.jpg", b""), ("sheet.png", b"")])
    images, skipped = find_images(str(tmp_path))
    assert images.paths == [b"0/cat/1.jpg", b"1/cat/1.jpg", b"0/dog/1.jpg", b"1/dog/1.jpg"]
    assert (images.class_ids, images.labels.tolist()) == (["cat", "dog"], [0, 0, 1, 1])
    assert skipped == [Skipped(path, "beside the class folders") for path in (b"0/sheet.png", b"1/sheet.png")]


def test_names_that_several_archives_have(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write(tmp_path / "x/0.tar", [("1.jpg", b"a"), ("1.cls", b"0"), ("2.jpg", b"b")])
    write(tmp_path / "x/1.tar", [("1.jpg", b"c"), ("1.cls", b"1")])
    images = find_images(str(tmp_path / "x"))[0]
    assert contents(images) == {b"0/1.jpg": b"a", b"0/2.jpg": b"b", b"1/1.jpg": b"c"}
    assert images.labels.tolist() == [0, -1, 1]


def test_hostile_members_are_left_out_and_named(tmp_path: Path) -> None:
    good = [("a/1.jpg", b"first"), ("a/1.jpg", b"second"), ("/b/2.jpg", b"b"), ("a/._1.jpg", b"fork"), ("c/r.txt", b"")]
    bad = [("../up.jpg", b"x"), ("a/../../up.jpg", b"x")]
    long = "a/" + "x" * 300 + "\x1b[2J\n.jpg"
    path = tmp_path / "a.tar"
    write(path, [*good, *bad, (long, b"long")])
    with tarfile.open(path, "a") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo(f"a/kind{kind.decode()}.jpg")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    images, skipped = find_images(str(path))
    assert contents(images) == {b"a/1.jpg": b"second", b"b/2.jpg": b"b", long.encode(): b"long"}
    out = "a name that leads out of the archive"
    assert skipped == [
        Skipped(b"../up.jpg", out),
        Skipped(b"a/../../up.jpg", out),
        Skipped(b"a/kind2.jpg", "a link"),
        Skipped(b"a/kind1.jpg", "a link"),
        Skipped(b"a/kind6.jpg", "not a regular file"),
        Skipped(b"a/kind3.jpg", "not a regular file"),
    ]


def header(name: str, size: bytes) -> bytes:
    """Return a header whose size field has any bytes, with the checksum that belongs to it."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = size.ljust(12, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "size", [b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"77777777777", b"\x80" + b"\0" * 3 + b"\x7f" * 8]
)
def test_sizes_that_cannot_be(tmp_path: Path, size: bytes) -> None:
    path = tmp_path / "a.tar"
    whole = Path(write(path, [("a/1.jpg", b"1")])).read_bytes()[:1024]
    path.write_bytes(whole + header("a/2.jpg", size) + bytes(2048))
    images, skipped = find_images(str(path))
    assert images.paths == [b"1.jpg"]
    assert Skipped(str(path).encode(), skipped[-1].reason) == skipped[-1]
    assert "damaged or cut after" in skipped[-1].reason


def test_cut_archives_keep_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    whole = Path(write(path, [(f"a/{number}.jpg", bytes(700)) for number in range(5)])).read_bytes()
    for length in (1536 * 3 + 700, 1536 * 3 + 100, 1536 * 3):  # in a member, in a header, between members
        path.write_bytes(whole[:length])
        images, skipped = find_images(str(path))
        assert len(images) == 3
        assert skipped[-1].reason == f"damaged or cut after {3 + (length % 1536 == 700)} members"
        assert [image.reason for image in skipped[:-1]] == ["truncated"] * (length % 1536 == 700)


def test_an_archive_that_was_cut_after_it_was_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    images, _ = find_images(write(path, [("a/0.jpg", bytes(700)), ("a/1.jpg", bytes(700))]))
    path.write_bytes(path.read_bytes()[:2000])
    assert images.members is not None
    assert fetch(os.fsdecode(images.members.address(b"0.jpg", 0))) == bytes(700)
    with pytest.raises(EOFError):
        fetch(os.fsdecode(images.members.address(b"1.jpg", 1)))


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", bytes(1024)])
def test_no_tar_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UsageError, match="no images in"):
        find_images(str(tmp_path / "a.tar"))


@pytest.mark.parametrize(("kind", "command"), [("gz", "gunzip"), ("bz2", "bunzip2"), ("xz", "unxz")])
def test_compressed_ones_are_refused(tmp_path: Path, kind: str, command: str) -> None:
    path = tmp_path / f"a.tar.{kind}"
    with tarfile.open(path, f"w:{kind}"):  # type: ignore[call-overload]
        pass
    for source in (path, tmp_path, tmp_path / "*.tar*"):
        with pytest.raises(UsageError, match=rf"is compressed.*: {command} .*a\.tar\.{kind}$"):
            find_images(str(source))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_gives_images_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    content = bytearray(Path(write(path, [(f"a/{number}.jpg", b"x" * 600) for number in range(4)])).read_bytes()[:7168])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 6143))] = data.draw(st.integers(0, 255))
    for start in range(0, 6144, 1536):  # checksums that are right again: damage is to reach what reads the fields
        if data.draw(st.booleans()):
            block = content[start : start + 512]
            block[148:156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        images, skipped = find_images(str(path))
    except UsageError as error:
        images, skipped = ImageSet(root=path, paths=[], labels=np.zeros(0, np.int32)), [Skipped(b"", str(error))]
    assert all(image.reason.isprintable() for image in skipped)
    assert images.members is None or all(len(member) <= len(content) for member in contents(images).values())


def test_listing_keeps_names_and_numbers_only(tmp_path: Path) -> None:
    count = 3000
    path = write(tmp_path / "a.tar", [(f"a/{number}.jpg", b"") for number in range(count)])
    tracemalloc.start()
    images = find_images(path)[0]
    now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(images) == count
    assert now < 150 * count
    assert most < 500 * count, "headers are kept"
