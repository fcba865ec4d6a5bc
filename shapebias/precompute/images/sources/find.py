"""The sources of images that a user can name: a folder, tar files, a list (also on a server), or a split of the
built-in images or of a published set.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.builtin.drawing import SPLITS, builtin_set
from shapebias.precompute.images.deep_sets import with_scales
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.sources.label_file import label_by_file
from shapebias.precompute.images.sources.listing import read_list
from shapebias.precompute.images.sources.location import Listing, Location, locate
from shapebias.precompute.images.sources.patterns import expand, has_wildcard
from shapebias.precompute.images.sources.published_sets import is_published, published_tar
from shapebias.precompute.images.sources.tar import is_tar_name, list_tars
from shapebias.precompute.progress import SILENT, Reporter

PREFIX = "builtin:"


@dataclass(frozen=True)
class SourceKind:
    """A kind of source of images: how a location is recognised as one, and how its images are listed."""

    recognises: Callable[[Location], bool]
    list_images: Callable[[Location], Listing]


def _list_builtin(location: Location) -> Listing:
    split = location.text.removeprefix(PREFIX)
    if split not in SPLITS:
        names = ", ".join(f"{PREFIX}{name}" for name in SPLITS)
        raise UsageError(f"no built-in images {printable(location.text)}: {names}, or a folder")
    return builtin_set(split), []


def _list_matches(location: Location) -> Listing:
    """Return the images of the tar files that a pattern stands for, and what was skipped.

    Raises UsageError where no file matches, too many do, or one that is not a tar file, and as `list_tars` does.
    """
    pattern = location.text
    expanded = expand(pattern)
    names = [name for word in expanded for name in (location.matches(word) if has_wildcard(word) else [word])]
    if not names:
        raise UsageError(f"no file matches {printable(pattern)}: check the pattern of the tar files")
    for name in names:
        if not is_tar_name(name):
            raise UsageError(f"{printable(pattern)} stands for {printable(name)}, too: patterns are for tar files")
    return list_tars(list(dict.fromkeys(names)), pattern)


KINDS = (  # a location is of the first kind that recognises it
    SourceKind(lambda location: location.text.startswith(PREFIX), _list_builtin),
    SourceKind(lambda location: location.is_pattern(), _list_matches),
    SourceKind(lambda location: location.is_tar(), lambda location: list_tars([location.text], location.text)),
    SourceKind(
        lambda location: location.is_list(),
        lambda location: read_list(location.read(), location.parent(), location.text),
    ),
    SourceKind(
        lambda location: bool(location.tar_files()),
        lambda location: list_tars(location.tar_files(), location.text),
    ),
    SourceKind(lambda location: True, lambda location: location.list_folder()),
)


def find_images(
    source: str, limit: int | None = None, labels: Path | None = None, progress: Reporter = SILENT
) -> tuple[ImageSet, list[Skipped]]:
    """Return the images of a source, and a list of what was skipped.

    source:    `builtin:SPLIT`; a split of a published set (`cifar10:test`); or, as a path or a URL, a folder, tar files
               (one, a folder of them, or a pattern such as `train-{000..146}.tar`) or a list (see `listing`)
    limit:     the largest number of images to return, evenly spread over the listing; None: all
    labels:    a file for `label_by_file`
    progress:  is told of the download of a published set

    Raises `UsageError` for an unknown split, where there are no images, where `labels` does not fit and for `limit`
    < 1, and `ShapebiasError` where something cannot be read, downloaded or reached.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit on images must be at least 1, not {limit}")
    location = locate(str(published_tar(source, progress)) if is_published(source) else source)
    kind = next(kind for kind in KINDS if kind.recognises(location))
    image_set, skipped = kind.list_images(location)
    if labels is not None:
        image_set = label_by_file(image_set, labels)
    image_set = with_scales(image_set)
    return image_set if limit is None else image_set.spread(limit), skipped
