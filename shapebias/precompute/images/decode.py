"""An image file becomes the pixels that a network sees. Imports Pillow and numpy only: worker processes start fast."""

import io
import logging
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import (  # the plugins by name: else Pillow looks for a format's plugin by importing all of them
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.images.fetch import fetch, is_file
from shapebias.precompute.images.geometry import Geometry, ImageError

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
}
_MAX_PIXELS = 2 * 89_478_485
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or Python prints its errors where nobody set up logging


def read_image(path: bytes | str | Path) -> Image.Image:
    """Return the image in a JPEG, PNG, WebP, BMP, GIF or TIFF file (its first frame), upright (EXIF), in mode RGB;
    `path` may be an address (see `fetch`).

    Transparent images are laid over white. Grey deeper than 8 bits keeps its high byte when it fits 16 bits; other
    integers, and floats outside [0, 1], are scaled from their own range. Colour profiles are not applied, as in
    torchvision. Raises `ImageError`, and nothing else, for a file that is damaged, too large or no image, and
    ShapebiasError where a server cannot be reached.
    """
    return _read(path, _to_rgb)


def _read(path: bytes | str | Path, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        with _open(os.fsdecode(path)) as file:
            return _decode(file, convert)
    except (ImageError, ShapebiasError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except MemoryError as error:
        raise ImageError("too large for the memory") from error
    except Exception as error:  # on a damaged file Pillow's decoders raise what they like
        if isinstance(error, OSError) and error.errno:
            raise ImageError(f"cannot be read: {os.strerror(error.errno).lower()}") from error
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        raise ImageError("truncated" if cut else "damaged") from error


def read_pixels(path: bytes | str | Path, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image file in a geometry: uint8 [crop, crop, 3]. Raises `ImageError`."""
    return geometry(read_image(path))


def read_mask(path: bytes | str | Path, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Return where an image file shows something: its opacity in a geometry, uint8 [crop, crop], 255 = opaque.

    Raises `ImageError` as `read_image` does, and for an image that has no transparency.
    """
    return geometry(_read(path, _opacity))


def fit_pixels(
    path: bytes, read: Callable[[bytes], npt.NDArray[np.uint8]], geometry: Geometry
) -> npt.NDArray[np.uint8]:
    """Return pixels as `read_pixels` does, of an image that is no file: `read` makes them, uint8 [H, W, 3], from its
    path.

    Or as `read_mask`, of a mask uint8 [H, W].
    """
    return geometry(Image.fromarray(read(path)))


def encode_thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return an image file for pixels uint8 [H, W, 3]: PNG up to 96 px a side, else JPEG, its long side at most 256
    px."""
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    if max(image.size) <= 96:
        image.save(buffer, "PNG")
    else:
        image.thumbnail((256, 256), Image.Resampling.BICUBIC, reducing_gap=None)
        image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _open(path: str) -> BinaryIO:
    """Open the file if it is a regular file with something in it: opening a FIFO would wait for its writer."""
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


def _decode(file: BinaryIO, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    prefix = file.read(8)
    name = next((name for magic, name in _FORMATS.items() if prefix.startswith(magic)), None)
    if name is None:
        raise ImageError("not a JPEG, PNG, WebP, BMP, GIF or TIFF image")
    with _silence(tiff=name == "TIFF"):
        image: Image.Image = Image.open(file, formats=(name,))
        if image.width * image.height > _MAX_PIXELS:  # Pillow's own limit can have been lifted
            raise _too_large()
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        image = convert(image)
        return image if turn is None else image.transpose(turn)


def _too_large() -> ImageError:
    return ImageError(f"more than {_MAX_PIXELS / 1e6:.0f} megapixels")


@contextmanager
def _silence(tiff: bool) -> Iterator[None]:
    """Keep warnings of Pillow and, while a TIFF is read, of libtiff, which writes to stderr itself, from the user."""
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
    """Return the EXIF orientation, 1 to 8. Metadata that cannot be read does not condemn an image."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_8_bits(image)
    if image.mode == "LAB":
        return _lab_to_rgb().apply(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _opacity(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        raise ImageError("has no transparency")
    return image.convert("RGBA").getchannel("A")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of integers or floats in mode L; infinities and NaN become its ends and black."""
    values = np.asarray(image)
    if image.mode != "F" and values.min() >= 0 and values.max() <= 0xFFFF:
        return Image.fromarray((values >> 8).astype(np.uint8))
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (np.clip(values, low, high).astype(np.float64) - low) * (255 / max(high - low, 1e-300))
    return Image.fromarray(np.rint(np.nan_to_num(scaled)).astype(np.uint8))


@cache
def _lab_to_rgb() -> "ImageCms.ImageCmsTransform":
    from PIL import ImageCms  # rarely needed, slow to import

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
