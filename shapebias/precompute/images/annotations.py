"""Images whose pixels are labelled with concepts, passed through the loader with their labels in one array.

Workers return uint8 [versions, crop, crop, 3]: first the pixels, then the labels' bytes in as many versions as they
need. Imports Pillow and numpy only, so that worker processes start fast.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from shapebias.core.concepts import Concepts
from shapebias.precompute.images.builtin.colours import COLOURS, name_colours
from shapebias.precompute.images.builtin.drawing import builtin_set
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet, Skipped

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint16]  # numbers of concepts: 0 is none, n the n-th name

CATEGORIES = ("color", "texture", "material", "part", "object", "scene")
_SIDE = 112  # largest side of annotations that are made here, as in published ones


@dataclass(frozen=True)
class LabelledImage:
    """An image and the concepts in its pixels.

    pixels:  uint8 [crop, crop, 3]
    planes:  uint16 [planes, height, width], labels of pixels, which may have several
    whole:   uint16 [n], labels of the whole image
    """

    pixels: Pixels
    planes: Numbers
    whole: Numbers


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Annotated images.

    read:               returns the LabelledImage of a path (with the images' root before it) or raises `ImageError`;
                        worker processes import it
    height, width:      of an image's planes of labels
    planes:             the largest number of planes
    whole:              the largest number of labels of a whole image
    source:             the name of the annotation
    skipped, problems:  images and annotations that cannot be used
    """

    image_set: ImageSet
    concepts: Concepts
    read: Callable[[bytes], LabelledImage]
    geometry: Geometry
    height: int
    width: int
    planes: int
    whole: int
    source: str
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """Return lines on annotations that could not be used."""
        reasons = Counter(image.reason for image in self.skipped)
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(8))
        left_out = [f"{len(self.skipped):,} annotated images skipped: {counted}"] if self.skipped else []
        return [*left_out, *self.problems]

    @property
    def versions(self) -> int:
        """The number of arrays uint8 [crop, crop, 3] that hold an image with its labels."""
        return 1 + -(-2 * self._numbers // self.geometry.crop**2 // 3)

    @property
    def _numbers(self) -> int:
        return self.whole + self.planes * self.height * self.width

    @property
    def pack(self) -> Callable[[bytes], Pixels]:
        """A function from a path to uint8 [versions, crop, crop, 3], for worker processes."""
        return partial(_pack, read=self.read, versions=self.versions, whole=self.whole, numbers=self._numbers)

    def labels(self, packed: Pixels) -> "Labels":
        """Return the labels of B images from the results of `pack`, uint8 [B, versions, crop, crop, 3]; [:, 0] are
        their pixels.
        """
        packed_labels = np.ascontiguousarray(packed[:, 1:]).reshape(len(packed), -1)[:, : 2 * self._numbers]
        numbers = np.ascontiguousarray(packed_labels).view(np.uint16)
        planes = numbers[:, self.whole :].reshape(len(packed), self.planes, self.height * self.width)
        return Labels(planes, numbers[:, : self.whole], self.concepts, height=self.height, width=self.width)


def _pack(path: bytes, *, read: Callable[[bytes], LabelledImage], versions: int, whole: int, numbers: int) -> Pixels:
    """Return an image and its labels in one array for `Annotations.labels`."""
    image = read(path)
    flat = np.zeros(numbers, np.uint16)
    covering = np.unique(image.whole[image.whole > 0])
    flat[: len(covering)] = covering
    planes = np.where(np.isin(image.planes, covering), np.uint16(0), image.planes)
    for later in range(1, len(planes)):  # no label twice at a pixel
        planes[later][(planes[:later] == planes[later]).any(0)] = 0
    flat[whole : whole + planes.size] = planes.ravel()
    packed = np.zeros((versions, *image.pixels.shape), np.uint8)
    packed[0] = image.pixels
    packed[1:].reshape(-1)[: 2 * numbers] = flat.view(np.uint8)
    return packed


@dataclass(frozen=True)
class Labels:
    """The concepts in a batch's pixels; 0 is none.

    planes:  uint16 [B, planes, height * width], at a pixel no label twice
    whole:   uint16 [B, n], labels of the whole image, which no plane repeats
    """

    planes: Numbers
    whole: Numbers
    concepts: Concepts
    height: int = field(kw_only=True)
    width: int = field(kw_only=True)

    @cached_property
    def pixels(self) -> npt.NDArray[np.int64]:
        """The number of pixels of each image that show each concept, int64 [B, concepts + 1]; [:, 0] is 0."""
        counts = np.zeros((len(self.planes), len(self.concepts) + 1), np.int64)
        for row, planes, whole in zip(counts, self.planes, self.whole, strict=True):
            row += np.bincount(planes.ravel(), minlength=len(row))
            row[whole] = self.height * self.width
            row[0] = 0
        return counts

    @cached_property
    def carried(self) -> npt.NDArray[np.bool_]:
        """Whether an image shows any concept of a category, bool [B, categories]."""
        category = np.array(self.concepts.category, np.int64)
        shows = self.pixels[:, 1:] > 0
        columns = [shows[:, category == index].any(1) for index in range(len(self.concepts.categories))]
        return np.stack(columns, 1) if columns else np.zeros((len(shows), 0), bool)


def annotated_images(image_set: ImageSet, limit: int | None) -> ImageSet:
    """Return the images for dissection: the same ones for a folder; for built-in images others (`limit` at most).

    In these any shape has any texture, so that units for the one are not mistaken for units of the other.
    """
    if image_set.annotate is None or image_set.root == builtin_set("cue-conflict", 1).root:
        return image_set
    drawn = builtin_set("cue-conflict")
    conflicting = replace(drawn, read=image_set.read, mask=image_set.mask, annotate=image_set.annotate)
    return conflicting if limit is None else conflicting.spread(limit)


def annotate(image_set: ImageSet, geometry: Geometry) -> Annotations:
    """Return images with their own annotation, if they have one (the built-in images), else with the eleven basic
    colours.

    Colours are at most 112 x 112, in the geometry in which a network sees the images.
    """
    side = min(geometry.crop, _SIDE)
    decode = image_set.decoder(geometry)
    if image_set.annotate is None or image_set.concepts is None:
        return Annotations(
            image_set=image_set,
            concepts=Concepts(COLOURS, (0,) * len(COLOURS), CATEGORIES[:1]),
            read=partial(_read_colours, decode=decode, side=side),
            geometry=geometry,
            height=side,
            width=side,
            planes=1,
            whole=0,
            source="colours",
        )
    scaled = Geometry(max(1, round(geometry.resize * side / geometry.crop)), side, "nearest")
    return Annotations(
        image_set=image_set,
        concepts=image_set.concepts,
        read=partial(_read_annotated, decode=decode, annotate=image_set.annotate, geometry=scaled),
        geometry=geometry,
        height=side,
        width=side,
        planes=len(image_set.concepts.categories),
        whole=0,
        source="built-in",
    )


def _read_colours(path: bytes, decode: Callable[[bytes], Pixels], side: int) -> LabelledImage:
    pixels = decode(path)
    small = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    return LabelledImage(pixels, name_colours(np.asarray(small))[None].astype(np.uint16), np.zeros(0, np.uint16))


def _read_annotated(
    path: bytes, decode: Callable[[bytes], Pixels], annotate: Callable[[bytes], Pixels], geometry: Geometry
) -> LabelledImage:
    pixels = decode(path)
    planes = np.stack([geometry(Image.fromarray(plane)) for plane in annotate(path)])
    return LabelledImage(pixels, planes.astype(np.uint16), np.zeros(0, np.uint16))
