"""`--labels FILE`: images find their lines by path, name or stem, and what is left over is counted."""

from pathlib import Path

import pytest

from shapebias.core import imagenet
from shapebias.core.errors import UsageError
from shapebias.precompute.images.sources.find import find_images


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for name in ("val_1.JPEG", "val_2.JPEG", "val_3.JPEG"):
        (tmp_path / "flat" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "flat" / name).touch()
    return tmp_path / "flat"


@pytest.mark.parametrize(
    "text",
    [
        "val_2.JPEG 7\nval_1.JPEG 3\nval_3.JPEG 0\n",
        "./val_2.JPEG\t7\r\nval_1.JPEG\t3\r\nelsewhere/val_3.JPEG\t0",
        "image,label\nval_2,7\nval_1,3\nval_3,0\n",
        "val_2 7\nval_1 3\nval_3 0\n",
    ],
)
def test_forms(flat: Path, text: str) -> None:
    (flat.parent / "labels").write_text(text)
    images, _ = find_images(str(flat), labels=flat.parent / "labels")
    assert images.labels.tolist() == [3, 7, 0]
    assert images.notes == []


def test_wordnet_ids_and_what_is_left_over(flat: Path) -> None:
    file = flat.parent / "labels.csv"
    file.write_text("ImageId,PredictionString\nval_2,n01443537 10 10 90 90\nval_9,n01440764 1 1 2 2\n")
    images, _ = find_images(str(flat), limit=2, labels=file)
    assert (images.labels.tolist(), images.class_ids) == ([-1, 1], imagenet.wnids())
    assert images.notes == [f"images that {file} does not name: 2", f"lines of {file} that name no image: 1"]


def test_a_name_that_several_have_is_no_name(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    (tmp_path / "labels.txt").write_text("1.jpg x\n2.jpg y\nb/1.jpg z\n")
    images, _ = find_images(str(tmp_path / "set"), labels=tmp_path / "labels.txt")
    assert [images.class_ids[label] if label >= 0 else None for label in images.labels] == [None, "z", "y"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"other.jpg 1\n", "names none of the images: its lines name such as other.jpg"),
        (b"\n", "holds no labels: write lines PATH CLASS"),
        (b"1\n2\n3\n", "holds no labels"),
        (None, "cannot be read: no such file or directory"),
    ],
)
def test_files_of_no_use(flat: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (flat.parent / "labels").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        find_images(str(flat), labels=flat.parent / "labels")
