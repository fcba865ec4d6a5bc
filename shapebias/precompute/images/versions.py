"""The unchanged and the distorted versions of an image in one array, for which the image is decoded once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from shapebias.precompute.images.decode import fit_pixels, read_mask
from shapebias.precompute.images.distort import generator, parse_distortion
from shapebias.precompute.images.fetch import path_of
from shapebias.precompute.images.geometry import Geometry, ImageError
from shapebias.precompute.images.image_set import ImageSet

CLEAN = "clean"
SILHOUETTE = "silhouette"  # black on white, from annotation or opacity; all white where there is none

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Versions:
    """A function from an image's address to its versions, uint8 [versions, crop, crop, 3], in the order of `names`.

    names:   `clean`, `silhouette`, or distortions such as `shuffle-4`
    seed:    the run's; with an image's path below `root` it decides the random numbers of the distortions
    root:    the folder or other text that all paths begin with
    decode:  returns pixels uint8 [crop, crop, 3] for an address, or raises `ImageError`
    mask:    returns uint8 [crop, crop] for an address, 128 or more where an object is; raises `ImageError` where the
             image has no mask
    """

    names: tuple[str, ...]
    seed: int
    root: bytes
    decode: Callable[[bytes], Pixels]
    mask: Callable[[bytes], Pixels]

    def __call__(self, path: bytes) -> Pixels:
        """Return the versions of the image at this address. Raises the errors of `decode`."""
        pixels = self.decode(path)
        relative = path_of(path).removeprefix(self.root).lstrip(b"/")
        return np.stack([self._version(name, pixels, path, relative) for name in self.names])

    def _version(self, name: str, pixels: Pixels, path: bytes, relative: bytes) -> Pixels:
        if name == CLEAN:
            return pixels
        if name == SILHOUETTE:
            return self._silhouette(path, pixels.shape)
        distortion = parse_distortion(name)
        return distortion(pixels, generator(relative, self.seed, distortion.kind))

    def _silhouette(self, path: bytes, shape: tuple[int, ...]) -> Pixels:
        try:
            object_ = self.mask(path) >= 128
        except ImageError:
            object_ = np.zeros(shape[:2], bool)
        return np.repeat(np.where(object_, np.uint8(0), np.uint8(255))[..., None], 3, axis=2)


def _nothing(path: bytes) -> Pixels:
    """Raise ImageError: stands in for `ImageSet.mask` in sets of images without masks."""
    raise ImageError("has no mask")


def make_versions(image_set: ImageSet, geometry: Geometry, names: tuple[str, ...], seed: int) -> Versions:
    """Return the function that makes the versions `names` of an image set's images, for a network's geometry.

    Raises nothing; an unknown name raises UsageError when the function is called.
    """
    mask: Callable[[bytes], Pixels] = partial(read_mask, geometry=geometry)
    if image_set.read is not None:
        mask = partial(fit_pixels, read=image_set.mask or _nothing, geometry=geometry)
    return Versions(names=names, seed=seed, root=image_set.prefix, decode=image_set.decoder(geometry), mask=mask)
