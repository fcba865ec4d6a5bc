"""What the user may write where images are asked for: a folder, tar files, a list, on a server too, or a split of the
built-in images."""

import glob
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.remote import filesystem, is_url, stamp, unreachable
from shapebias.core.text import printable
from shapebias.precompute.images.builtin.drawing import SPLITS, builtin_set
from shapebias.precompute.images.image_set import (
    EXTENSIONS,
    ImageSet,
    Skipped,
    class_folders,
    image_set,
    in_order,
    no_images,
)
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.images.sources.listing import read_list
from shapebias.precompute.images.sources.tar import is_tar_name, list_tars

PREFIX = "builtin:"
T = TypeVar("T")

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")
_MOST = 1_000_000  # names in braces


def find_images(source: str, limit: int | None = None) -> tuple[ImageSet, list[Skipped]]:
    """The images of `builtin:SPLIT`, of a folder, of tar files (one, a folder of them, or a pattern such as
    `train-{000..146}.tar`) or of a list (see `listing`), of this machine or by URL, and what was left out; with
    `limit`, that many, evenly spread.

    Raises `UsageError` for an unknown split, where there are no images, and for `limit` < 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit on images must be at least 1, not {limit}")
    if source.startswith(PREFIX):
        split = source.removeprefix(PREFIX)
        if split not in SPLITS:
            names = ", ".join(f"{PREFIX}{name}" for name in SPLITS)
            raise UsageError(f"no built-in images {printable(source)}: {names}, or a folder")
        return _spread(builtin_set(split), limit), []
    images, skipped = _find_remote(source) if is_url(source) else _find_local(source)
    return _spread(images, limit), skipped


def _spread(images: ImageSet, limit: int | None) -> ImageSet:
    return images if limit is None else images.spread(limit)


def _find_local(source: str) -> tuple[ImageSet, list[Skipped]]:
    path = Path(source)
    if path.is_dir():
        children = [each for each in sorted(path.iterdir()) if not each.name.startswith(".")]
        tars = [str(each) for each in children if is_tar_name(each.name) and each.is_file()]
        images = any(each.is_dir() or each.name.lower().endswith(_SUFFIXES) for each in children)
        return list_tars(tars, source) if tars and not images else list_images(path)
    if not path.exists() and is_pattern(source):
        return _matched(source, lambda pattern: sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if is_tar_name(path.name):
        return list_tars([source], source)
    if path.is_file() and not path.name.lower().endswith(_SUFFIXES):
        try:
            return read_list(path.read_bytes(), os.path.abspath(path.parent), source)  # noqa: PTH100 (keeps links)
        except OSError as error:
            raise ShapebiasError(f"cannot read {printable(source)}: {error.strerror}") from error
    return list_images(path)


_SUFFIXES = tuple(extension.decode() for extension in EXTENSIONS)


def _find_remote(url: str) -> tuple[ImageSet, list[Skipped]]:
    if is_pattern(url):
        return _matched(url, _glob)
    files, path = filesystem(url)
    if is_tar_name(url):
        return list_tars([url], url)
    root = url.rstrip("/")
    if _ask(url, lambda: files.isfile(path)):
        content: bytes = _ask(url, lambda: files.cat_file(path))
        return read_list(content, root.rpartition("/")[0], url)
    found = _ask(url, lambda: files.find(path, detail=True))
    if not found:
        raise UsageError(f"nothing is in {printable(url)}: check the URL")
    names = {name.removeprefix(path.rstrip("/")).lstrip("/"): facts for name, facts in found.items()}
    shown = {name: facts for name, facts in names.items() if not any(part[:1] == "." for part in name.split("/"))}
    images = sorted(name for name in shown if name.lower().endswith(_SUFFIXES))
    tars = sorted(name for name in shown if is_tar_name(name) and "/" not in name)
    if tars and not images:
        return list_tars([f"{root}/{name}" for name in tars], url)
    if not images:
        raise no_images(url)
    paths = [os.fsencode(name) for name in images]
    stamps = b"".join(stamp(name, shown[name]) for name in images)
    return image_set(root, paths, class_folders(paths), stamp=stamps).take(in_order(paths)), []


def _ask(url: str, action: Callable[[], T]) -> T:
    try:
        return action()
    except Exception as error:  # each protocol has its own
        raise unreachable(url, error) from error


def _glob(url: str) -> list[str]:
    files, path = filesystem(url)
    return sorted(files.unstrip_protocol(name) for name in _ask(url, lambda: files.glob(path)))


def _matched(pattern: str, matches: Callable[[str], list[str]]) -> tuple[ImageSet, list[Skipped]]:
    """The images of the tar files that a pattern stands for."""
    names = [found for each in expand(pattern) for found in (matches(each) if _has_wildcard(each) else [each])]
    if not names:
        raise UsageError(f"no file matches {printable(pattern)}: check the pattern of the tar files")
    for name in names:
        if not is_tar_name(name):
            raise UsageError(f"{printable(pattern)} stands for {printable(name)}, too: patterns are for tar files")
    return list_tars(list(dict.fromkeys(names)), pattern)


def is_pattern(text: str) -> bool:
    """Whether a name has wildcards or braces."""
    return _has_wildcard(text) or _BRACES.search(text) is not None


def _has_wildcard(text: str) -> bool:
    return any(each in text for each in "*?[")


def expand(pattern: str) -> list[str]:
    """The names that braces stand for, `{0000..0146}` and `{a,b}`, as shells have it. Raises UsageError for more than a
    million."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    numbers = _RANGE.fullmatch(match[1])
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        width = max(map(len, numbers.groups())) if any(each[0] == "0" for each in numbers.groups()) else 0
        count = last - first + 1
        choices = (f"{number:0{width}d}" for number in range(first, last + 1))
    else:
        parts = match[1].split(",")
        count, choices = len(parts), (part for part in parts)
    rest = expand(pattern[match.end() :])
    if count * len(rest) > _MOST:
        raise UsageError(f"{printable(pattern)} stands for too many files: use a wildcard, or name the folder")
    return [pattern[: match.start()] + choice + end for choice in choices for end in rest]
