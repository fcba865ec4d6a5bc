"""The images that a run needs, and a digest by which they are known again."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from shapebias.precompute.images.broden import Broden, read_broden
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.variants import find_variants
from shapebias.precompute.settings import Settings


@dataclass
class Inputs:
    """`images` are the probe images; `skipped` what their listing left out; of cue-conflict images, both."""

    images: ImageSet
    skipped: list[Skipped]
    conflicting: tuple[ImageSet, list[Skipped]] | None
    stylized: ImageSet | None
    variants: list[tuple[str, ImageSet]]
    broden: Broden | None

    @classmethod
    def find(cls, settings: Settings) -> "Inputs":
        """Lists what the settings name. Raises ShapebiasError."""
        images, skipped = find_images(settings.images, settings.limit)
        return cls(
            images,
            skipped,
            None if settings.cue_conflict is None else find_images(settings.cue_conflict),
            None if settings.stylized is None else find_images(settings.stylized)[0],
            [
                found
                for name, folder in settings.variants
                for found in find_variants(name, Path(folder), images.class_ids)
            ],
            None if settings.broden is None else read_broden(settings.broden, settings.limit),
        )

    def digests(self) -> dict[str, str]:
        """A digest of every set of images."""
        sets = {"images": self.images, **dict(self.variants)}
        if self.conflicting is not None:
            sets["cue_conflict"] = self.conflicting[0]
        if self.stylized is not None:
            sets["stylized"] = self.stylized
        if self.broden is not None:
            sets["broden"] = self.broden.images
        return {name: image_digest(images) for name, images in sets.items()}


def image_digest(images: ImageSet) -> str:
    """SHA-256 of the images' paths and labels and of what tells that a file changed: of files here their sizes and
    times, of others their `stamp`."""
    digest = hashlib.sha256(images.labels.tobytes() + images.stamp)
    local = images.read is None and isinstance(images.root, Path)
    root = images.prefix
    for path in images.paths:
        digest.update(path + b"\0")
        if local:
            try:
                facts = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118 (bytes, and a million of them)
                digest.update(b"%d %d" % (facts.st_size, facts.st_mtime_ns))
            except OSError:
                digest.update(b"?")
    return digest.hexdigest()
