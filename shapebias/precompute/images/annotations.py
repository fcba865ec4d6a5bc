"""Images whose pixels are labelled with concepts, passed through the loader with their labels in one array.

A worker returns uint8 [versions, crop, crop, 3] for an image: version 0 is its pixels, the other versions hold the
bytes of its labels. Imports Pillow and numpy only, so that worker processes start fast.
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
Numbers = npt.NDArray[np.uint16]  # numbers of concepts: 0 is none, n the n-th name in `Concepts`, counted from 1

CATEGORIES = ("color", "texture", "material", "part", "object", "scene")
_SIDE = 112  # largest side of annotations that are made here, as in published ones


@dataclass(frozen=True)
class LabelledImage:
    """An image and the concepts in its pixels.

    pixels:  uint8 [crop, crop, 3]
    planes:  uint16 [planes, height, width], the concept of each pixel, 0 for none; each plane can give a pixel another
    whole:   uint16 [n], the concepts that cover the whole image, 0 for none
    """

    pixels: Pixels
    planes: Numbers
    whole: Numbers


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Annotated images.

    read:           returns the LabelledImage of an address (see `fetch`) or raises `ImageError`; worker processes
                    import it
    geometry:       how images are fitted to a network's input
    height, width:  of the planes of labels, which may differ from the input's, px
    planes:         the largest number of planes of an image
    whole:          the largest number of labels of a whole image
    source:         the name of the annotation: Broden, colours or built-in
    skipped:        images that are not in `image_set`, since they or their annotation cannot be used
    problems:       lines on faults of the annotation
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
        """Return lines for the user: one that counts the skipped images by reason, if any were, then `problems`."""
        reasons = Counter(image.reason for image in self.skipped)
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(8))
        left_out = [f"{len(self.skipped):,} annotated images skipped: {counted}"] if self.skipped else []
        return [*left_out, *self.problems]

    @property
    def versions(self) -> int:
        """The number of arrays uint8 [crop, crop, 3] that hold an image and its labels: one, the first, the pixels."""
        return 1 + -(-2 * self._numbers // self.geometry.crop**2 // 3)

    @property
    def _numbers(self) -> int:
        return self.whole + self.planes * self.height * self.width

    @property
    def pack(self) -> Callable[[bytes], Pixels]:
        """A function from an image's address to uint8 [versions, crop, crop, 3], for worker processes.

        It raises `ImageError` where the image cannot be used.
        """
        return partial(_pack, read=self.read, versions=self.versions, whole=self.whole, numbers=self._numbers)

    def labels(self, packed: Pixels) -> "Labels":
        """Return the labels of B images from what `pack` made of them, uint8 [B, versions, crop, crop, 3]."""
        packed_labels = np.ascontiguousarray(packed[:, 1:]).reshape(len(packed), -1)[:, : 2 * self._numbers]
        numbers = np.ascontiguousarray(packed_labels).view(np.uint16)
        planes = numbers[:, self.whole :].reshape(len(packed), self.planes, self.height * self.width)
        return Labels(planes, numbers[:, : self.whole], self.concepts, height=self.height, width=self.width)


def _pack(path: bytes, *, read: Callable[[bytes], LabelledImage], versions: int, whole: int, numbers: int) -> Pixels:
    """Return the array that `Annotations.pack` makes of an image and its labels.

    Labels of the whole image are removed from the planes, and a label that two planes give a pixel from the later one.

    versions:  how many arrays the result has
    whole:     the place that is kept for labels of the whole image
    numbers:   how many labels are stored altogether
    """
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
    """The concepts in the pixels of a batch's images, as numbers; 0 is none.

    planes:  uint16 [B, planes, height * width]; the planes' numbers at a pixel differ, unless they are 0
    whole:   uint16 [B, n], the concepts that cover the whole image, which no plane repeats
    """

    planes: Numbers
    whole: Numbers
    concepts: Concepts
    height: int = field(kw_only=True)
    width: int = field(kw_only=True)

    @cached_property
    def pixels(self) -> npt.NDArray[np.int64]:
        """The number of pixels of each image that show each concept, int64 [B, concepts + 1]; [:, 0] is 0.

        They are pixels of the planes, height x width of them. A concept of the whole image counts in all.
        """
        counts = np.zeros((len(self.planes), len(self.concepts) + 1), np.int64)
        for row, planes, whole in zip(counts, self.planes, self.whole, strict=True):
            row += np.bincount(planes.ravel(), minlength=len(row))
            row[whole] = self.height * self.width
            row[0] = 0
        return counts

    @cached_property
    def carried(self) -> npt.NDArray[np.bool_]:
        """Whether each image shows any concept of each category, bool [B, categories]."""
        category = np.array(self.concepts.category, np.int64)
        shows = self.pixels[:, 1:] > 0
        columns = [shows[:, category == index].any(1) for index in range(len(self.concepts.categories))]
        return np.stack(columns, 1) if columns else np.zeros((len(shows), 0), bool)


def annotated_images(image_set: ImageSet, limit: int | None) -> ImageSet:
    """Return the images for dissection: for a folder `image_set` itself, for built-in images the cue-conflict split.

    In that split any shape has any texture, so that units for the one are not mistaken for units of the other. At most
    `limit` images of it are returned (None: all); `image_set` itself is never cut.
    """
    if image_set.annotate is None or image_set.root == builtin_set("cue-conflict", 1).root:
        return image_set
    drawn = builtin_set("cue-conflict")
    conflicting = replace(drawn, read=image_set.read, mask=image_set.mask, annotate=image_set.annotate)
    return conflicting if limit is None else conflicting.spread(limit)


def annotate(image_set: ImageSet, geometry: Geometry) -> Annotations:
    """Return images with their own annotation, if they have one (the built-in images), else with their colours.

    `geometry` is the network's. A plane of labels covers what the network sees of an image, at most 112 x 112 px. The
    colours are the eleven basic ones of `builtin.colours`, one for each pixel.
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
