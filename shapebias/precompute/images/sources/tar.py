"""Lists the images in tar files with their labels: of whole folders, or WebDataset's shards.

The headers are read once; images are then read by their offsets, in any order, by any process. Nothing is unpacked.
"""

import os
import re
import tarfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.remote import filesystem, is_url, stamp, unreachable
from shapebias.core.text import printable
from shapebias.precompute.images.fetch import Members
from shapebias.precompute.images.file_kinds import LeftOut, is_image_name
from shapebias.precompute.images.image_set import (
    ImageSet,
    Skipped,
    image_set_by_folder,
    make_image_set,
    shared_folder,
)
from shapebias.precompute.images.labels import is_wnid

_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
_AT_ONCE = 8  # archives on a server that are read at a time
_BLOCK = 4 << 20  # bytes asked for at once while headers are read
_LONGEST_CLASS = 256  # bytes of a .cls member
_NAME = re.compile(r"\.(tar(\.\w{1,4})?|tgz|tbz2?|txz)$", re.IGNORECASE)


def is_tar_name(name: str) -> bool:
    """Return whether a file has the name of a tar file, compressed or not."""
    return _NAME.search(name) is not None


@dataclass
class _Index:
    """The content of one archive, as its headers tell it.

    archive:                the absolute path, or the URL
    size:                   of the archive, in bytes
    stamp:                  bytes that change when the archive does
    names, offsets, sizes:  of each image: its path in the archive, and where its file begins and how long it is, in
                            bytes
    classes:                the content of WebDataset's KEY.cls members, by KEY
    class_names:            the class of each image that follows from `classes`; None where it has none
    skipped:                members that cannot be used
    left_out:               members that are no images, counted
    """

    archive: str
    size: int
    stamp: bytes
    names: list[bytes] = field(default_factory=list)
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    classes: dict[bytes, bytes] = field(default_factory=dict)
    class_names: list[bytes | None] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    def keep(self, positions: Iterable[int]) -> None:
        """Keep only the images at these indices, in this order; `class_names`, which is set later, is left alone."""
        kept = list(positions)
        self.names = [self.names[position] for position in kept]
        self.offsets, self.sizes = (
            array("q", [values[position] for position in kept]) for values in (self.offsets, self.sizes)
        )


def list_tars(archives: Sequence[str], root: str) -> tuple[ImageSet, list[Skipped]]:
    """Return the images in tar files (paths or URLs), and what of them cannot be used; `root` is what the user wrote.

    In WebDataset's shards (with members KEY.cls) the images are the members KEY.EXTENSION, and the class of each is the
    text of its KEY.cls. Otherwise the members are taken as the files of one folder: see `folder.list_images`. Folders
    that all members share are dropped; where all tar files are called by WordNet ids and have no folders, each is the
    class of its images. If two archives have a member of the same name, all images get the name of their archive before
    their own. Raises UsageError where a file is missing or compressed, or no image is found, and ShapebiasError where a
    server cannot be reached.
    """
    with ThreadPoolExecutor(_AT_ONCE if is_url(root) else 1) as pool:
        indices = list(pool.map(_read, archives))
    left_out = LeftOut()
    for index in indices:
        left_out.add_all(index.left_out)
    skipped = [image for index in indices for image in index.skipped]
    if not any(index.names for index in indices):
        reason = f": {printable(skipped[0].path)}: {skipped[0].reason}" if skipped else ""
        held = f" (it has {left_out.text()})" if left_out else ""
        raise UsageError(f"no images in {printable(root)}{held}{reason}")
    facts: dict[str, Any] = {
        "members": _members(indices),
        "stamp": b"".join(index.stamp for index in indices),
        "notes": left_out.notes(),
    }
    _name_by_archive(indices)
    names = [name for index in indices for name in index.names]
    paths = _told_apart(indices)
    if any(index.classes for index in indices):
        class_names = [name for index in indices for name in index.class_names]
        image_set = make_image_set(root, paths, class_names, **facts)
        return image_set.take(sorted(range(len(paths)), key=paths.__getitem__)), skipped
    if paths == names:
        paths = names = _without_shared_folders(names)
    image_set, stray = image_set_by_folder(root, paths, root, folders=names, is_folder=False, **facts)
    return image_set, [*skipped, *stray]


def _members(indices: Sequence[_Index]) -> Members:
    """Return where the images of all archives are, in the order of the archives."""
    return Members(
        [os.fsencode(index.archive) for index in indices],
        np.repeat(np.arange(len(indices), dtype=np.int32), [len(index.names) for index in indices]),
        np.concatenate([np.array(index.offsets, np.int64) for index in indices]),
        np.concatenate([np.array(index.sizes, np.int64) for index in indices]),
    )


def _read(archive: str) -> _Index:
    """Return what the headers of an archive say, WebDataset's classes given to its images.

    Raises UsageError where a file cannot be read or is compressed, ShapebiasError where a URL cannot be read.
    """
    file, index = _open(archive)
    try:
        with file:
            head = file.read(8)
            for magic, command in _COMPRESSED.items():
                if head.startswith(magic):
                    name = printable(archive)
                    raise UsageError(f"{name} is compressed, so that no image in it can be found: {command} {name}")
            file.seek(0)
            for member in _headers(file, index):
                _add(member, file, index)
    except ShapebiasError:
        raise
    except Exception as error:  # each protocol has its own
        raise unreachable(archive, error) from error
    last = {name: position for position, name in enumerate(index.names)}  # the last one counts, as in unpacking
    index.keep(last.values())
    if index.classes:
        _pair(index)
    else:
        index.class_names = [None] * len(index.names)
    return index


def _pair(index: _Index) -> None:
    """Set `class_names` of an index of WebDataset's samples.

    An image's KEY is its name without the extension, which may hold dots; or, if no class has that KEY, its name up to
    the first dot, where that sample has this image only. Other pictures of a sample are taken out of the index, and
    counted in `left_out`. An image whose name has no other dot than its extension's stays without a class.
    """
    keys = [name.rpartition(b".")[0] for name in index.names]
    with_image = set(keys) & index.classes.keys()
    alone = Counter(_first_key(name) for name in index.names)
    for position, name in enumerate(index.names):
        first = _first_key(name)
        if keys[position] not in index.classes and first in index.classes.keys() - with_image and alone[first] == 1:
            keys[position] = first
    kept = [
        position
        for position, name in enumerate(index.names)
        if keys[position] in index.classes or name.rpartition(b"/")[2].count(b".") == 1
    ]
    for _ in range(len(keys) - len(kept)):
        index.left_out.add_companion()
    index.keep(kept)
    index.class_names = [index.classes.get(keys[position]) for position in kept]


def _open(archive: str) -> tuple[BinaryIO, _Index]:
    if is_url(archive):
        files, path = filesystem(archive)
        try:
            facts = files.info(path)
            return files.open(path, "rb", block_size=_BLOCK), _Index(archive, int(facts["size"]), stamp(path, facts))
        except Exception as error:  # each protocol has its own
            raise unreachable(archive, error) from error
    try:
        status = Path(archive).stat()
        facts = {"size": status.st_size, "mtime": status.st_mtime_ns}
        whole = os.path.abspath(archive)  # noqa: PTH100 (keeps links)
        return Path(archive).open("rb"), _Index(whole, status.st_size, stamp(archive, facts))
    except OSError as error:
        raise UsageError(f"{printable(archive)} cannot be read: {os.strerror(error.errno or 0).lower()}") from error


def _headers(file: BinaryIO, index: _Index) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive, up to its end or the first damage, which is noted in `index.skipped`."""
    count = before = 0
    try:
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # or it keeps them all
                if member.size < 0 or not before < member.offset_data:
                    raise tarfile.ReadError
                before = member.offset_data
                count += 1
                yield member
                if _is_plain(member) and before + member.size > index.size:
                    raise tarfile.ReadError
            file.seek(tar.offset)
            if any(file.read(tarfile.BLOCKSIZE) or b"?"):  # two blocks of zeros end an archive
                raise tarfile.ReadError
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError, RecursionError):
        reason = f"damaged or cut after {count:,} members" if count else "not a tar file"
        index.skipped.append(Skipped(os.fsencode(index.archive), reason))


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not member.issparse()


def _add(member: tarfile.TarInfo, file: BinaryIO, index: _Index) -> None:
    """Add a member of an archive to its index: as an image, a class, a skipped or a left-out file; no folders."""
    parts = [part for part in member.name.encode("utf-8", "surrogateescape").split(b"/") if part not in (b"", b".")]
    name = b"/".join(parts)
    is_class = name.endswith(b".cls")
    hidden = next((part for part in parts if part.startswith(b".") and part != b".."), None)
    if member.isdir():
        return
    if hidden or not (is_class or is_image_name(name)):
        index.left_out.add(hidden or name.rpartition(b"/")[2])
        return
    if b".." in parts or b"\0" in name:
        index.skipped.append(Skipped(name, "a name that leads out of the archive"))
    elif not _is_plain(member):
        reason = "a link" if member.islnk() or member.issym() else "not a regular file"
        index.skipped.append(Skipped(name, reason))
    elif member.offset_data + member.size > index.size:
        index.skipped.append(Skipped(name, "truncated"))
    elif not is_class:
        index.names.append(name)
        index.offsets.append(member.offset_data)
        index.sizes.append(member.size)
    elif member.size <= _LONGEST_CLASS:
        file.seek(member.offset_data)
        index.classes[name.removesuffix(b".cls")] = file.read(member.size).strip()


def _first_key(name: bytes) -> bytes:
    """Return a member's path up to the first dot in its file's name."""
    folder, slash, base = name.rpartition(b"/")
    return folder + slash + base.partition(b".")[0]


def _name_by_archive(indices: Sequence[_Index]) -> None:
    """Put each archive's name, as a folder, before the names of its images, in the indices themselves.

    This is done only where all archives are called by WordNet ids and none has folders.
    """
    stems = [os.fsencode(Path(index.archive).stem) for index in indices]
    if all(map(is_wnid, stems)) and not any(b"/" in name for index in indices for name in index.names):
        for stem, index in zip(stems, indices, strict=True):
            index.names = [stem + b"/" + name for name in index.names]


def _told_apart(indices: Sequence[_Index]) -> list[bytes]:
    """Return a unique name for every image.

    It is the image's own name; or, if two archives have an image of the same name, the archive's name and the image's,
    for all images.
    """
    names = [name for index in indices for name in index.names]
    if len(set(names)) == len(names):
        return names
    shared = len(shared_folder([os.fsencode(index.archive) for index in indices]))
    stems = [os.fsencode(index.archive)[shared:].strip(b"/").removesuffix(b".tar") for index in indices]
    return [stem + b"/" + name for stem, index in zip(stems, indices, strict=True) for name in index.names]


def _without_shared_folders(paths: list[bytes]) -> list[bytes]:
    """Return paths without the folder that they all share; its last part stays where that is a WordNet id."""
    shared = shared_folder(paths)
    if is_wnid(shared.rpartition(b"/")[2]):
        shared = shared.rpartition(b"/")[0]
    return [path[len(shared) :].lstrip(b"/") for path in paths] if shared else paths
