"""Every kind of image file comes out as the right RGB pixels, or as an ImageError."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from shapebias.precompute.images.decode import read_image, read_pixels
from shapebias.precompute.images.geometry import Geometry, ImageError

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def pixels(path: Path) -> np.ndarray:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def reason(path: Path | bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    return str(caught.value)


# --- modes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tif"])
def test_lossless_rgb_comes_out_as_it_went_in(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(NOISE), **options)
    np.testing.assert_array_equal(pixels(path), NOISE)


def test_jpeg_equals_pillow_and_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(NOISE))
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(pixels(path), expected)
    np.testing.assert_array_equal(pixels(path.rename(tmp_path / "a.png")), expected)


def test_path_as_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\x1b[31m\n.png"
    saved(Path(os.fsdecode(path)), Image.fromarray(NOISE))
    np.testing.assert_array_equal(np.asarray(read_image(path)), NOISE)


def test_grey_and_one_bit(tmp_path: Path) -> None:
    np.testing.assert_array_equal(pixels(saved(tmp_path / "l.png", Image.fromarray(RAMP))), grey(RAMP))
    bits = Image.fromarray((RAMP > 99).astype(np.uint8) * 255).convert("1", dither=Image.Dither.NONE)
    for name in ("b.png", "b.tif", "b.bmp"):
        np.testing.assert_array_equal(pixels(saved(tmp_path / name, bits)), grey((RAMP > 99) * np.uint8(255)))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.zeros((16, 16), np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(RAMP))
    np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", image)), grey(255 - RAMP))


def test_transparent_palette_entries_colour_keys_and_grey_keys_become_white(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 10, 20, 30, 40, 250])
    palette.putpixel((1, 0), 1)
    opaque = saved(tmp_path / "opaque.png", palette)
    assert pixels(opaque).tolist() == [[[200, 10, 20], [30, 40, 250]]]
    for name in ("key.png", "key.gif"):
        path = saved(tmp_path / name, palette, transparency=1)
        assert pixels(path).tolist() == [[[200, 10, 20], [255, 255, 255]]]
    half = saved(tmp_path / "half.png", palette, transparency=bytes([255, 0]))
    assert pixels(half).tolist() == [[[200, 10, 20], [255, 255, 255]]]
    rgb = saved(tmp_path / "rgb.png", palette.convert("RGB"), transparency=(30, 40, 250))
    assert pixels(rgb).tolist() == [[[200, 10, 20], [255, 255, 255]]]
    keyed = saved(tmp_path / "grey.png", Image.fromarray(np.array([[7, 9]], np.uint8)), transparency=9)
    assert pixels(keyed).tolist() == [[[7] * 3, [255] * 3]]


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])  # Pillow writes CMYK JPEG as Adobe does: inverted
def test_cmyk(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, Image.new("CMYK", (16, 16), (0, 255, 255, 51)))
    assert np.abs(pixels(path).astype(int) - [204, 0, 0]).max() <= 3
    assert name != "a.jpg" or b"Adobe" in path.read_bytes()


def test_ycbcr_and_lab_tiff(tmp_path: Path) -> None:
    colours = Image.fromarray(np.array([[[180, 120, 90], [90, 140, 120], [128, 128, 128], [255, 255, 255]]], np.uint8))
    near = saved(tmp_path / "y.tif", colours.convert("YCbCr"))
    assert np.abs(pixels(near).astype(int) - np.asarray(colours)).max() <= 3
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(colours, *profiles, outputMode="LAB")
    assert lab is not None
    with Image.open(saved(tmp_path / "lab.tif", lab)) as stored:
        assert stored.mode == "LAB"
    assert np.abs(pixels(tmp_path / "lab.tif").astype(int) - np.asarray(colours)).max() <= 4


@pytest.mark.parametrize(("name", "dtype"), [("a.png", "<u2"), ("a.tif", "<u2"), ("a.tif", ">u2"), ("a.tif", "<i4")])
def test_16_bit_grey_keeps_its_high_byte(tmp_path: Path, name: str, dtype: str) -> None:
    values = RAMP.astype(np.uint32) * 257
    path = saved(tmp_path / name, Image.fromarray(values.astype(dtype)))
    np.testing.assert_array_equal(pixels(path), grey(RAMP))


def test_integers_and_floats_outside_their_usual_range_are_stretched(tmp_path: Path) -> None:
    ramp = RAMP.astype(np.int32)
    cases = {
        "large": ramp * 1_000_000,
        "negative": ramp * 10 - 500,
        "unit": ramp.astype(np.float32) / 255,
        "wide": ramp.astype(np.float32) * 3.5 - 100,
    }
    for name, values in cases.items():
        np.testing.assert_array_equal(pixels(saved(tmp_path / f"{name}.tif", Image.fromarray(values))), grey(RAMP))
    odd = np.array([[0.0, 0.5, 1.0, np.nan, np.inf, -np.inf]], np.float32)
    shades = pixels(saved(tmp_path / "odd.tif", Image.fromarray(odd)))[0, :, 0].tolist()
    assert shades == [0, 128, 255, 0, 255, 0]
    dim = saved(tmp_path / "dim.tif", Image.fromarray(np.full((2, 2), 0.25, np.float32)))
    assert set(pixels(dim).ravel().tolist()) == {64}


def test_animations_give_their_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 0, 200))]
    for name, options in {"a.gif": {}, "a.webp": {"lossless": True}, "a.png": {}, "a.tif": {}}.items():
        path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options)
        assert set(map(tuple, pixels(path).reshape(-1, 3).tolist())) == {(200, 0, 0)}


@pytest.mark.parametrize(
    ("suffix", "kind", "options"),
    [
        ("jfif", "JPEG", {"quality": 100, "subsampling": 0}),
        ("avif", "AVIF", {"quality": 100, "subsampling": "4:4:4"}),
        ("jp2", "JPEG2000", {}),
        ("j2k", "JPEG2000", {"no_jp2": True}),
        ("ppm", "PPM", {}),
    ],
)
def test_other_kinds_that_pillow_reads(tmp_path: Path, suffix: str, kind: str, options: dict[str, object]) -> None:
    smooth = np.asarray(Image.fromarray(NOISE).resize((64, 64), Image.Resampling.BICUBIC))
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(smooth), format=kind, **options)
    assert np.abs(pixels(path).astype(int) - smooth).max() <= (0 if suffix in ("jp2", "j2k", "ppm") else 12)


def test_a_heic_image_is_named_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    assert reason(tmp_path / "IMG_1.jpg") == "a HEIC image: convert it, with pillow-heif"


# --- orientation -----------------------------------------------------------------------------------------------------

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = RNG.integers(0, 256, (3, 4, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    options = {"a.jpg": {"quality": 100, "subsampling": 0}, "a.webp": {"lossless": True}}.get(name, {})
    path = saved(tmp_path / name, Image.fromarray(stored), exif=exif, **options)
    upright, expected = pixels(path).astype(int), UPRIGHT[orientation](stored)
    assert upright.shape == expected.shape
    assert np.abs(upright - expected).max() <= (6 if name == "a.jpg" else 0)


def test_unreadable_exif_is_no_reason_to_skip_an_image(tmp_path: Path) -> None:
    for junk in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12"):
        path = saved(tmp_path / "a.jpg", Image.fromarray(NOISE), exif=junk)
        assert pixels(path).shape == NOISE.shape


def test_reasons(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "eps.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "fifo.jpg")
    foreign = "not a JPEG, PNG or other image of a known kind"
    assert reason(tmp_path / "empty.jpg") == "empty file"
    assert reason(tmp_path / "text.jpg") == foreign
    assert reason(tmp_path / "eps.jpg") == foreign
    assert reason(tmp_path / "folder.jpg") == "is a directory"
    assert reason(tmp_path / "broken.jpg") == "broken link"
    assert reason(tmp_path / "none.jpg") == "no such file"
    assert reason(tmp_path / "loop.jpg") == "cannot be read: too many levels of symbolic links"
    assert reason(tmp_path / "fifo.jpg") == "not a regular file"
    assert reason(b"/dev/zero") == "not a regular file"
    assert reason(b"a\0b.jpg") == "damaged"


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/secret/\x1b[31mname")

    path = saved(tmp_path / "a.png", Image.fromarray(NOISE))
    monkeypatch.setattr(Path, "open", refuse)
    assert reason(path) == "cannot be read: permission denied"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.gif", "a.tif"])
def test_truncated_in_the_middle(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, Image.fromarray(NOISE))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert reason(path) == ("damaged" if name == "a.webp" else "truncated")


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("pillow_limit", [Image.MAX_IMAGE_PIXELS, None])
def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pillow_limit: int | None) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillow_limit)
    (tmp_path / "a.png").write_bytes(png_header(20_000, 9_000))
    assert reason(tmp_path / "a.png") == "more than 179 megapixels"


def test_nothing_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(1)
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, "TIFF", compression="tiff_lzw")
    path = tmp_path / "a.tif"
    failures = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60):
            damaged = bytearray(buffer.getvalue())
            for position in random.integers(0, len(damaged), 8):
                damaged[position] = random.integers(256)
            path.write_bytes(damaged)
            try:
                read_image(path)
            except ImageError:
                failures += 1
        path.write_bytes(png_header(11_000, 9_000))  # Pillow warns of this size
        assert reason(path) in ("truncated", "damaged")
    assert failures > 10
    os.write(2, b"stderr is back")
    assert capfd.readouterr() == ("", "stderr is back")


def encoded(kind: str, image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


SMALL = Image.fromarray(NOISE[:12, :9])
FILES = [
    encoded("JPEG", SMALL, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    encoded("JPEG", SMALL.convert("CMYK"), progressive=True),
    encoded("PNG", SMALL),
    encoded("PNG", SMALL.convert("P"), transparency=3),
    encoded("PNG", Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100)),
    encoded("GIF", SMALL, save_all=True, append_images=[SMALL.rotate(180)]),
    encoded("BMP", SMALL),
    encoded("AVIF", SMALL),
    encoded("JPEG2000", SMALL),
    encoded("PPM", SMALL),
    encoded("WEBP", SMALL.convert("RGBA")),
    encoded("TIFF", SMALL, compression="tiff_lzw"),
    encoded("TIFF", Image.fromarray(np.linspace(-1, 1, 99, dtype=np.float32).reshape(9, 11))),
]


@pytest.mark.slow
@given(st.sampled_from(FILES), st.floats(0, 1), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=400, deadline=None)
def test_a_damaged_file_gives_an_image_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, end: float, changes: list[tuple[float, int]]
) -> None:
    damaged = bytearray(whole)
    for share, value in changes:
        damaged[int(share * (len(damaged) - 1))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged[: round(end * len(damaged))] if not changes else damaged)
    try:
        image = read_image(path)
    except ImageError as error:
        why = str(error)
        assert why.isprintable()
        assert 0 < len(why) < 60
    else:
        assert image.mode == "RGB"
        assert image.width * image.height > 0


@pytest.mark.parametrize(
    ("size", "decoded"), [((2048, 1536), (1024, 768)), ((500, 375), (500, 375)), ((4600, 4600), (575, 575))]
)
def test_large_jpegs_are_decoded_at_a_part_of_their_size(
    tmp_path: Path, size: tuple[int, int], decoded: tuple[int, int]
) -> None:
    """At least twice as many pixels are left as are needed."""
    y, x = np.mgrid[: size[1], : size[0]]
    waves = 128 + 100 * np.sin(x / 37) * np.cos(y / 53)
    picture = Image.fromarray(np.stack([waves, waves[::-1], 255 - waves], 2).astype(np.uint8))
    path = tmp_path / "a.jpg"
    picture.save(path, quality=95)
    geometry = Geometry(256, 224)
    assert read_image(path, enough=512).size == decoded
    difference = read_pixels(path, geometry, reduced=True).astype(int) - read_pixels(path, geometry)
    assert np.abs(difference).mean() < 0.5
    picture.save(tmp_path / "a.png", compress_level=1)
    assert read_image(tmp_path / "a.png", enough=512).size == size
