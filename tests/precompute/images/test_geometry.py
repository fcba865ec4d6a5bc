"""Geometry gives torchvision's bytes; thumbnails look like their images."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from shapebias.precompute.images.decode import encode_thumbnail, read_image, read_pixels
from shapebias.precompute.images.geometry import Geometry, ImageError

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)

sides = st.integers(1, 90)


@given(sides, sides, sides, sides, st.sampled_from(["bilinear", "bicubic", "nearest", "lanczos"]))
@settings(max_examples=300, deadline=None)
def test_geometry_equals_torchvision(width: int, height: int, resize: int, crop: int, interpolation: str) -> None:
    image = Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))
    mode = transforms.InterpolationMode(interpolation)
    reference = transforms.Compose([transforms.Resize(resize, mode, antialias=True), transforms.CenterCrop(crop)])
    pixels = Geometry(resize, crop, interpolation)(image)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (crop, crop, 3)
    np.testing.assert_array_equal(pixels, np.asarray(reference(image)))


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (2000, 301), (224, 224), (256, 256)])
def test_geometry_equals_torchvision_at_imagenet_size(size: tuple[int, int]) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    for resize, crop in ((256, 224), (224, 256), (299, 299)):
        reference = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop)])
        np.testing.assert_array_equal(Geometry(resize, crop)(image), np.asarray(reference(image)))


def test_images_too_long_for_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.png"
    Image.new("RGB", (1, 2000)).save(path)
    with pytest.raises(ImageError, match=r"^too long and thin: 1 x 2000 pixels$"):
        read_pixels(path, Geometry(256, 224))
    assert Geometry(20, 16)(read_image(path)).shape == (16, 16, 3)  # 40,000 px are allowed


def test_geometry_key_and_validation() -> None:
    geometry = Geometry(256, 224, "bicubic")
    assert geometry.key == "resize256-crop224-bicubic"
    for wrong in ((0, 224, "bilinear"), (256, 0, "bilinear"), (256, 224, "area")):
        with pytest.raises(ValueError, match="must be"):
            Geometry(*wrong)


# --- thumbnails ------------------------------------------------------------------------------------------------------


def test_small_thumbnails_are_lossless() -> None:
    image = Image.open(io.BytesIO(encode_thumbnail(NOISE)))
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image), NOISE)


@given(st.integers(1, 600), st.integers(97, 600))
@settings(max_examples=20, deadline=None)
def test_large_thumbnails_are_jpeg_of_the_same_shape(height: int, width: int) -> None:
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    image = Image.open(io.BytesIO(encode_thumbnail(np.tile(ramp[None, :, None], (height, 1, 3)))))
    assert image.format == "JPEG"
    scale = min(1, 256 / max(height, width))
    assert abs(image.height - height * scale) <= 1
    assert abs(image.width - width * scale) <= 1
    expected = np.linspace(0, 255, image.width)
    assert np.abs(np.asarray(image.convert("L")) - expected).mean() < 5
