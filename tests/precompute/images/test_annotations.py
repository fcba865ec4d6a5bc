"""Images and labels in one array and out of it again; the annotation of images that have none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.concepts import Concepts
from shapebias.precompute.images.annotations import Annotations, LabelledImage, annotate, annotated_images
from shapebias.precompute.images.builtin.colours import COLOURS, name_colours
from shapebias.precompute.images.builtin.drawing import CONCEPTS, annotate_path, builtin_set, draw
from shapebias.precompute.images.decode import read_pixels
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.folder import list_images

NO_IMAGES = ImageSet(root=Path("nowhere"), paths=[], labels=np.zeros(0, np.int32))


@settings(deadline=None, max_examples=60)
@given(
    crop=st.integers(1, 9),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    planes=st.integers(0, 4),
    whole=st.lists(st.integers(0, 1200), max_size=4),
    seed=st.integers(0, 2**32),
)
def test_what_is_packed_is_unpacked(
    crop: int, height: int, width: int, planes: int, whole: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    concepts = Concepts(tuple(map(str, range(1200))), (0,) * 1200, ("object",))
    pixels = rng.integers(0, 256, (crop, crop, 3), np.uint8)
    image = LabelledImage(
        pixels, rng.integers(0, 1201, (planes, height, width)).astype(np.uint16), np.array(whole, np.uint16)
    )
    every = Annotations(
        image_set=NO_IMAGES,
        concepts=concepts,
        read=lambda _: image,
        geometry=Geometry(crop, crop),
        height=height,
        width=width,
        planes=planes,
        whole=len(whole),
        source="test",
    )
    packed = every.pack(b"")
    assert packed.shape == (every.versions, crop, crop, 3)
    np.testing.assert_array_equal(packed[0], pixels)
    labels = every.labels(np.stack([packed, packed]))
    expected = np.zeros(1201, np.int64)  # pixels that show each concept
    for number in np.unique([*image.planes.ravel(), *whole]):
        if number:
            expected[number] = height * width if number in whole else (image.planes == number).any(0).sum()
    np.testing.assert_array_equal(labels.pixels, [expected, expected])
    assert set(labels.whole[0].tolist()) - {0} == set(whole) - {0}


def test_any_image_has_colours(image_folder: Path) -> None:
    images, _ = list_images(image_folder)
    geometry = Geometry(40, 32)
    every = annotate(annotated_images(images, None), geometry)
    assert every.concepts.names == COLOURS
    path = bytes(image_folder) + b"/" + images.paths[3]
    packed = every.pack(path)
    labels = every.labels(packed[None])
    np.testing.assert_array_equal(packed[0], read_pixels(path, geometry))
    np.testing.assert_array_equal(labels.planes[0, 0].reshape(32, 32), name_colours(packed[0]))


def test_annotation_is_cropped_as_the_image_is() -> None:
    images = builtin_set("cue-conflict", 16)
    every = annotate(images, Geometry(256, 224))  # as ImageNet's networks: the annotation is of the crop's 56 x 56
    assert (every.height, every.width) == (112, 112)
    labels = every.labels(every.pack(b"x/" + images.paths[5])[None])
    annotated = annotate_path(images.paths[5])[:, 4:60, 4:60]
    np.testing.assert_array_equal(labels.planes[0].reshape(4, 112, 112), annotated.repeat(2, 1).repeat(2, 2))


def test_numbers_of_the_built_in_annotation_are_those_of_their_names() -> None:
    path = b"fish/fish-checks-00007.png"
    maps = annotate_path(path)
    names = [{CONCEPTS.names[number - 1] for number in np.unique(concept_map) if number} for concept_map in maps]
    assert names[0] <= set(COLOURS)
    assert names[1] == {"checks"}
    assert names[2] <= {"fish body", "fish fin", "fish head", "fish tail"}
    assert names[3] == {"fish"}
    for index, concept_map in enumerate(maps):
        assert {CONCEPTS.category[number - 1] for number in np.unique(concept_map) if number} == {index}
    np.testing.assert_array_equal(maps[3] > 0, draw(6, 2, 7).shape > 0)


@pytest.mark.parametrize(("limit", "count"), [(None, 1200), (40, 40)])
def test_built_in_images_are_dissected_where_shape_and_texture_are_independent(limit: int | None, count: int) -> None:
    chosen = annotated_images(builtin_set("probe", 32), limit)
    assert len(chosen) == count
    assert chosen.root == builtin_set("cue-conflict", 1).root
    conflicting = builtin_set("cue-conflict", 32)
    assert annotated_images(conflicting, limit) is conflicting
