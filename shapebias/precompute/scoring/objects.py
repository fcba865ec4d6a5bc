"""The positions of objects in images, in px of a network's input: from boxes in files, and from masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shapebias.core.attribution.localising import box_around, inside
from shapebias.core.text import printable
from shapebias.precompute.images.decode import image_size
from shapebias.precompute.images.geometry import Geometry, ImageError, Size
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.labels import Match
from shapebias.precompute.scoring.box_files import BoxFiles, ImageBoxes, NoBoxesError

_ROUNDING = 1.0  # px by which the image's size may differ from the size that its boxes were made for, after scaling
NO_BOXES = np.zeros((0, 4))


@dataclass(frozen=True)
class FoundBoxes:
    """The boxes of some images, in px of the images themselves.

    boxes:    for each image float64 [boxes, 4]
    classes:  for each image int64 [boxes], indices into the image set's classes, -1 for other classes
    sizes:    width and height of each image in px; (1, 1) where it has no boxes
    notes:    lines for the user about images without usable boxes
    """

    boxes: Sequence[NDArray[np.float64]]
    classes: Sequence[NDArray[np.int64]]
    sizes: Sequence[Size]
    notes: list[str] = field(default_factory=list)

    def of_outputs(self, geometry: Geometry, match: Match, targets: NDArray[np.int32]) -> list[NDArray[np.float64]]:
        """Return for each image the boxes of the class of its output, in px of a network's input, float64 [boxes, 4].

        geometry, match:  how the network's images are cropped, and which outputs are right for which classes
        targets:          int32 [images], the outputs; -1 = none: such an image has no boxes
        """
        placed = []
        for boxes, classes, size, target in zip(self.boxes, self.classes, self.sizes, targets.tolist(), strict=True):
            of_target = (match.targets(classes.astype(np.int32)) == target) & (target >= 0)
            placed.append(geometry.transform_boxes(boxes[of_target], size) if of_target.any() else NO_BOXES)
        return placed


def find_boxes(files: BoxFiles, images: ImageSet) -> FoundBoxes:
    """Return the boxes of a set's images from files.

    Images without boxes, or with boxes that do not fit, have none; the notes count them, with the reasons.
    """
    boxes, classes, sizes = [], [], []
    missing: list[str] = []
    unfit: dict[str, list[str]] = {}
    for position, path in enumerate(images.paths):
        size, image_boxes, box_classes = (1, 1), NO_BOXES, np.zeros(0, np.int64)
        try:
            file_boxes = files.find(path)
            if file_boxes is None:
                missing.append(printable(path, 60))
            else:
                size = _size_of(images, position)
                image_boxes = _scaled_to(file_boxes, size)
                box_classes = _classes_of(file_boxes, images, int(images.labels[position]))
        except NoBoxesError as error:
            unfit.setdefault(str(error), []).append(printable(path, 60))
        boxes.append(image_boxes)
        classes.append(box_classes)
        sizes.append(size)
    notes = [_counted(names, len(images), reason) for reason, names in unfit.items()]
    if missing:
        notes.insert(0, _counted(missing, len(images), f"{printable(files.source, 100)} does not name them"))
    return FoundBoxes(boxes, classes, sizes, notes)


def _counted(names: Sequence[str], count: int, reason: str) -> str:
    names_text = names[0] if len(names) == 1 else f"{names[0]}, …"
    return f"no boxes of {len(names):,} of {count:,} images ({names_text}): {reason}"


def _size_of(images: ImageSet, position: int) -> Size:
    """Return the width and height in px of the image at a position of its set. Raises NoBoxesError if it is damaged."""
    address = images.address(position)
    try:
        if images.read is None:
            return image_size(address)
        height, width = images.read(address).shape[:2]
    except ImageError as error:
        raise NoBoxesError(str(error)) from error
    return width, height


def _scaled_to(file_boxes: ImageBoxes, size: Size) -> NDArray[np.float64]:
    """Return boxes in px of an image of this width and height, float64 [boxes, 4].

    Raises NoBoxesError where they belong to another image.
    """
    file_size = file_boxes.size or size
    differences = size[0] - file_size[0] * size[1] / file_size[1], size[1] - file_size[1] * size[0] / file_size[0]
    if min(map(abs, differences)) > _ROUNDING:
        raise NoBoxesError(f"they belong to an image of other proportions, {file_size[0]} x {file_size[1]} px")
    if (file_boxes.boxes[:, :2] < -1).any() or (file_boxes.boxes[:, 2:] > np.add(file_size, 1)).any():
        raise NoBoxesError("they reach beyond the image, so they belong to another one")
    scaled: NDArray[np.float64] = file_boxes.boxes * np.tile(np.divide(size, file_size), 2)
    return scaled


def _classes_of(file_boxes: ImageBoxes, images: ImageSet, label: int) -> NDArray[np.int64]:
    """Return the classes of boxes as indices into the image set's classes, int64 [boxes]; -1 for other classes.

    A box without a class has that of the image, `label`.
    """
    ids = {name: number for number, name in enumerate(images.class_ids)} | dict(images.source_names)
    return np.array([label if name is None else ids.get(name, -1) for name in file_boxes.classes], np.int64)


@dataclass(frozen=True)
class Objects:
    """The position of an object in an image, in px of the input.

    region:  bool [H, W], the pixels of the object or inside its boxes
    boxes:   float64 [boxes, 4]
    masked:  whether the region is the object's exact pixels rather than its boxes
    """

    region: NDArray[np.bool_]
    boxes: NDArray[np.float64]
    masked: bool

    @classmethod
    def of(cls, boxes: NDArray[np.float64], mask: NDArray[np.bool_]) -> "Objects | None":
        """Return the position of an object from its boxes, of which there may be none, and its mask, which may be
        empty; None where nothing is known.
        """
        masked = bool(mask.any())
        if masked:
            return cls(mask, boxes if len(boxes) else box_around(mask)[None], masked)
        return cls(inside(boxes, *mask.shape), boxes, masked) if len(boxes) else None
