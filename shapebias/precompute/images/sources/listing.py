"""Images in a text file: one path or URL per line, relative to the file's folder, optionally with its class."""

import os
from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.remote import is_url
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import (
    ImageSet,
    Skipped,
    image_set_by_folder,
    make_image_set,
    shared_folder,
)
from shapebias.precompute.images.labels import is_wnid
from shapebias.precompute.images.sources.labelled_lines import parse_lines


def read_list(content: bytes, folder: str, name: str) -> tuple[ImageSet, list[Skipped]]:
    """Return the images of a list with this content, in its order, and what was skipped.

    folder:  the absolute path or URL that its lines are relative to
    name:    the list's name for messages

    The set's root is the deepest folder that holds all images, or the one above it where its name is a WordNet id.
    Where no line has a class, folders are the classes, as in `folder.list_images`. Repeated lines, and images beside
    the class folders, are skipped. Images are not read. Raises UsageError where the file is not such a list, or its
    lines name files both here and on servers, or on several servers.
    """
    text = printable(name)
    if b"\0" in content:
        raise UsageError(f"{text} is no list of images: name a folder, a tar file, or a text with one path per line")
    label_of: dict[bytes, bytes | None] = {}
    skipped = []
    for path, label in parse_lines(content, name):
        whole = _whole(path, os.fsencode(folder))
        if whole in label_of:
            skipped.append(Skipped(whole, "listed before"))
        label_of.setdefault(whole, label)
    if not label_of:
        raise UsageError(f"no images in {text}: write one path per line")
    shared = shared_folder(label_of)
    if is_wnid(shared.rpartition(b"/")[2]):
        shared = shared.rpartition(b"/")[0]
    remote = {_is_url(whole) for whole in label_of}
    if len(remote) > 1 or (True in remote and not shared):
        raise UsageError(f"{text} names images here and on servers, or on several kinds of them: make a list of each")
    shared_text = os.fsdecode(shared)
    root = shared_text if True in remote else Path(shared_text or "/")
    paths = [whole[len(shared) + 1 :] for whole in label_of]
    if any(label is not None for label in label_of.values()):
        return make_image_set(root, paths, list(label_of.values())), skipped
    image_set, stray = image_set_by_folder(root, paths, name, is_folder=False, sort=False)
    return image_set, [*skipped, *stray]


def _whole(path: bytes, folder: bytes) -> bytes:
    """Return the absolute path or the URL, without empty and `.` parts, of a path in a line, relative to `folder`."""
    if not (path.startswith(b"/") or _is_url(path)):
        path = folder + b"/" + path
    scheme, colon, rest = path.partition(b"://") if _is_url(path) else (b"", b"", path)
    parts = [part for part in rest.split(b"/") if part not in (b"", b".")]
    return scheme + colon + b"/" * rest.startswith(b"/") + b"/".join(parts)


def _is_url(path: bytes) -> bool:
    return is_url(os.fsdecode(path))
