"""Reads images that are not files of their own: in tar files and on servers. Worker processes import it.

A decoder gets the *address* of an image, as bytes. Of a file it is the path, of a file on a server the URL. Of an image
in a tar file it is four fields, separated by NUL, which paths cannot contain: the image's path, the archive (a path or
URL), and the offset and size in it, in bytes.
"""

import errno
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shapebias.core.errors import ShapebiasError
from shapebias.core.remote import filesystem, is_url, unreachable

_WAITS = (0.2, 1.0, 4.0)  # seconds before an image is requested again
_LARGEST = 1 << 31  # bytes read into memory


@dataclass(frozen=True)
class Members:
    """The places of a listing's images in tar files.

    archives:      absolute paths or URLs
    archive:       int32 [images], index into `archives`
    offset, size:  int64 [images], the place of the image's file in its archive, in bytes
    """

    archives: list[bytes]
    archive: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]

    def address(self, path: bytes, index: int) -> bytes:
        """Return the address of the image with this index in the listing, whose full path is `path`."""
        archive = self.archives[self.archive[index]]
        return b"%b\0%b\0%d\0%d" % (path, archive, self.offset[index], self.size[index])

    def take(self, positions: npt.NDArray[np.int64]) -> "Members":
        """Return the places of the images at these indices in the listing, in their order."""
        return Members(self.archives, self.archive[positions], self.offset[positions], self.size[positions])


def path_of(address: bytes) -> bytes:
    """Return the path or URL of the image in an address, without its place in a tar file."""
    return address.partition(b"\0")[0]


def is_file(address: str) -> bool:
    """Return whether an address is the path of a file on this machine: no URL, and not in a tar file."""
    return "\0" not in address and not is_url(address)


def fetch(address: str) -> bytes:
    """Return the bytes of the image at an address that is a URL or in a tar file; a server is asked several times.

    Raises OSError, with its `errno`, where there is no such file or it cannot be read or is over 2 GB, EOFError where
    an archive is too short, ShapebiasError where a server cannot be reached.
    """
    _, *member = address.split("\0")
    if not member:
        return _download(address, 0, None)  # a range from 0, since s3fs would request the size first otherwise
    archive, offset, size = member[0], int(member[1]), int(member[2])
    if size > _LARGEST:
        raise OSError(errno.EFBIG, "")
    if is_url(archive):
        content = _download(archive, offset, offset + size) if size else b""
    else:
        with open(archive, "rb", buffering=0) as file:  # noqa: PTH123 (a Path for each of a million images is slow)
            file.seek(offset)
            content = file.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _download(url: str, start: int, stop: int | None) -> bytes:
    files, path = filesystem(url)
    waits = iter(_WAITS)
    while True:
        try:
            content: bytes = files.cat_file(path, start=start, end=stop)
            return content
        except (FileNotFoundError, IsADirectoryError) as error:
            raise FileNotFoundError(errno.ENOENT, "") from error
        except Exception as error:  # each protocol has its own
            wait = None if isinstance(error, PermissionError) else next(waits, None)
            if wait is None:
                raise _given_up(url, error) from error
            time.sleep(wait)


def _given_up(url: str, error: Exception) -> Exception:
    """Return the error to raise: OSError where the server's answer concerns only this file, else ShapebiasError.

    Other answers (no connection, expired credentials, too many requests) would fail the following images too, so
    ShapebiasError stops the run.
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    lasting = isinstance(error, PermissionError) or any("Connect" in name or "Timeout" in name for name in names)
    if isinstance(error, OSError) and not lasting and error.errno != errno.EBUSY:
        return OSError(error.errno or errno.EIO, "")
    return ShapebiasError(f"{unreachable(url, error)}: give the same command again to go on")
