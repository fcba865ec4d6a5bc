"""Tiles as small PNG and JPEG files, for terminals that display image files."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Apply = Callable[..., Iterable[bytes]]
_SAMPLED = 4  # number of tiles on which an encoding is tried before all are encoded


@dataclass(frozen=True)
class _Way:
    """A way to encode a tile.

    shrunk:   its sides are divided by this
    colours:  the size of its palette; None: all colours
    quality:  the JPEG quality, 1 to 95; None: a PNG
    """

    shrunk: int = 1
    colours: int | None = None
    quality: int | None = None

    def __call__(self, tile: Pixels) -> bytes:
        """Return the encoded file of a tile."""
        image = Image.fromarray(tile)
        if self.shrunk > 1:
            image = image.resize([-(-side // self.shrunk) for side in image.size], Image.Resampling.BOX)
        file = io.BytesIO()
        if self.quality is not None:
            image.save(file, "JPEG", quality=self.quality, subsampling=0 if self.quality > 80 else 2)
            return file.getvalue()
        if self.colours is not None:
            image = image.quantize(self.colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        image.save(file, "PNG", compress_level=6)
        return file.getvalue()


# The best way comes first. At equal bytes, half the width and height is nearer to a photo than fewer than 32 colours.
_PNG = tuple(
    _Way(shrunk, colours)
    for shrunk, colours in (
        *((1, None), (1, 256), (1, 160), (1, 96), (1, 64), (1, 40), (2, None), (2, 128), (2, 48)),
        *((3, 128), (3, 48), (4, 64), (6, 48), (8, 32), (12, 32)),
    )
)
_JPEG = tuple(
    _Way(shrunk, quality=quality)
    for shrunk, quality in (
        *((1, 97), (1, 95), (1, 92), (1, 88), (1, 82), (1, 75), (1, 60), (1, 45), (1, 30), (2, 60), (2, 40)),
        *((3, 50), (4, 50), (6, 50), (8, 40)),
    )
)


def png_within(tiles: Pixels, limit: int, apply: Apply = map) -> list[bytes]:
    """Return a PNG file for each tile, uint8 [n, height, width, 3], in the best quality that keeps all of them together
    within `limit` bytes; in the least quality where none does.

    Coarse files have fewer pixels; a terminal enlarges them to the same cells. `apply` is `map`, or that of an
    executor.
    """
    return _encode_within(tiles, limit, _PNG, apply)


def jpeg_within(tiles: Pixels, limit: int, apply: Apply = map) -> list[bytes]:
    """Return a JPEG file for each tile, as `png_within` returns PNG files; photos take a quarter of their bytes."""
    return _encode_within(tiles, limit, _JPEG, apply)


def _encode_within(tiles: Pixels, limit: int, ways: Sequence[_Way], apply: Apply) -> list[bytes]:
    """Return each tile encoded in the first of several ways, the best first, that keeps all tiles within `limit` bytes,
    or else in the last way.
    """
    if len(tiles) == 0:
        return []
    sample = tiles[:: -(-len(tiles) // _SAMPLED)]
    for encode in ways[:-1]:
        if sum(map(len, map(encode, sample))) * len(tiles) > limit * len(sample):
            continue
        files = list(apply(encode, tiles))
        if sum(map(len, files)) <= limit:
            return files
    return list(apply(ways[-1], tiles))
