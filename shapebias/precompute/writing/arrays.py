"""Creates a store's arrays: chunks with checksums, shards, the names of axes; and arrays that grow by rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

_RAGGED_CHUNK, _SHARD = 1 << 20, 1 << 26  # bytes of a chunk of byte strings, and of a shard: a file


def create(
    group: zarr.Group,
    name: str,
    values: NDArray[Any],
    axes: Sequence[str],
    *,
    chunk: tuple[int, ...],
    compress: bool = True,
) -> None:
    """Write `values` as the array `name` of a group, in one file, or in several of about 64 MiB where it is larger.

    axes:   the name of each axis
    chunk:  the shape of the pieces that are compressed and read at once; it shrinks to that of the array
    """
    chunk = _fitting(chunk, values.shape)
    row = values.itemsize * int(np.prod(values.shape[1:]))
    rows = max(chunk[0], _SHARD // max(row, 1) // chunk[0] * chunk[0])
    shard = _whole_chunks((min(rows, max(values.shape[0], 1)), *values.shape[1:]), chunk)
    array = _array(group, name, values.shape, values.dtype, axes, chunk=chunk, shard=shard, compress=compress)
    if values.size:
        array[...] = values


def create_ragged(group: zarr.Group, items: Sequence[bytes], axis: str, compress: bool = True) -> None:
    """Write byte strings one after another as the group's array `data`, and their boundaries as `offsets`.

    String i is data[offsets[i] : offsets[i + 1]]. The arrays' axes are named after `axis`, since all axes of one name
    must have the same length in a group and the groups in it.
    """
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum([len(item) for item in items], out=offsets[1:])
    data = np.frombuffer(b"".join(items), np.uint8)
    create(group, "data", data, (f"{axis}_byte",), chunk=(_RAGGED_CHUNK,), compress=compress)
    create(group, "offsets", offsets, (f"{axis}_bound",), chunk=(1 << 16,))


class GrowingArray:
    """An array whose rows are appended in order. It is written one shard at a time: at most one is in memory."""

    def __init__(
        self,
        group: zarr.Group,
        name: str,
        row: tuple[int, ...],
        dtype: Any,
        axes: Sequence[str],
        *,
        chunk: tuple[int, ...],
        shard_rows: int | None = None,
    ) -> None:
        """Create the array.

        `row` is the shape of a row, `axes` and `chunk` are as in `create`, with the axis of rows first. A shard has
        `shard_rows` rows, else as many as fit into 64 MiB.
        """
        self._group, self._name, self._row, self._dtype, self._axes = group, name, row, np.dtype(dtype), tuple(axes)
        self._chunk = _fitting(chunk, (chunk[0], *row))
        fitting = shard_rows or _SHARD // max(1, self._dtype.itemsize * int(np.prod(row)))
        self._shard_rows = max(1, fitting // self._chunk[0]) * self._chunk[0]
        self._waiting: list[NDArray[Any]] = []
        self._count = 0
        self._array: zarr.Array[Any] | None = None

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows [n, ...]."""
        self._waiting.append(np.asarray(rows, self._dtype))
        self._count += len(rows)
        if self._count >= self._shard_rows:
            waiting = np.concatenate(self._waiting)
            whole = len(waiting) // self._shard_rows * self._shard_rows
            self._write(waiting[:whole])
            self._waiting, self._count = [waiting[whole:]], len(waiting) - whole

    def close(self) -> None:
        """Write the remaining rows; an array without rows is written, too."""
        if self._count or self._array is None:
            self._write(np.concatenate([np.empty((0, *self._row), self._dtype), *self._waiting]))

    def _write(self, rows: NDArray[Any]) -> None:
        if self._array is None:
            chunk = _fitting(self._chunk, rows.shape)
            shard = _whole_chunks((min(self._shard_rows, max(len(rows), 1)), *self._row), chunk)
            shape = (0, *self._row)
            self._array = _array(self._group, self._name, shape, self._dtype, self._axes, chunk=chunk, shard=shard)
        first = self._array.shape[0]
        self._array.resize((first + len(rows), *self._row))
        if rows.size:
            self._array[first:] = rows


def _fitting(chunk: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(1, min(size, extent)) for size, extent in zip(chunk, shape, strict=True))


def _whole_chunks(shape: Sequence[int], chunk: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(1, -(-extent // size)) * size for extent, size in zip(shape, chunk, strict=True))


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    axes: Sequence[str],
    *,
    chunk: tuple[int, ...],
    shard: tuple[int, ...],
    compress: bool = True,
) -> "zarr.Array[Any]":
    """Create an array with a checksum on every chunk; chunks of fill values are written too, so that a missing file is
    never mistaken for one.
    """
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunk,
        shards=shard if shard != chunk else None,
        compressors=[ZstdCodec(level=1), Crc32cCodec()] if compress else [Crc32cCodec()],
        fill_value=np.nan if np.issubdtype(dtype, np.floating) else 0,
        dimension_names=axes,
        config={"write_empty_chunks": True},
    )
