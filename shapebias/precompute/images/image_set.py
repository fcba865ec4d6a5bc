"""A set of images with their labels, from any source."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shapebias.core.concepts import Concepts
from shapebias.precompute.images.decode import fit_pixels, read_pixels
from shapebias.precompute.images.depth import Scale
from shapebias.precompute.images.fetch import Members
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.labels import FolderClasses, is_wnid, label_images, name_by_folder


@dataclass(frozen=True)
class Skipped:
    """A file or folder that was left out: its path relative to the image set's root, and the reason on one line."""

    path: bytes
    reason: str


@dataclass(kw_only=True)
class ImageSet:
    """Images in a fixed order: the listing. Names are untrusted: print them with `core.text.printable`.

    root:                                  the folder, as a Path; a str where there is none on this machine: a URL, or
                                           the name of tar files
    paths:                                 relative to `root`, separated by `/`, as in the file system (any bytes but
                                           NUL)
    labels:                                int32 [images], an index into the class lists, -1 where an image has no label
    class_ids, class_names, source_names:  see `labels.ImageLabels`
    read:                                  for images that are not files: returns pixels uint8 [H, W, 3] for a path
                                           (with `root` before it), or raises `ImageError`; worker processes import it.
                                           None: files
    mask:                                  likewise for uint8 [H, W], 255 where the image shows an object. None: a
                                           file's opacity
    annotate:                              likewise for uint8 [categories, H, W]: each pixel's concept, 0 or its number
                                           in `concepts`
    concepts:                              the concepts of `annotate`
    members:                               the positions of the images in tar files; None: not in tar files
    stamp:                                 bytes that change when the files do, where these are on a server or in tar
                                           files; else empty
    scales:                                for images with more than 8 bits, by kind: see `depth`
    notes:                                 what the user should know about the listing, such as which files were left
                                           out
    reduced:                               whether large JPEGs are decoded at a fraction of their size: see
                                           `read_pixels`
    on_gpu:                                whether a GPU decodes plain JPEGs, where it can
    """

    root: Path | str
    paths: list[bytes]
    labels: npt.NDArray[np.int32]
    class_ids: list[str] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)
    source_names: dict[str, int] = field(default_factory=dict)
    read: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    mask: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    annotate: Callable[[bytes], npt.NDArray[np.uint8]] | None = None
    concepts: Concepts | None = None
    members: Members | None = None
    stamp: bytes = b""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reduced: bool = False
    on_gpu: bool = False

    def __post_init__(self) -> None:
        if not self.source_names:
            self.source_names = {name: index for index, name in enumerate(self.class_ids)}

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def prefix(self) -> bytes:
        """The root as bytes, valid in any working directory: `prefix` + `/` + a path is an image's full path."""
        return os.fsencode(self.root if isinstance(self.root, str) else self.root.absolute())

    def address(self, index: int) -> bytes:
        """Return the address of the image with this index in the listing, for `decoder`: see `fetch`.

        It is the full path or URL; of an image in a tar file, its place there too.
        """
        path = self.prefix + b"/" + self.paths[index]
        return path if self.members is None else self.members.address(path, index)

    def take(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> "ImageSet":
        """Return a set of the images at these positions (indices in the listing), in the order of the positions.

        All else, classes and notes included, is as in this set.
        """
        chosen = np.asarray(positions, np.int64)
        paths = [self.paths[index] for index in chosen.tolist()]
        members = None if self.members is None else self.members.take(chosen)
        return replace(self, paths=paths, labels=self.labels[chosen], members=members)

    def spread(self, limit: int) -> "ImageSet":
        """Return a set of at most `limit` of the images, evenly spread over the listing, in its order."""
        if limit >= len(self):
            return self
        return self.take([index * len(self) // limit for index in range(limit)])

    def decoder(self, geometry: Geometry) -> Callable[[bytes], npt.NDArray[np.uint8]]:
        """Return a function from the address of an image to pixels, uint8 [crop, crop, 3]; it raises `ImageError`."""
        if self.read is None:
            return partial(read_pixels, geometry=geometry, scales=self.scales, reduced=self.reduced)
        return partial(fit_pixels, read=self.read, geometry=geometry)


def image_keys(paths: Iterable[bytes], seed: int) -> npt.NDArray[np.int64]:
    """Return a pseudo-random number for every image, int64 [images], of any sign.

    It depends on the image's path and on the seed alone, not on the other images.
    """
    person = f"{seed}".encode()[:16]
    digests = b"".join(hashlib.blake2b(path, digest_size=8, person=person).digest() for path in paths)
    return np.frombuffer(digests, "<i8").astype(np.int64)


def shared_folder(paths: Iterable[bytes]) -> bytes:
    """Return the deepest folder that contains all paths, without a `/` at its end; empty where they share none.

    Raises ValueError for no paths.
    """
    folders = [folder.split(b"/") for folder in {path.rpartition(b"/")[0] for path in paths}]
    first, last = min(folders), max(folders)
    differing = (depth for depth, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return b"/".join(first[: next(differing, min(len(first), len(last)))])


def make_image_set(root: Path | str, paths: list[bytes], names: Sequence[bytes | None], **more: Any) -> ImageSet:
    """Return an image set of these paths, in their order.

    `names` are the names of their classes (None: no label), from which `label_images` makes the labels. `more` are
    further fields of `ImageSet`.
    """
    labels = label_images(names)
    return ImageSet(
        root=root,
        paths=paths,
        labels=labels.labels,
        class_ids=labels.class_ids,
        class_names=labels.class_names,
        source_names=labels.source_names,
        **more,
    )


def image_set_by_folder(
    root: Path | str,
    paths: list[bytes],
    source: str,
    *,
    is_folder: bool = True,
    folders: Sequence[bytes] | None = None,
    sort: bool = True,
    **more: Any,
) -> tuple[ImageSet, list[Skipped]]:
    """Return an image set in which folders are the classes, and the skipped pictures beside the class folders.

    Where no folder is a class, the root is the class of all images if its name is a WordNet id. Raises the UsageError
    of `labels.name_by_folder`.

    source:     the user's name for the images
    is_folder:  whether `source` is a folder rather than a file
    folders:    for each image the path whose folders decide its class; None: `paths`
    sort:       whether images are sorted by class, then by path, as bytes; otherwise they stay in the order of `paths`
    more:       further fields of `ImageSet`
    """
    classes = name_by_folder(folders or paths, source, is_folder=is_folder)
    own = os.fsencode(os.path.basename(os.path.abspath(root)))  # noqa: PTH100, PTH119 (keeps links; URLs)
    if is_wnid(own) and not any(classes.names):
        classes = FolderClasses([own] * len(paths), [])
    stray = set(classes.stray)
    kept = [position for position in range(len(paths)) if position not in stray]
    if sort:
        kept.sort(key=lambda position: (classes.names[position] or b"", paths[position]))
    skipped = [Skipped(paths[position], "beside the class folders") for position in classes.stray]
    return make_image_set(root, paths, classes.names, **more).take(kept), skipped
