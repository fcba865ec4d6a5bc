"""Broden folders: the built-in images written and read again, a small one by hand, and what can be wrong with one."""

import contextlib
import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shapebias.core.errors import UsageError
from shapebias.precompute.images.annotations import Annotations
from shapebias.precompute.images.broden import read_broden
from shapebias.precompute.images.builtin.drawing import CONCEPTS, annotate_path, builtin_set, draw_path
from shapebias.precompute.images.builtin.export import export_builtin
from shapebias.precompute.images.geometry import Geometry, ImageError
from shapebias.precompute.progress import Silent

GEOMETRY = Geometry(40, 32)
HEAD = ["image", "split", "ih", "iw", "sh", "sw", "color", "object", "texture"]


def write(file: Path, *rows: list[object]) -> None:
    with file.open("w", newline="") as text:
        csv.writer(text).writerows(rows)


def segmentation(file: Path, labels: np.ndarray) -> None:
    channels = np.stack([labels % 256, labels // 256, np.zeros_like(labels)], -1)
    Image.fromarray(channels.astype(np.uint8)).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of 8 x 8 with labels of 4 x 4: colours, two planes of objects, textures of the whole image."""
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(images / f"{name}.png")
    segmentation(images / "color.png", np.repeat([[1, 1, 2, 0]], 4, 0))
    segmentation(images / "object.png", np.full((4, 4), 700))
    segmentation(images / "object2.png", np.array([[700, 300, 0, 0]] * 4))
    write(tmp_path / "category.csv", ["name", "frequency"], ["color", 2], ["object", 1], ["texture", 1])
    write(
        tmp_path / "label.csv",
        ["number", "name", "category", "frequency", "coverage", "syns"],
        [1, "red", "color(2)", 2, 1, ""],
        [2, "blue", "color(2)", 2, 1, ""],
        [300, "tree", "object(1);texture(1)", 2, 1, "plant"],
        [700, "car", "object(1)", 1, 1, ""],
        [900, "dots", "texture(1)", 1, 1, ""],
    )
    columns = ["code", "number", "name", "frequency", "coverage"]
    write(tmp_path / "c_color.csv", columns, [1, 1, "red", 2, 0.5], [2, 2, "blue", 2, 0.2])
    write(tmp_path / "c_object.csv", columns, [1, 300, "tree", 1, 0.1], [2, 700, "car", 1, 0.9])
    write(tmp_path / "c_texture.csv", columns, [1, 300, "tree", 1, 3.5], [2, 900, "dots", 1, 1.0])
    index(tmp_path, ["a.png", "train", 8, 8, 4, 4, "color.png", "object.png;object2.png", ""], row_b())
    return tmp_path


def row_b(**changes: object) -> list[object]:
    facts = dict(zip(HEAD, ["b.png", "val", 8, 8, 4, 4, "color.png", "", "900;300"], strict=True))
    return list((facts | changes).values())


def index(folder: Path, *rows: list[object]) -> None:
    write(folder / "index.csv", HEAD, *rows)


def read(annotations: Annotations) -> list[np.ndarray | str]:
    """Return each image's packed annotation, or the message of its error."""
    packed: list[np.ndarray | str] = []
    for path in annotations.image_set.paths:
        try:
            packed.append(annotations.pack(bytes(annotations.image_set.root.absolute()) + b"/" + path))
        except ImageError as error:
            packed.append(str(error))
    return packed


def test_a_folder_by_hand(folder: Path) -> None:
    broden = read_broden(folder)
    assert broden.concepts.names == ("red", "blue", "tree", "car", "dots")
    assert broden.concepts.categories == ("color", "object", "texture")
    assert broden.concepts.category == (0, 0, 2, 1, 2)  # a tree covers more as a texture
    annotations = broden.annotations(GEOMETRY)
    assert (annotations.planes, annotations.whole) == (3, 2)
    packed = np.stack([image for image in read(annotations) if not isinstance(image, str)])
    pixels, labels = packed[:, 0], annotations.labels(packed)
    assert pixels.shape == (2, 32, 32, 3)
    expected = np.asarray(Image.open(folder / "images" / "a.png").resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pixels[0], expected)  # the whole image, though the network's own geometry crops
    np.testing.assert_array_equal(labels.planes[0, 0].reshape(4, 4), np.repeat([[1, 1, 2, 0]], 4, 0))
    np.testing.assert_array_equal(labels.planes[0, 1], np.full(16, 4))
    np.testing.assert_array_equal(labels.planes[0, 2].reshape(4, 4), [[0, 3, 0, 0]] * 4)  # a car is there already
    assert sorted(labels.whole[1].tolist()) == [3, 5]
    np.testing.assert_array_equal(labels.pixels, [[0, 8, 4, 4, 16, 0], [0, 8, 4, 16, 0, 16]])
    np.testing.assert_array_equal(labels.carried, [[True, True, True], [True, False, True]])


def test_the_built_in_images_written_and_read_again(tmp_path: Path) -> None:
    folders = export_builtin(tmp_path / "new", "cue-conflict", 32, 0, Silent(), broden=True)
    assert folders == {tmp_path / "new" / "cue-conflict": 32}
    broden = read_broden(tmp_path / "new" / "cue-conflict")
    assert broden.problems == ()
    assert broden.skipped == ()
    assert broden.concepts == CONCEPTS
    annotations = broden.annotations(Geometry(64, 64))
    assert annotations.image_set.paths == builtin_set("cue-conflict", 32).paths
    packed = np.stack([image for image in read(annotations) if not isinstance(image, str)])
    pixels, labels = packed[:, 0], annotations.labels(packed)
    for path, image, planes in zip(annotations.image_set.paths, pixels, labels.planes, strict=True):
        np.testing.assert_array_equal(image, draw_path(path))
        np.testing.assert_array_equal(planes.reshape(4, 64, 64), annotate_path(path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"color": "missing.png"}, "a segmentation: no such file"),
        ({"color": "a.png"}, "a segmentation's size is not that of the index"),
        ({"texture": "901"}, "a label that label.csv lacks"),
        ({"texture": "65000"}, "a label that label.csv lacks"),
        ({"image": "object.png"}, "its size is not that of the index"),
        ({"image": "gone.png"}, "no such file"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(folder: Path, changes: dict[str, object], reason: str) -> None:
    index(folder, ["a.png", "train", 8, 8, 4, 4, "color.png", "", ""], row_b(**changes))
    images = read(read_broden(folder).annotations(GEOMETRY))
    assert isinstance(images[0], np.ndarray)
    assert images[1] == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sh": 5}, "another size than most images of the index"),
        ({"ih": "eight"}, "another size than most images of the index"),
        ({"color": "../../secret.png"}, "a path that leads out of the folder, or none"),
        ({"image": "/etc/passwd"}, "a path that leads out of the folder, or none"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(folder: Path, changes: dict[str, object], reason: str) -> None:
    good = ["a.png", "train", 8, 8, 4, 4, "color.png", "", ""]
    index(folder, good, good, row_b(**changes))
    broden = read_broden(folder)
    assert broden.image_set.paths == [b"a.png"]
    assert [image.reason for image in broden.skipped] == [reason]
    assert broden.annotations(GEOMETRY).notes() == [f"1 annotated images skipped: 1 {reason}"]


def test_problems_of_a_folder_are_named(folder: Path) -> None:
    write(folder / "index.csv", [*HEAD, "smell"], [*row_b(), "5"], ["a.png", "val", 8, 8, 4, 4, "", "", "", ""])
    write(folder / "category.csv", ["name"], ["color"], ["object"], ["texture"], ["scene"], ["material"])
    write(folder / "c_material.csv", ["code", "number", "name"], [1, 12345, "wood"])
    assert read_broden(folder).problems == (
        "the category scene is empty: c_scene.csv is missing or empty",
        "the category material is empty: c_material.csv lists no label",
        "index.csv has a category smell that category.csv lacks",
        "1 images of index.csv have no labels",
    )


@pytest.mark.parametrize("missing", ["index.csv", "label.csv", "category.csv"])
def test_a_folder_that_is_no_broden_folder(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=f"no Broden folder: no {missing}"):
        read_broden(folder)


@pytest.mark.parametrize("name", ["index.csv", "label.csv", "category.csv"])
@pytest.mark.parametrize("content", [b"", b"\0\0\n\0", b"\xff\xfe\x00 nothing,\n1,2", b"image,sh\na,99999999999\n"])
def test_damaged_files_are_usage_errors(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(UsageError):
        read_broden(folder)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["index.csv", "label.csv", "category.csv", "c_object.csv"]), data=st.data())
def test_files_of_any_content_are_read_or_refused(folder: Path, name: str, data: st.DataObject) -> None:
    file = folder / name
    before = file.read_bytes()
    cell = st.sampled_from(
        [b"", b"a.png", b"1", b"300", b"8", b"4", b"-1", b"1e9", b"object", b"image", b"number", b";"]
    )
    mess = data.draw(st.one_of(st.binary(max_size=60), st.lists(cell, max_size=12).map(b",".join)))
    position = data.draw(st.integers(0, len(before)))
    try:
        file.write_bytes(
            before[:position] + mess + before[position:] if data.draw(st.booleans()) else before[:position] + mess
        )
        with contextlib.suppress(UsageError):
            read(read_broden(folder).annotations(GEOMETRY))
    finally:
        file.write_bytes(before)


def test_images_without_any_labels_are_an_error(folder: Path) -> None:
    index(folder, ["a.png", "val", 8, 8, 4, 4, "", "", ""])
    with pytest.raises(UsageError, match="none has labels"):
        read_broden(folder)
