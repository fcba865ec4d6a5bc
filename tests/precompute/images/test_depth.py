"""Values of more than 8 bits: what comes out, against what was written by tifffile or byte by byte."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from PIL import Image

from shapebias.precompute.images.decode import read_image
from shapebias.precompute.images.depth import Range, Scale, choose_scale
from shapebias.precompute.images.geometry import ImageError
from shapebias.precompute.images.sources.find import find_images

RAMP = np.tile(np.arange(256, dtype=np.uint16), (4, 1))
COLOURS = np.dstack([RAMP, RAMP[:, ::-1], RAMP // 2])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits, which Pillow writes of grey only."""
    kind = {2: 0, 3: 2, 4: 6}[values.ndim if values.ndim == 2 else values.shape[2]]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def pixels(path: Path) -> np.ndarray:
    return np.asarray(read_image(path))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("form", ["png", "little", "big", "deflate"])
def test_colours_of_16_bits(tmp_path: Path, bits: int, form: str) -> None:
    values = COLOURS << (bits - 8) | (COLOURS >> (16 - bits) if bits > 8 else 0)
    path = tmp_path / ("a.png" if form == "png" else "a.tif")
    if form == "png":
        path.write_bytes(png(values))
    else:
        options = {"compression": "zlib"} if form == "deflate" else {"byteorder": "<" if form == "little" else ">"}
        tifffile.imwrite(path, values, photometric="rgb", **options)
    np.testing.assert_array_equal(pixels(path), COLOURS)


def test_opacity_of_16_bits_over_white(tmp_path: Path) -> None:
    opacity = np.where(RAMP < 128, 0, 65535)
    (tmp_path / "a.png").write_bytes(png(np.dstack([COLOURS, opacity]).astype(np.uint16)))
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), np.where(RAMP[..., None] < 128, 255, COLOURS))


def test_kinds_of_tiff_that_pillow_cannot_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for dtype, reason in (
        (np.float32, "32-bit float TIFF: convert it, with tifffile"),
        (np.uint32, "32-bit integer TIFF: convert it, with tifffile"),
    ):
        tifffile.imwrite(path, COLOURS.astype(dtype), photometric="rgb")
        with pytest.raises(ImageError, match=rf"^{reason}$"):
            read_image(path)
    tifffile.imwrite(path, COLOURS.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    with pytest.raises(ImageError, match=r"^16-bit TIFF in planes: convert it with tifffile$"):
        read_image(path)


@pytest.mark.parametrize(
    ("low", "high", "is_float", "expected"),
    [
        (0, 255, False, (0, 255)),
        (3, 256, False, (0, 1023)),
        (0, 4080, False, (0, 4095)),
        (0, 65535, False, (0, 65535)),
        (-5, 90, False, (-5, 90)),
        (0, 70_000, False, (0, 70_000)),
        (0.2, 0.9, True, (0, 1)),
        (-0.7, 0.2, True, (-1, 1)),
        (96, 159, True, (0, 255)),
        (0, 3.5, True, (0, 3.5)),
        (12, 60_000, True, (0, 65535)),
        (-100, 700, True, (-100, 700)),
    ],
)
def test_ranges(low: float, high: float, is_float: bool, expected: tuple[float, float]) -> None:
    scale = choose_scale(Range(low, high), is_float=is_float)
    assert (scale.low, scale.high) == expected


@settings(deadline=None)
@given(hypothesis_numpy.arrays(np.float32, 9, elements=st.floats(-(2**90), 2**90, width=32)))
def test_stretching_is_numpys_interpolation(values: np.ndarray) -> None:
    low, high = float(values.min()), float(values.max())
    assume(high > low)
    shades = Scale(low, high, strict=False)(values).astype(float)
    assert np.abs(shades - np.interp(values.astype(float), [low, high], [0, 255])).max() <= 0.5 + 1e-6


def test_ranges_that_files_declare(tmp_path: Path) -> None:
    dark = RAMP * 3
    tifffile.imwrite(tmp_path / "a.tif", dark, extratags=[(281, 3, 1, 4095, True)])
    np.testing.assert_array_equal(pixels(tmp_path / "a.tif")[..., 0], dark >> 4)
    tifffile.imwrite(tmp_path / "b.tif", (dark / 100).astype(np.float32), extratags=[(341, 11, 1, 10.0, True)])
    assert np.abs(pixels(tmp_path / "b.tif")[..., 0] - dark / 1000 * 255).max() <= 0.5
    tifffile.imwrite(tmp_path / "c.tif", dark, extratags=[(281, 3, 1, 100, True)])
    np.testing.assert_array_equal(pixels(tmp_path / "c.tif")[..., 0], dark >> 2)  # what it declares is untrue
    (tmp_path / "d.pgm").write_bytes(b"P5 256 4 4095\n" + dark.astype(">u2").tobytes())
    assert np.abs(pixels(tmp_path / "d.pgm")[..., 0] - dark / 4095 * 255).max() <= 1
    images, _ = find_images(str(tmp_path))
    assert images.notes[0] == "16-bit PPM: 0 to 65,535 becomes 0 to 255 (declared by 1 image)"


def test_one_scale_for_a_set(tmp_path: Path) -> None:
    """A dark image stays dark beside a bright one of its kind; another kind has a scale of its own."""
    bright, dark = RAMP * 16, RAMP // 4
    Image.fromarray(bright).save(tmp_path / "bright.png")
    Image.fromarray(dark).save(tmp_path / "dark.png")
    tifffile.imwrite(tmp_path / "float.tif", RAMP.astype(np.float32))
    tifffile.imwrite(tmp_path / "flat.tif", (RAMP // 4 + 96).astype(np.float32))
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "plain.png")
    images, _ = find_images(str(tmp_path))
    assert images.notes == [
        "16-bit PNG: 0 to 4,095 becomes 0 to 255 (the largest value of 2 images is 4,080)",
        "float TIFF: 0 to 255 becomes 0 to 255 (the largest value of 2 images is 255)",
    ]
    shades = {
        path: np.asarray(read_image(images.address(index), images.scales))[..., 0]
        for index, path in enumerate(images.paths)
    }
    np.testing.assert_array_equal(shades[b"bright.png"], RAMP)
    np.testing.assert_array_equal(shades[b"dark.png"], dark // 16)
    np.testing.assert_array_equal(shades[b"float.tif"], RAMP)
    np.testing.assert_array_equal(shades[b"flat.tif"], RAMP // 4 + 96)
    np.testing.assert_array_equal(shades[b"plain.png"], RAMP)
    Image.fromarray(RAMP * 100).save(tmp_path / "brighter.png")
    with pytest.raises(ImageError, match=r"^has values outside its set's range, 0 to 4,095$"):
        read_image(tmp_path / "brighter.png", images.scales)
