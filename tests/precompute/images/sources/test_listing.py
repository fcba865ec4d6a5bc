"""Lists of images: paths, classes, and what is no list."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core import imagenet
from shapebias.core.errors import UsageError
from shapebias.precompute.images.image_set import Skipped
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.images.sources.labelled_lines import parse_line
from shapebias.precompute.images.sources.listing import read_list

WNIDS = imagenet.wnids()


def test_a_list_of_a_folder_is_as_the_folder(image_folder: Path, tmp_path: Path) -> None:
    folder = list_images(image_folder)[0]
    names = [path.decode() for path in folder.paths]
    relative = os.path.relpath(image_folder, tmp_path)
    for lines in (
        [f"{image_folder}/{name}" for name in names],
        [f"./{relative}//{name}\r" for name in names],
        [f"{image_folder}/{name}\t{name.partition('/')[0]}" for name in names],
    ):
        (tmp_path / "list.txt").write_text("\n".join(lines) + "\n\n")
        images, skipped = find_images(str(tmp_path / "list.txt"))
        assert (images.paths, images.labels.tolist()) == (folder.paths, folder.labels.tolist())
        assert (images.class_ids, images.members, skipped) == (folder.class_ids, None, [])
        assert Path(images.root).resolve() == image_folder.resolve()
        assert all(os.path.exists(images.prefix + b"/" + path) for path in images.paths)  # noqa: PTH110 (bytes)


def read(text: bytes, folder: str = "/data") -> tuple[list[bytes], list[int], list[str], str]:
    images, _ = read_list(text, folder, "list.txt")
    return images.paths, images.labels.tolist(), images.class_ids, str(images.root)


def test_classes() -> None:
    assert read(b"a/2.jpg\tdog\na/1.jpg\tcat\na/3.jpg\n") == (
        [b"2.jpg", b"1.jpg", b"3.jpg"],
        [1, 0, -1],
        ["cat", "dog"],
        "/data/a",
    ), "in the list's order"
    assert read(b"x y.JPEG 2\nz.jpg 0\n") == ([b"x y.JPEG", b"z.jpg"], [2, 0], ["0", "1", "2"], "/data")
    assert read(b"a.jpg\t7\n")[1:3] == ([7], [str(number) for number in range(8)])
    wnids = read(f"a.jpg\t{WNIDS[5]}\nb.jpg\t{WNIDS[900]}".encode())
    assert wnids[1:3] == ([5, 900], WNIDS)
    assert read(b"cat/1.jpg\ndog/1.jpg\n")[1] == [0, 1]
    assert read(b"cat/1.jpg\ncat/2.jpg\n")[1:] == ([-1, -1], [], "/data/cat")
    assert read(b"/one/1.jpg\n/two/2.jpg") == ([b"one/1.jpg", b"two/2.jpg"], [0, 1], ["one", "two"], "/")


def test_lists_keep_the_labels_that_are_known() -> None:
    val = "".join(f"val/{number:02d}.jpg {number}\n" for number in range(60)).encode()
    assert read(val)[1] == list(range(60)), "a part of ImageNet's val.txt"
    assert read(f"a.jpg {WNIDS[5]}\nb.jpg {WNIDS[900]}\n".encode())[1:3] == ([5, 900], WNIDS)
    assert read(f"path,wnid\na.jpg,{WNIDS[5]}\n".encode())[1] == [5]
    shared = read(f"{WNIDS[5]}/a.jpg\n{WNIDS[5]}/b.jpg\n".encode())
    assert (shared[0], shared[1], shared[3]) == ([f"{WNIDS[5]}/{n}.jpg".encode() for n in "ab"], [5, 5], "/data")
    skipped = read_list(b"cat/1.jpg\ndog/1.jpg\ndog/2.jpg\nsheet.jpg\n", "/data", "l")[1]
    assert skipped == [Skipped(b"sheet.jpg", "beside the class folders")]


def test_urls_in_lists() -> None:
    paths, _, ids, root = read(b"s3://bucket/x/cat/1.jpg\ns3://bucket/x/dog/2.jpg\n")
    assert (paths, ids, root) == ([b"cat/1.jpg", b"dog/2.jpg"], ["cat", "dog"], "s3://bucket/x")
    assert read(b"1.jpg\n", "s3://bucket/x")[3] == "s3://bucket/x"
    for text in (b"s3://bucket/1.jpg\n/data/2.jpg", b"s3://bucket/1.jpg\ngs://bucket/2.jpg"):
        with pytest.raises(UsageError, match="make a list of each"):
            read(text)


def test_copies_of_a_list_and_files_that_are_no_lists(tmp_path: Path) -> None:
    assert read_list(b"a.jpg\n./a.jpg\n", "/data", "l")[1] == [Skipped(b"/data/a.jpg", "listed before")]
    for name, content, said in (
        ("empty.txt", b"\n \n", "write one path per line"),
        ("photos.zip", b"PK\3\4\0\0", "is no list of images: name a folder, a tar file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=said):
            find_images(str(tmp_path / name))
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file: name the folder"):
        find_images(str(tmp_path / "a.jpg"))


@settings(deadline=None)
@given(
    st.binary(max_size=60).filter(lambda line: not {0, 9, 10} & set(line)),
    st.none() | st.from_regex(rb"\w{1,8}", fullmatch=True),
)
def test_any_path_and_class_come_back(path: bytes, label: bytes | None) -> None:
    path = path.rstrip(b"\r") + b"x"  # nothing that is read as a number behind a path
    label = label and label.strip()
    assert parse_line(path + (b"" if label is None else b"\t" + label) + b"\r") == (path, label)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_an_error(content: bytes) -> None:
    try:
        images, _ = read_list(content, "/data", "list")
    except UsageError:
        return
    assert len(images) == len(images.labels) > 0
    assert len(set(images.paths)) == len(images)
