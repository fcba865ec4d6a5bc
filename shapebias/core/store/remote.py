"""Reads the files of a store on a server, only when and as far as they are needed, and keeps small pieces in memory."""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.storage import FsspecStore

from shapebias.core.remote import filesystem, unreachable
from shapebias.core.store.errors import damaged
from shapebias.core.store.manifest import EARLY_NAME, METADATA, NAME, read_manifest
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

_REQUESTS = 32  # requests at a time
_SMALL = 1 << 20  # largest number of bytes of a read that is kept in memory
_KEPT = 64 << 20  # largest number of bytes that are kept in memory
_KEPT_WHOLE = 256 << 20  # largest number of bytes of whole files that are kept in memory


class RemoteFiles(FsspecStore):
    """The files of a store on a server, as zarr reads them. Metadata arrives with the store's manifest, in one piece.

    Zarr takes a chunk whose file is missing for one of fill values. Every chunk of a store was written, so here a
    missing chunk is an error.
    """

    url: str
    _metadata: dict[str, bytes] | None
    _sizes: dict[str, int]
    _kept: "OrderedDict[tuple[str, ByteRequest | None], Buffer]"
    _kept_bytes: int
    _whole: "OrderedDict[str, Buffer]"  # files of a server that knows no ranges

    @classmethod
    def open_url(cls, url: str) -> "RemoteFiles":
        """Open the files below a URL, and read the store's manifest if there is one.

        Raises ShapebiasError where the URL's protocol has no file system or the server cannot be reached, and
        StoreError where the manifest is damaged.
        """
        files, path = filesystem(url)
        opened = cls.from_url(url, read_only=True)
        assert isinstance(opened, cls)
        opened.url, opened._kept, opened._kept_bytes, opened._whole = url, OrderedDict(), 0, OrderedDict()
        opened._sizes, opened._metadata = {}, None
        for name in (NAME, EARLY_NAME):
            try:
                sizes, metadata = read_manifest(files.cat_file(f"{path}/{name}", start=0))
            except FileNotFoundError:  # stores of earlier versions have no manifest
                continue
            except ValueError as error:
                raise damaged(url, "it cannot be read", name) from error
            except Exception as error:  # each protocol raises errors of its own
                raise unreachable(url, error) from error
            opened._sizes = sizes
            if not any(isinstance(content, str) for content in metadata.values()):
                opened._metadata = {name: json.dumps(content).encode() for name, content in metadata.items()}
            break
        return opened

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names of what is directly in a folder of the store, empty for the top; with a manifest only those
        that lead to metadata.
        """
        if self._metadata is None:
            async for name in super().list_dir(prefix):
                yield name
            return
        start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        below = (name[len(start) :].split("/") for name in self._metadata if name.startswith(start))
        for child in dict.fromkeys(parts[0] for parts in below):
            yield child

    async def get(
        self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None" = None
    ) -> "Buffer | None":
        """Return the bytes of the file at the path `key`, or a range of them; None for metadata that does not exist.

        Raises StoreError where another file is missing, and ShapebiasError where the server does not deliver it.
        """
        is_metadata = key.rpartition("/")[2] == METADATA
        if is_metadata and self._metadata is not None:
            return prototype.buffer.from_bytes(self._metadata[key]) if key in self._metadata else None
        if (key, byte_range) in self._kept:
            self._kept.move_to_end((key, byte_range))
            return self._kept[key, byte_range]
        value = await self._fetch(key, prototype, self._as_range(key, byte_range))
        if value is not None:
            self._keep((key, byte_range), value)
        elif not is_metadata:
            raise damaged(self.url, f"its file {printable(key)} is missing")
        return value

    def _as_range(self, key: str, byte_range: "ByteRequest | None") -> "ByteRequest":
        """Return an equivalent request that needs no question for the file's size before it, where the size is known.

        None asks for the whole file.
        """
        if isinstance(byte_range, SuffixByteRequest) and key in self._sizes:
            size = self._sizes[key]
            return RangeByteRequest(max(0, size - byte_range.suffix), size)
        return byte_range or OffsetByteRequest(0)  # without an end, s3fs asks for the size first

    async def _fetch(self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest") -> "Buffer | None":
        """Return the requested bytes, None where the file is missing.

        A server without ranges sends the whole file: it is kept, and the range is cut out of it. Raises ShapebiasError
        where the server does not deliver the file.
        """
        if key in self._whole:
            return _part(self._whole[key], byte_range)
        try:
            value = await super().get(key, prototype, byte_range)
        except Exception as error:  # each protocol raises errors of its own
            raise unreachable(f"{self.url}/{key}", error) from error
        if value is None or len(value) <= _length(byte_range, len(value)):
            return value
        self._whole[key] = value
        while len(self._whole) > 1 and sum(map(len, self._whole.values())) > _KEPT_WHOLE:
            self._whole.popitem(last=False)
        return _part(value, byte_range)

    def _keep(self, read: "tuple[str, ByteRequest | None]", value: "Buffer") -> None:
        if len(value) > _SMALL or read in self._kept:  # two readers may have asked for it at the same time
            return
        self._kept[read] = value
        self._kept_bytes += len(value)
        while self._kept_bytes > _KEPT:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])


def _length(byte_range: "ByteRequest", size: int) -> int:
    """Return how many bytes a request's answer may have; `size`, those that came, where it asks for all to the end."""
    if isinstance(byte_range, RangeByteRequest):
        return byte_range.end - byte_range.start
    return byte_range.suffix if isinstance(byte_range, SuffixByteRequest) else size


def _part(whole: "Buffer", byte_range: "ByteRequest") -> "Buffer":
    if isinstance(byte_range, RangeByteRequest):
        return whole[byte_range.start : byte_range.end]
    first = len(whole) - byte_range.suffix if isinstance(byte_range, SuffixByteRequest) else byte_range.offset
    return whole[max(first, 0) :]


def read_metrics_ahead(store: Store, layers: Iterable[tuple[str, str]]) -> None:
    """Fetch all metrics of some layers, (model, layer), many at a time, so that `store.metric` finds them in memory.

    Does nothing for a store on this machine. Raises the errors of `Store.metric`.
    """
    if any(isinstance(part.store.path, str) for part in store.parts):
        reads: dict[object, tuple[str, str, str]] = {
            (model, store.metric_part(model, layer, name)): (model, layer, name)
            for model, layer in layers
            for name in store.metric_names(model, layer)
        }
        if not reads:
            return
        first, *others = reads.values()
        store.metric(*first)  # data shared with the others is cached
        with ThreadPoolExecutor(_REQUESTS) as pool:
            for _ in pool.map(lambda read: store.metric(*read), others):
                pass
