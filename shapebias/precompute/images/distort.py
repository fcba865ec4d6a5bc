"""Distorted versions of an image: without texture, shape or colour, with less or other detail.

Distortions take and return pixels uint8 [H, W, 3]. Lengths are in pixels of a 224 px image and scale with the image.
Random numbers are seeded by the run's seed and the image's path (see `generator`), so with one seed an image is changed
in the same way in any batch, order or run.
Imports Pillow and numpy only (scikit-image for contours), so that worker processes start fast.
"""

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

Pixels = npt.NDArray[np.uint8]
_NAME = re.compile(r"([a-z]+(?:-[a-z]+)*)(?:-([0-9]+(?:\.[0-9]+)?))?")
_CONTOUR_BLUR = 2.0


@dataclass(frozen=True)
class Distortion:
    """A distortion: its name as the user wrote it (`shuffle-4`), its kind (`shuffle`) and its strength (4).

    The unit of the strength depends on the kind: see the comments in `_KINDS`.
    """

    name: str
    kind: str
    strength: float

    def __call__(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        """Return the changed pixels, uint8 [H, W, 3]; `random` comes from `generator`."""
        return _KINDS[self.kind].change(pixels, self.strength, random)


@dataclass(frozen=True)
class _Kind:
    change: Callable[[Pixels, float, np.random.Generator], Pixels]
    strength: float  # default strength
    range: tuple[float, float]  # the least and the largest strength; equal for a kind that takes none
    whole: bool = False  # whether the strength is a whole number


def parse_distortion(name: str) -> Distortion:
    """Return the distortion `KIND` or `KIND-STRENGTH`. Raises UsageError for an unknown kind or an invalid strength.

    >>> distortion = parse_distortion("shuffle-4")
    >>> distortion.kind, distortion.strength
    ('shuffle', 4.0)
    """
    match = _NAME.fullmatch(name)
    kind = match[1] if match else ""
    if match is None or kind not in _KINDS:
        raise UsageError(f"no distortion {printable(name)}: there are {', '.join(_KINDS)}")
    low, high = _KINDS[kind].range
    strength = float(match[2]) if match[2] else _KINDS[kind].strength
    if not low <= strength <= high or (match[2] and low == high):
        raise UsageError(f"{printable(name)}: the strength of {kind} is {low:g} to {high:g}")
    if _KINDS[kind].whole and strength % 1:
        raise UsageError(f"{printable(name)}: the strength of {kind} is a whole number")
    return Distortion(name, kind, strength)


def generator(path: bytes, seed: int, name: str) -> np.random.Generator:
    """Return a generator of random numbers for one image, the same for equal arguments.

    path:  the image's path below the root of its set
    seed:  the run's
    name:  the kind of distortion, so that all its strengths get the same numbers
    """
    return np.random.Generator(np.random.SFC64(int.from_bytes(_digest(path, seed, name), "little")))


def random_seed(path: bytes, seed: int, name: str) -> int:
    """Return a number below 2^63 for an image, a run's seed and a kind of distortion, given as to `generator`."""
    return int.from_bytes(_digest(path, seed, name)[:8], "little") >> 1


def _digest(path: bytes, seed: int, name: str) -> bytes:
    return hashlib.blake2b(path, digest_size=16, person=f"{seed}".encode()[:16], salt=name.encode()[:16]).digest()


def _grey(pixels: Pixels, _: float, __: np.random.Generator) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _contrast(pixels: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    moved = (pixels - np.float32(127.5)) * np.float32(strength) + np.float32(127.5)
    changed: Pixels = np.rint(moved).astype(np.uint8)
    return changed


def _noise(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    noisy = random.standard_normal(pixels.shape, np.float32)
    noisy *= np.float32(255 * strength)
    noisy += pixels
    np.clip(noisy, 0, 255, out=noisy)
    changed: Pixels = np.rint(noisy, out=noisy).astype(np.uint8)
    return changed


def _blur(pixels: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    radius = strength * pixels.shape[0] / 224
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _high_pass(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    detail = pixels - _blur(pixels, strength, random).astype(np.float32)
    changed: Pixels = np.clip(np.rint(detail + 127.5), 0, 255).astype(np.uint8)
    return changed


def _jpeg(pixels: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(strength))
    return np.asarray(Image.open(buffer).convert("RGB"))


def _shuffle(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Return the image cut into n x n patches, n = `strength`, in a random order in which none stays in its place.

    Where n does not divide a side, its last rows or columns stay unchanged.
    """
    n = round(strength)
    height, width = pixels.shape[0] // n, pixels.shape[1] // n
    shuffled = pixels.copy()
    cells = pixels[: n * height, : n * width].reshape(n, height, n, width, 3).swapaxes(1, 2).reshape(n * n, -1)
    moved = cells[_derangement(n * n, random)].reshape(n, n, height, width, 3).swapaxes(1, 2)
    shuffled[: n * height, : n * width] = moved.reshape(n * height, n * width, 3)
    return shuffled


def _mirror(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Return the image mirrored left to right and shifted by up to `strength` px down or up, and to a side.

    The shift is random and never zero. What it uncovers shows the image's edge, reflected.
    """
    most = max(1, round(strength * pixels.shape[0] / 224))
    while True:
        down, across = random.integers(-most, most, 2, endpoint=True).tolist()
        if down or across:
            break
    wide = np.pad(pixels[:, ::-1], ((most, most), (most, most), (0, 0)), mode="symmetric")
    height, width = pixels.shape[:2]
    return wide[most - down : most - down + height, most - across : most - across + width]


def _derangement(count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a random permutation of 0 to `count` - 1 that moves every element; of one element, 0 alone."""
    while True:
        order: npt.NDArray[np.int64] = random.permutation(count)
        if count < 2 or (order != np.arange(count)).all():
            return order


def _contour(pixels: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    from skimage.feature import canny

    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32) / 255
    edges: npt.NDArray[np.bool_] = canny(grey, sigma=max(1.0, strength * pixels.shape[0] / 224))  # type: ignore[no-untyped-call]  # scikit-image's
    return np.repeat(np.where(edges, np.uint8(0), np.uint8(255))[..., None], 3, axis=2)


_KINDS = {
    "grey": _Kind(_grey, 0, (0, 0)),
    "contrast": _Kind(_contrast, 0.3, (0, 1)),
    "noise": _Kind(_noise, 0.1, (0, 10)),  # standard deviation, for pixels in [0, 1]
    "blur": _Kind(_blur, 2, (0, 224)),  # standard deviation in px, also for the next two
    "low-pass": _Kind(_blur, 7, (0, 224)),
    "high-pass": _Kind(_high_pass, 2, (0, 224)),
    "jpeg": _Kind(_jpeg, 10, (1, 100), whole=True),  # quality
    "shuffle": _Kind(_shuffle, 4, (2, 64), whole=True),  # patches a side
    "mirror": _Kind(_mirror, 8, (1, 112)),  # px, the largest shift
    "contour": _Kind(_contour, _CONTOUR_BLUR, (0, 224)),  # px, standard deviation of the blur before edge detection
}

STANDARD = (
    *("shuffle-2", "shuffle-4", "shuffle-8", "contour"),
    *("grey", "contrast", "noise", "blur", "low-pass", "high-pass", "jpeg"),
)
