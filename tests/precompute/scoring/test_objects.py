"""The objects in a network's input: boxes of images after its resize and crop, and masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapebias.precompute.images.crop_modes import Bordered, Squashed
from shapebias.precompute.images.geometry import Geometry, WholeImage
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.labels import Match
from shapebias.precompute.scoring.box_files import BoxFiles, read_box_files
from shapebias.precompute.scoring.objects import Objects, find_boxes

GEOMETRIES = [
    *(Geometry(256, 224), Geometry(224, 224), Geometry(200, 224), Geometry(64, 64), WholeImage(224, 224)),
    *(Squashed(256, 224), Bordered(256, 224), Bordered(200, 224)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.key)
def test_boxes_go_where_the_pixels_go(geometry: Geometry) -> None:
    rng, seen = np.random.default_rng(0), 0
    for _ in range(25):
        width, height = rng.integers(60, 500, 2).tolist()
        left, top = rng.integers(0, width - 20), rng.integers(0, height - 20)
        right, bottom = rng.integers(left + 10, width + 1), rng.integers(top + 10, height + 1)
        painted = np.zeros((height, width, 3), np.uint8)
        painted[top:bottom, left:right] = 255
        mask = geometry(Image.fromarray(painted))[..., 0] >= 128
        placed = geometry.transform_boxes(np.array([[left, top, right, bottom]], np.float64), (width, height))
        if not mask.any():
            assert len(placed) == 0 or (placed[0, 2:] - placed[0, :2]).min() < 2
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        np.testing.assert_allclose(placed[0], [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=0.6)
        seen += 1
    assert seen > 10


def image_set(folder: Path, sizes: dict[str, tuple[int, int]]) -> ImageSet:
    """Return images of some sizes; the label of each is its folder's."""
    names = sorted({name.split("/")[0] for name in sizes})
    for name, size in sizes.items():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", size).save(folder / name)
    return ImageSet(
        root=folder,
        paths=[name.encode() for name in sizes],
        labels=np.array([names.index(name.split("/")[0]) for name in sizes], np.int32),
        class_ids=names,
        class_names=names,
    )


def boxes(folder: Path, *rows: str) -> BoxFiles:
    (folder / "boxes.csv").write_text("path,left,top,right,bottom,class,width,height\n" + "\n".join(rows))
    return read_box_files(folder / "boxes.csv")


def test_boxes_of_the_class_that_is_explained(tmp_path: Path) -> None:
    images = image_set(tmp_path, {"cat/1.png": (50, 100), "dog/2.png": (100, 50)})
    files = boxes(
        tmp_path,
        *("cat/1.png,10,20,30,40,cat,50,100", "cat/1.png,0,0,5,5,dog,50,100", "cat/1.png,0,0,9,9,cow,50,100"),
        *("dog/2.png,100,0,200,100,,200,100",),  # of an image twice as large, and of its label
    )
    image_boxes = find_boxes(files, images)
    assert image_boxes.notes == []
    match = Match(outputs=np.array([7, 3]), rule="")
    placed = image_boxes.of_outputs(Geometry(50, 50), match, np.array([7, 3], np.int32))
    assert [of_one.tolist() for of_one in placed] == [[[10, 0, 30, 15]], [[25, 0, 50, 50]]]  # the middle 50 px
    as_dog = image_boxes.of_outputs(WholeImage(100, 100), match, np.array([3, -1], np.int32))
    assert [of_one.tolist() for of_one in as_dog] == [[[0, 0, 10, 5]], []]


def test_boxes_of_other_images_are_left_out_and_counted(tmp_path: Path) -> None:
    images = image_set(tmp_path, {f"cat/{number}.png": (60, 40) for number in range(5)})
    files = boxes(
        tmp_path,
        *("cat/0.png,1,2,3,4,cat,40,60", "cat/1.png,1,2,3,4,cat,60,41", "cat/2.png,10,20,90,39,cat,60,40"),
        "cat/9.png,1,2,3,4,cat,60,40",
    )
    image_boxes = find_boxes(files, images)
    assert [len(own) for own in image_boxes.boxes] == [0, 1, 0, 0, 0]  # sizes are rounded
    lines = [note.replace(str(tmp_path), "") for note in image_boxes.notes]
    assert lines == [
        "no boxes of 2 of 5 images (cat/3.png, …): /boxes.csv does not name them",
        "no boxes of 1 of 5 images (cat/0.png): they belong to an image of other proportions, 40 x 60 px",
        "no boxes of 1 of 5 images (cat/2.png): they reach beyond the image, so they belong to another one",
    ]


def test_an_image_that_is_turned_has_its_upright_size(tmp_path: Path) -> None:
    images = image_set(tmp_path, {"cat/1.jpg": (60, 40)})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "cat/1.jpg", exif=exif)
    assert find_boxes(boxes(tmp_path, "cat/1.jpg,1,2,39,59,cat,40,60"), images).sizes == [(40, 60)]


def test_masks_come_before_boxes() -> None:
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:9] = True
    given = np.array([[0.0, 0.0, 4.0, 4.0]])
    none = np.zeros((0, 4))
    of_mask, of_both = Objects.of(none, mask), Objects.of(given, mask)
    of_box, nothing = Objects.of(given, np.zeros_like(mask)), Objects.of(none, np.zeros_like(mask))
    assert of_mask is not None
    assert of_both is not None
    assert of_box is not None
    assert nothing is None
    assert of_mask.boxes.tolist() == [[3, 2, 9, 5]]
    assert of_both.boxes is given
    assert [known.masked for known in (of_mask, of_both, of_box)] == [True, True, False]
    assert (of_both.region == mask).all()
    assert of_box.region.sum() == 16
