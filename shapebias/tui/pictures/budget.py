"""The bytes that a picture may have: few, to come soon at first, then as many as the connection transfers in time."""

import math

from shapebias.core.pictures.tiles import Photo, Subject, UnitImage
from shapebias.tui.pictures.layout import GridLayout

_BYTES = 245_000  # bytes of the first picture of a grid of up to 768 x 512 pixels; larger ones get more
_FIRST = 0.3  # seconds that the line may need for the first picture
_REFINED = 0.25  # seconds that it may need for a better picture than the usual, once the cursor rests
_BEST = 6  # times as many bytes as usual are enough for any picture


def usual_bytes(layout: GridLayout) -> int:
    """Return the usual number of bytes of a grid's picture."""
    return max(_BYTES, _BYTES * layout.count * layout.size**2 // (768 * 512))


def best_limit(layout: GridLayout) -> int:
    """Return the number of bytes that is enough for any picture of a grid."""
    return _BEST * usual_bytes(layout)


def first_limit(layout: GridLayout, subject: Subject, speed: float) -> int:
    """Return the number of bytes for a subject's first picture on a line that transfers `speed` bytes per second.

    It is the usual number, or less where the line needs longer than 0.3 seconds for that. `speed` may be infinite.
    """
    usual, affordable = usual_bytes_of(layout, subject), _FIRST * speed
    return usual if affordable >= usual else _rung(affordable)


def refined_limit(layout: GridLayout, subject: Subject, speed: float) -> int:
    """Return the number of bytes for the better picture that is sent once the cursor rests.

    `speed` is in bytes per second and may be infinite. On a slow line the number is the usual one, on a fast one up to
    six times that.
    """
    usual = usual_bytes_of(layout, subject)
    return max(usual, min(_BEST * usual, _rung(_REFINED * speed)))


def usual_bytes_of(layout: GridLayout, subject: Subject) -> int:
    """Return the usual number of bytes of a subject's picture.

    A single image gets more than the tiles of a grid, or maps that the user steps through.
    """
    return usual_bytes(layout) * (2 if isinstance(subject, UnitImage | Photo) else 1)


def _rung(affordable: float) -> int:
    """Return the largest power of two, or 1.5 times one, that is affordable; at least 1 and at most 1.5 * 2^40.

    Many different limits would fill the cache of pictures.
    """
    power: int = 2 ** int(math.log2(min(max(affordable, 1), 2**40)))
    return power * 3 // 2 if affordable >= power * 3 // 2 else power
