"""The images of a run, and digests by which a later run recognises them."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from shapebias.core.shape_bias.categories import read_mapping
from shapebias.precompute.images.broden import Broden, read_broden
from shapebias.precompute.images.builtin.kept import keep_drawings
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.variants import find_variants
from shapebias.precompute.progress import SILENT, Reporter
from shapebias.precompute.scoring.box_files import BoxFiles, read_box_files
from shapebias.precompute.settings import FAST, GPU, Settings


@dataclass(kw_only=True)
class Inputs:
    """The images of a run. What the settings do not name is None or empty.

    image_set:    the probe images
    skipped:      images that were left out of their listing, with the reasons
    conflicting:  the cue-conflict images, and those left out of their listing
    ood:          sets of stimuli by name, and images left out of their listings
    stylized:     stylized versions of the probe images
    variants:     names and sets of other images of the same classes
    broden:       the images and annotations of dissection
    boxes:        boxes around the objects in probe images
    """

    image_set: ImageSet
    skipped: list[Skipped]
    conflicting: tuple[ImageSet, list[Skipped]] | None
    ood: dict[str, tuple[ImageSet, list[Skipped]]]
    stylized: ImageSet | None
    variants: list[tuple[str, ImageSet]]
    broden: Broden | None
    boxes: BoxFiles | None

    @classmethod
    def find(cls, settings: Settings, progress: Reporter = SILENT) -> "Inputs":
        """Return the images that the settings name.

        Raises ShapebiasError where they cannot be listed, UsageError for a file of categories that is no mapping.
        """
        if settings.categories is not None:
            read_mapping(settings.categories)  # a mistake in the file is told before anything takes long
        image_set, skipped = list_images(settings, progress)
        return cls(
            image_set=image_set,
            skipped=skipped,
            conflicting=None
            if settings.cue_conflict is None
            else find_images(settings.cue_conflict, progress=progress),
            ood={name: find_images(source, progress=progress) for name, source in settings.ood},
            stylized=None if settings.stylized is None else _decoded(find_images(settings.stylized)[0], settings),
            variants=[
                (variant, _decoded(other, settings))
                for name, folder in settings.variants
                for variant, other in find_variants(name, Path(folder), [*image_set.class_ids, *image_set.source_names])
            ],
            broden=None if settings.broden is None else read_broden(settings.broden, settings.limit),
            boxes=None if settings.boxes is None else read_box_files(settings.boxes),
        )

    def drawn_once(self, folder: Path) -> "Inputs":
        """Return the same images; built-in ones are kept in a folder once they are drawn, for all passes of a run."""
        conflicting = self.conflicting
        if conflicting is not None:
            conflicting = keep_drawings(conflicting[0], folder), conflicting[1]
        return replace(self, image_set=keep_drawings(self.image_set, folder), conflicting=conflicting)

    def digests(self) -> dict[str, str]:
        """Return a digest of every set of images and of the boxes.

        Their names are `images`, `cue_conflict`, `stylized`, `broden`, `boxes`, `ood NAME`, and those of the variants.
        """
        sets = {"images": self.image_set, **dict(self.variants)}
        sets |= {f"ood {name}": image_set for name, (image_set, _) in self.ood.items()}
        if self.conflicting is not None:
            sets["cue_conflict"] = self.conflicting[0]
        if self.stylized is not None:
            sets["stylized"] = self.stylized
        if self.broden is not None:
            sets["broden"] = self.broden.image_set
        boxes = {} if self.boxes is None else {"boxes": self.boxes.digest}
        return {name: image_digest(image_set) for name, image_set in sets.items()} | boxes


def list_images(settings: Settings, progress: Reporter = SILENT) -> tuple[ImageSet, list[Skipped]]:
    """Return the probe images that the settings name, and the ones that were left out. Raises as `find_images` does."""
    image_set, skipped = find_images(settings.images, settings.limit, settings.labels, progress)
    return _decoded(image_set, settings), skipped


def _decoded(image_set: ImageSet, settings: Settings) -> ImageSet:
    """Return the same images, whose JPEGs are decoded as the settings say."""
    return replace(image_set, reduced=settings.decode == FAST, on_gpu=settings.decode == GPU)


def image_digest(image_set: ImageSet) -> str:
    """Return the SHA-256 of the images' paths and labels, and of what changes with their files.

    That is the size and time of each file of this machine; of other sets it is their `stamp`.
    """
    digest = hashlib.sha256(image_set.labels.tobytes() + image_set.stamp)
    local = image_set.read is None and isinstance(image_set.root, Path)
    root = image_set.prefix
    for path in image_set.paths:
        digest.update(path + b"\0")
        if local:
            try:
                facts = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118 (bytes, and a million of them)
                digest.update(b"%d %d" % (facts.st_size, facts.st_mtime_ns))
            except OSError:
                digest.update(b"?")
    return digest.hexdigest()
