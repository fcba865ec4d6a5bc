"""Locations of images, here or on a server: what is at a location, before its images are listed."""

import glob
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.remote import filesystem, is_url, stamp, unreachable
from shapebias.core.text import printable
from shapebias.precompute.images.file_kinds import LeftOut, is_image_name, no_images
from shapebias.precompute.images.image_set import ImageSet, Skipped, image_set_by_folder
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.images.sources.patterns import is_pattern
from shapebias.precompute.images.sources.tar import is_tar_name

Listing = tuple[ImageSet, list[Skipped]]
T = TypeVar("T")


class Location(Protocol):
    """A path or a URL, `text`, that the user gave. A server is contacted only when a method needs it.

    Methods of a URL raise ShapebiasError where its server cannot be reached.
    """

    text: str

    def is_pattern(self) -> bool:
        """Return whether the location is treated as a pattern of file names."""

    def is_tar(self) -> bool:
        """Return whether the location is treated as a tar file."""

    def is_list(self) -> bool:
        """Return whether the location is a file that may be a list of images."""

    def matches(self, pattern: str) -> list[str]:
        """Return the paths or URLs of the files that match a pattern with wildcards, sorted."""

    def read(self) -> bytes:
        """Return the content of the file. Raises ShapebiasError where it cannot be read."""

    def parent(self) -> str:
        """Return the folder of the file, an absolute path or a URL."""

    def tar_files(self) -> list[str]:
        """Return the paths or URLs of the tar files in a folder, sorted; none where it holds images too."""

    def list_folder(self) -> Listing:
        """Return the images of the folder, and what was skipped.

        Raises UsageError where the location is not a folder, or has no images.
        """


def locate(text: str) -> Location:
    """Return the location that a text names: a URL, or else a path on this machine. Nothing is read yet."""
    return RemoteLocation(text) if is_url(text) else LocalLocation(text)


class LocalLocation:
    """A path on this machine."""

    def __init__(self, text: str) -> None:
        self.text, self._path = text, Path(text)

    def is_pattern(self) -> bool:
        """Return whether the path has wildcards or braces, and no file has that name."""
        return is_pattern(self.text) and not self._path.exists()

    def is_tar(self) -> bool:
        """Return whether the path has the name of a tar file and is not a folder."""
        return is_tar_name(self._path.name) and not self._path.is_dir()

    def is_list(self) -> bool:
        """Return whether the path is a file without the name of an image."""
        return self._path.is_file() and not _is_image_name(self._path.name)

    def matches(self, pattern: str) -> list[str]:
        """Return the paths that match the pattern, sorted."""
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)

    def read(self) -> bytes:
        """Return the content of the file. Raises ShapebiasError where it cannot be read."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise ShapebiasError(f"cannot read {printable(self.text)}: {error.strerror}") from error

    def parent(self) -> str:
        """Return the absolute path of the file's folder."""
        return os.path.abspath(self._path.parent)  # noqa: PTH100 (keeps links)

    def tar_files(self) -> list[str]:
        """Return the paths of the tar files in a folder, sorted; none where it holds images or folders beside them.

        Hidden files and folders do not count. None, too, for a folder that cannot be listed: `list_folder` says why.
        """
        try:
            children = [child for child in sorted(self._path.iterdir()) if not child.name.startswith(".")]
        except OSError:
            return []
        if any(child.is_dir() or _is_image_name(child.name) for child in children):
            return []
        return [str(child) for child in children if is_tar_name(child.name) and child.is_file()]

    def list_folder(self) -> Listing:
        """Return the images of the folder, and what was skipped: see `folder.list_images`."""
        return list_images(self._path)


class RemoteLocation:
    """A URL."""

    def __init__(self, text: str) -> None:
        self.text, self._root = text, text.rstrip("/")

    @cached_property
    def _server(self) -> tuple[Any, str]:
        """The fsspec file system of the URL, and the path in it."""
        return filesystem(self.text)

    def is_pattern(self) -> bool:
        """Return whether the URL has wildcards or braces."""
        return is_pattern(self.text)

    def is_tar(self) -> bool:
        """Return whether the URL ends like the name of a tar file."""
        return is_tar_name(self.text)

    def is_list(self) -> bool:
        """Return whether the server says that the URL is a file."""
        files, path = self._server
        return bool(_ask(self.text, lambda: files.isfile(path)))

    def matches(self, pattern: str) -> list[str]:
        """Return the URLs that match the pattern, sorted."""
        files, path = filesystem(pattern)
        return sorted(files.unstrip_protocol(name) for name in _ask(pattern, lambda: files.glob(path)))

    def read(self) -> bytes:
        """Return the content of the file."""
        files, path = self._server
        content: bytes = _ask(self.text, lambda: files.cat_file(path))
        return content

    def parent(self) -> str:
        """Return the URL of the file's folder."""
        return self._root.rpartition("/")[0]

    @cached_property
    def _files(self) -> dict[str, Any]:
        """The server's information on each file at any depth below the URL, by the file's path below it.

        Raises UsageError where there is no file.
        """
        files, path = self._server
        facts_of = _ask(self.text, lambda: files.find(path, detail=True))
        if not facts_of:
            raise UsageError(f"nothing is in {printable(self.text)}: check the URL")
        return {name.removeprefix(path.rstrip("/")).lstrip("/"): facts for name, facts in facts_of.items()}

    def tar_files(self) -> list[str]:
        """Return the URLs of the tar files directly in the folder, sorted; none where images are at any depth in it.

        Hidden files do not count. Raises UsageError where no file is there.
        """
        names = [name for name in self._files if not _is_hidden(name)]
        if any(map(_is_image_name, names)):
            return []
        return [f"{self._root}/{name}" for name in sorted(names) if is_tar_name(name) and "/" not in name]

    def list_folder(self) -> Listing:
        """Return the images at any depth below the URL, and what was skipped: images beside the class folders.

        All else is as in `folder.list_images`. Raises UsageError where there are no images.
        """
        left_out, names = LeftOut(), []
        for name in sorted(self._files):
            if _is_image_name(name) and not _is_hidden(name):
                names.append(name)
            else:
                parts = name.split("/")
                left_out.add(os.fsencode(next((part for part in parts if part.startswith(".")), parts[-1])))
        if not names:
            raise no_images(self.text, left_out)
        stamps = b"".join(stamp(name, self._files[name]) for name in names)
        paths = [os.fsencode(name) for name in names]
        return image_set_by_folder(self._root, paths, self.text, stamp=stamps, notes=left_out.notes())


def _is_image_name(name: str) -> bool:
    return is_image_name(os.fsencode(name))


def _is_hidden(name: str) -> bool:
    """Return whether a file, by its path, or one of its folders is hidden: its name begins with a dot."""
    return any(part.startswith(".") for part in name.split("/"))


def _ask(url: str, action: Callable[[], T]) -> T:
    """Return the result of an action that contacts the server of `url`. Raises ShapebiasError where it fails."""
    try:
        return action()
    except Exception as error:  # each protocol has its own
        raise unreachable(url, error) from error
