"""Compiled resizing gives the bytes of Pillow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shapebias.precompute.images import geometry as geometries
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.resample import FILTERS, resize_crop


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    resize=st.integers(1, 200),
    crop=st.integers(1, 200),
    interpolation=st.sampled_from(FILTERS),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_bytes_are_those_of_pillow(
    width: int, height: int, resize: int, crop: int, interpolation: str, seed: int
) -> None:
    width, crop = max(width, -(-height // 2)), min(crop, resize)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    long = int(resize * max(width, height) / min(width, height))
    size = (resize, long) if width <= height else (long, resize)
    left, top = (round((side - crop) / 2) for side in size)
    resized = image.resize(size, Image.Resampling[interpolation.upper()])
    expected = np.asarray(resized.crop((left, top, left + crop, top + crop)))
    np.testing.assert_array_equal(resize_crop(image, size, (left, top), crop, interpolation), expected)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (300, 700), (90, 80), (256, 256)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_a_geometry_gives_the_same_bytes_for_the_first_images_and_later(
    size: tuple[int, int], interpolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    geometry = Geometry(128, 112, interpolation)
    first = geometry(Image.fromarray(pixels))
    resizing = geometries._Resizing()
    monkeypatch.setattr(resizing, "_MANY", 0)
    monkeypatch.setattr(geometries, "_resize_crop", resizing)
    np.testing.assert_array_equal(geometry(Image.fromarray(pixels)), first)


def test_another_pillow_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the installed Pillow rounds differently, Pillow does the resizing itself."""
    own = geometries._by_pillow
    monkeypatch.setattr(geometries, "_by_pillow", lambda *arguments: own(*arguments) ^ 1)
    resizing = geometries._Resizing()
    monkeypatch.setattr(resizing, "_MANY", 0)
    image = Image.fromarray(np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3).astype(np.uint8))
    arguments = (image, (40, 30), (5, 0), 30, "bilinear")
    np.testing.assert_array_equal(resizing(*arguments), own(*arguments) ^ 1)
