"""JPEG files that a GPU decodes: which ones, and the worker processes' side of it, which imports no PyTorch."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import ExifTags, Image

from shapebias.precompute.images.decode import MAX_PIXELS, read_file
from shapebias.precompute.images.geometry import Geometry, Size
from shapebias.precompute.images.worker import Pixels

_BEGINNING, _END = b"\xff\xd8\xff", b"\xff\xd9"
_EXIF, _ADOBE = 0xE1, 0xEE  # markers of segments
_USUAL_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)


@dataclass(frozen=True)
class JpegsUndecoded:
    """A function from the path of an image to the bytes of its file, where that is a plain JPEG; to its pixels else.

    decode:  returns the pixels uint8 [crop, crop, 3] of a path in the `geometry`

    Raises `ImageError` for images that cannot be used, but not for damage behind a JPEG's header.
    """

    decode: Callable[[bytes], Pixels]
    geometry: Geometry

    def __call__(self, path: bytes) -> Pixels | bytes:
        """Return the bytes of a plain JPEG, and the pixels of another image."""
        content = read_file(path)
        size = plain_jpeg_size(content)
        if size is None:
            return self.decode(path)
        self.geometry.placement(size)  # raises ImageError where it is too long and thin
        return content


def plain_jpeg_size(content: bytes) -> Size | None:
    """Return the size of a plain JPEG: a whole, upright one in grey or YCbCr of 8 bits. None for all other files.

    Only its header and its end are looked at.
    """
    if not (content.startswith(_BEGINNING) and content.endswith(_END)):
        return None
    at = 2
    while content[at : at + 1] == b"\xff" and at + 4 <= len(content):
        marker, behind = content[at + 1], at + 2 + int.from_bytes(content[at + 2 : at + 4])
        segment = content[at + 4 : behind]
        if marker in _USUAL_FRAMES:
            return _frame_size(segment)
        if marker in _OTHER_FRAMES or _changes_pixels(marker, segment):
            return None
        at = behind
    return None


def _frame_size(segment: bytes) -> Size | None:
    """Return the size that a frame's header says; None for one that is not of 8 bits in grey or YCbCr."""
    if len(segment) < 9 or segment[0] != 8 or segment[5] not in (1, 3) or segment[6::3] == b"RGB":
        return None
    height, width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
    return (width, height) if 0 < width * height <= MAX_PIXELS else None


def _changes_pixels(marker: int, segment: bytes) -> bool:
    """Return whether a segment says that the image is rotated, or has other colours than YCbCr."""
    if marker == _ADOBE and segment.startswith(b"Adobe"):
        return segment[11:12] != b"\1"
    if marker == _EXIF and segment.startswith(b"Exif"):
        exif = Image.Exif()
        try:
            exif.load(segment)
            return bool(exif.get(ExifTags.Base.Orientation, 1) != 1)
        except Exception:  # Pillow raises any error for damaged metadata: its decoder knows what to do
            return True
    return False
