"""What the user may write where images are asked for: a folder, or a split of the built-in images."""

from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.builtin import SPLITS, builtin_set
from shapebias.precompute.images.folder import ImageSet, Skipped, list_images

PREFIX = "builtin:"


def find_images(source: str, limit: int | None = None) -> tuple[ImageSet, list[Skipped]]:
    """The images of `builtin:SPLIT` or of a folder, and what was left out; with `limit`, that many, evenly spread.

    Raises `UsageError` for an unknown split, a folder without images and `limit` < 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit on images must be at least 1, not {limit}")
    if source.startswith(PREFIX):
        split = source.removeprefix(PREFIX)
        if split not in SPLITS:
            names = ", ".join(f"{PREFIX}{name}" for name in SPLITS)
            raise UsageError(f"no built-in images {printable(source)}: {names}, or a folder")
        return _spread(builtin_set(split), limit), []
    images, skipped = list_images(Path(source))
    return _spread(images, limit), skipped


def _spread(images: ImageSet, limit: int | None) -> ImageSet:
    return images if limit is None else images.spread(limit)
