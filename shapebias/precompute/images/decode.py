"""Decodes image files into the pixels that a network sees.

Imports Pillow and numpy only, so that worker processes start fast.
"""

import io
import logging
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import (  # the plugins by name: else Pillow looks for a format's plugin by importing all of them
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.images.depth import Depth, Range, Scale, depth_of, range_of, read_values, to_8_bits
from shapebias.precompute.images.fetch import fetch, is_file
from shapebias.precompute.images.geometry import Geometry, ImageError, Size

if TYPE_CHECKING:
    from PIL import ImageCms

_FORMATS = {
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile.format,
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile.format,
    b"RIFF": WebPImagePlugin.WebPImageFile.format,
    b"BM": BmpImagePlugin.BmpImageFile.format,
    b"GIF8": GifImagePlugin.GifImageFile.format,
    b"II*\0": TiffImagePlugin.TiffImageFile.format,
    b"MM\0*": TiffImagePlugin.TiffImageFile.format,
    b"II+\0": TiffImagePlugin.TiffImageFile.format,
    b"MM\0+": TiffImagePlugin.TiffImageFile.format,
    b"\0\0\0\x0cjP  ": Jpeg2KImagePlugin.Jpeg2KImageFile.format,
    b"\xff\x4f\xff\x51": Jpeg2KImagePlugin.Jpeg2KImageFile.format,
    **{b"P%d" % number: PpmImagePlugin.PpmImageFile.format for number in range(1, 7)},
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
T = TypeVar("T")

MAX_PIXELS = 2 * 89_478_485
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # without a handler, Python would print its errors


def read_image(
    path: bytes | str | Path, scales: Mapping[str, Scale] | None = None, *, enough: int | None = None
) -> Image.Image:
    """Return the image in a JPEG, PNG, WebP, BMP, GIF, TIFF, PPM, JPEG 2000 or AVIF file (its first frame), in mode
    RGB.

    The EXIF orientation is applied; colour profiles are not, as in torchvision. Transparent images are drawn on white.
    Values of more than 8 bits are scaled by the scale of their kind in `scales`, or by the image's own range.

    path:    the file, or an address (see `fetch`)
    enough:  a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size while its sides keep at least so many pixels:
             libjpeg then leaves out detail

    Raises `ImageError` for a file that is damaged, too large or not an image, and ShapebiasError where a server cannot
    be reached; nothing else.
    """
    return _read(path, partial(_to_rgb, scales=scales or {}), enough=enough)


def deep_kind(path: bytes) -> str | None:
    """Return the kind of an image with more than 8 bits a channel, such as `16-bit PNG`; None for other images.

    Only the file's header is read. Raises the errors of `read_image`.
    """
    opened = _read(path, lambda opened: opened, load=False)
    return None if opened.depth is None else opened.depth.kind


def deep_range(path: bytes) -> Range:
    """Return the range of an image with more than 8 bits: see `range_of`.

    Raises the errors of `read_image`; `ImageError` for an image with fewer bits too.
    """
    return _read(path, _range)


@dataclass(frozen=True)
class _Opened:
    """An open image, its open file, and how its values are stored; `depth` is None where they have 8 bits or fewer."""

    image: Image.Image
    file: BinaryIO
    depth: Depth | None

    def upright(self, converted: Image.Image) -> Image.Image:
        """Return `converted`, made from this image, turned or mirrored as this image's EXIF orientation says."""
        turn = _UPRIGHT.get(_orientation(self.image))
        return converted if turn is None else converted.transpose(turn)


def _read(
    path: bytes | str | Path, convert: Callable[[_Opened], T], *, load: bool = True, enough: int | None = None
) -> T:
    with _image_errors(), _open(os.fsdecode(path)) as file:
        return _decode(file, convert, load, enough)


def read_file(path: bytes) -> bytes:
    """Return the bytes of an image's file. Raises the errors of `read_image` where it cannot be read."""
    with _image_errors(), _open(os.fsdecode(path)) as file:
        return file.read()


@contextmanager
def _image_errors() -> Iterator[None]:
    """Turn whatever is raised while an image is read into `ImageError`."""
    try:
        yield
    except (ImageError, ShapebiasError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except MemoryError as error:
        raise ImageError("too large for the memory") from error
    except Exception as error:  # Pillow's decoders raise any error for a damaged file
        if isinstance(error, OSError) and error.errno:
            raise ImageError(f"cannot be read: {os.strerror(error.errno).lower()}") from error
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        raise ImageError("truncated" if cut else "damaged") from error


def read_pixels(
    path: bytes | str | Path, geometry: Geometry, scales: Mapping[str, Scale] | None = None, *, reduced: bool = False
) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image file in a geometry: uint8 [crop, crop, 3].

    path:     the file, or an address (see `fetch`)
    scales:   as for `read_image`
    reduced:  whether a large JPEG is decoded at a fraction of its size, with sides of at least twice as many pixels as
              the geometry resizes to: two to three times as fast, with an average difference of 0.2 of 255

    Raises the errors of `read_image` and of the geometry.
    """
    return geometry(read_image(path, scales, enough=2 * geometry.resize if reduced else None))


def read_mask(path: bytes | str | Path, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Return the opacity of an image file in a geometry, uint8 [crop, crop], 255 = opaque.

    Raises the errors of `read_image`, and `ImageError` for an image without transparency.
    """
    return geometry(_read(path, _opacity, load=False))  # a file without transparency need not be decoded


def image_size(path: bytes | str | Path) -> Size:
    """Return width and height, px, of an image file as its EXIF orientation turns it, from its header alone.

    Raises the errors of `read_image`.
    """
    return _read(path, lambda opened: opened.upright(opened.image).size, load=False)


def fit_pixels(
    path: bytes, read: Callable[[bytes], npt.NDArray[np.uint8]], geometry: Geometry
) -> npt.NDArray[np.uint8]:
    """Return pixels in a geometry for an image that is not a file: uint8 [crop, crop, 3], or [crop, crop] of a mask.

    `read` returns its pixels, uint8 [H, W, 3], or its mask, uint8 [H, W], from its path; its errors pass through.
    """
    return geometry(Image.fromarray(read(path)))


def encode_thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the bytes of an image file that shows pixels uint8 [H, W, 3].

    It is a PNG of the same size up to 96 px per side, else a JPEG with a long side of at most 256 px.
    """
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    if max(image.size) <= 96:
        image.save(buffer, "PNG")
    else:
        image.thumbnail((256, 256), Image.Resampling.BICUBIC, reducing_gap=None)
        image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _open(path: str) -> BinaryIO:
    """Return the open file of a path, or what `fetch` reads from another address, as a file in memory.

    Raises `ImageError` for what is missing, empty or not a regular file (opening a FIFO would wait for its writer), and
    the errors of `fetch` for other reasons.
    """
    if not is_file(path):
        return _fetched(path)
    try:
        status = Path(path).stat()
    except FileNotFoundError as error:
        raise ImageError("broken link" if Path(path).is_symlink() else "no such file") from error
    if stat.S_ISDIR(status.st_mode):
        raise ImageError("is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("not a regular file")
    if status.st_size == 0:
        raise ImageError("empty file")
    return Path(path).open("rb")


def _fetched(address: str) -> BinaryIO:
    try:
        content = fetch(address)
    except FileNotFoundError as error:
        raise ImageError("no such file") from error
    if not content:
        raise ImageError("empty file")
    return io.BytesIO(content)


def _decode(file: BinaryIO, convert: Callable[[_Opened], T], load: bool, enough: int | None) -> T:
    """Return the result of `convert` for the image in a file.

    `load` says whether its pixels are decoded before; `enough` is as in `read_image`. Raises `ImageError`, and whatever
    Pillow's decoders raise for a damaged file.
    """
    name = _format(file.read(32))
    with _silence(tiff=name == "TIFF"):
        try:
            image: Image.Image = Image.open(file, formats=(name,))
        except UnidentifiedImageError as error:
            raise ImageError(_unknown_tiff(file) if name == "TIFF" else "damaged") from error
        if image.width * image.height > MAX_PIXELS:  # Pillow's own limit may have been disabled
            raise _too_large()
        depth = depth_of(image)
        if enough is not None and name == "JPEG":
            image.draft(None, (enough, enough))
        if load:
            image.load()
        return convert(_Opened(image, file, depth))


def _format(beginning: bytes) -> str:
    """Return Pillow's name for the format of a file that begins with these bytes.

    Raises `ImageError` for any other format.
    """
    name = next((name for magic, name in _FORMATS.items() if beginning.startswith(magic)), None)
    if beginning[4:8] == b"ftyp":  # a box with the brands of the content
        if b"avif" in beginning or b"avis" in beginning:
            return AvifImagePlugin.AvifImageFile.format
        if beginning[8:12] in _HEIC_BRANDS:
            raise ImageError("a HEIC image: convert it, with pillow-heif")
    if name is None:
        raise ImageError("not a JPEG, PNG or other image of a known kind")
    return name


def _unknown_tiff(file: BinaryIO) -> str:
    """Return why Pillow cannot read a TIFF, as text: it has an unknown kind of values, or it is damaged.

    Raises whatever Pillow raises where the TIFF's tags cannot be read.
    """
    file.seek(0)
    header = file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header + file.read(8) if header[2:3] == b"+" else header)
    file.seek(tags.next)
    tags.load(file)
    bits, sample = tags.get(258, (1,))[0], {1: "integer", 2: "integer", 3: "float"}.get(tags.get(339, (1,))[0])
    if bits not in (16, 24, 32, 64) or sample is None:
        return "damaged"
    return f"{bits}-bit {sample} TIFF: convert it, with tifffile"


def _too_large() -> ImageError:
    return ImageError(f"more than {MAX_PIXELS / 1e6:.0f} megapixels")


@contextmanager
def _silence(tiff: bool) -> Iterator[None]:
    """Hide warnings of Pillow while the block runs, and, with `tiff`, of libtiff, which writes to stderr itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not tiff:
            yield
            return
        saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(null)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, usually 1 (upright) to 8; 1 where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _to_rgb(opened: _Opened, scales: Mapping[str, Scale]) -> Image.Image:
    image = opened.image
    if opened.depth is not None:
        image = to_8_bits(image, opened.depth, opened.file, scales)
    if image.mode == "LAB":
        image = _lab_to_rgb().apply(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return opened.upright(image if image.mode == "RGB" else image.convert("RGB"))


def _opacity(opened: _Opened) -> Image.Image:
    if not opened.image.has_transparency_data:
        raise ImageError("has no transparency")
    return opened.upright(opened.image.convert("RGBA").getchannel("A"))


def _range(opened: _Opened) -> Range:
    if opened.depth is None:
        raise ImageError("changed while it was read")
    return range_of(read_values(opened.image, opened.depth, opened.file), opened.depth)


@cache
def _lab_to_rgb() -> "ImageCms.ImageCmsTransform":
    from PIL import ImageCms  # rarely needed, slow to import

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
