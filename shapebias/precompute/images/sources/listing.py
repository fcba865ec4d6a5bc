"""Images named by a text file: a path or URL a line, relative to the file's folder, and its class behind a tab.

`PATH NUMBER`, as in ImageNet's lists, is read too.
"""

import os
import re
from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.remote import is_url
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import (
    EXTENSIONS,
    ImageSet,
    Skipped,
    class_folders,
    make_image_set,
    shared_folder,
)

_NUMBERED = re.compile(rb"(.+(?:%b)) +([0-9]{1,6})" % b"|".join(map(re.escape, EXTENSIONS)), re.IGNORECASE)


def read_list(content: bytes, folder: str, name: str) -> tuple[ImageSet, list[Skipped]]:
    """Return the images of a list with this content, in its order; `folder`: the absolute path or URL of what its lines
    are relative to; `name`: what the list is called.

    The set's root is the folder that all images share. Where no line names a class, folders do, as in `list_images`.
    Classes that are all numbers are those numbers. An image that is named again is left out. Raises UsageError where
    the file is no such list.
    """
    text = printable(name)
    if b"\0" in content:
        raise UsageError(f"{text} is no list of images: name a folder, a tar file, or a text with a path a line")
    label_of: dict[bytes, bytes | None] = {}
    skipped = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        path, label = parse_line(line)
        if not path.strip():
            continue
        whole = _whole(path, os.fsencode(folder))
        if whole in label_of:
            skipped.append(Skipped(whole, "listed before"))
        label_of.setdefault(whole, label)
    if not label_of:
        raise UsageError(f"no images in {text}: write a path a line")
    shared = shared_folder(label_of)
    remote = {_is_url(whole) for whole in label_of}
    if len(remote) > 1 or (True in remote and not shared):
        raise UsageError(f"{text} names images here and on servers, or on several kinds of them: make a list of each")
    root = os.fsdecode(shared)
    paths = [whole[len(shared) + 1 :] for whole in label_of]
    labelled = any(label is not None for label in label_of.values())
    classes = list(label_of.values()) if labelled else class_folders(paths)
    return make_image_set(root if True in remote else Path(root or "/"), paths, classes, numbers=labelled), skipped


def parse_line(line: bytes) -> tuple[bytes, bytes | None]:
    """Return the path in a line, and its class."""
    line = line.removesuffix(b"\r")
    if match := _NUMBERED.fullmatch(line):
        return match[1], match[2]
    path, _, label = line.partition(b"\t")
    return path, label.strip() or None


def _whole(path: bytes, folder: bytes) -> bytes:
    """Return a path or URL from its line, without what means nothing in it."""
    if not (path.startswith(b"/") or _is_url(path)):
        path = folder + b"/" + path
    scheme, colon, rest = path.partition(b"://") if _is_url(path) else (b"", b"", path)
    parts = [part for part in rest.split(b"/") if part not in (b"", b".")]
    return scheme + colon + b"/" * rest.startswith(b"/") + b"/".join(parts)


def _is_url(path: bytes) -> bool:
    return is_url(os.fsdecode(path))
