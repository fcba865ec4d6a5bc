"""Reads PyTorch's pickled checkpoints without running anything in them.

`torch.load(weights_only=True)` refuses a file that holds any other object (an optimiser's schedule, training arguments,
objects written by dill). Here such objects become placeholders: no name in the file is imported, nothing in the file is
called. Only tensors, numbers, texts and containers are built.
"""

import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from shapebias.precompute.models.checkpoints.arrays import (
    PickledArray,
    PickledType,
    array_from_buffer,
    encoded,
    scalar,
)

_MAGIC = 0x1950A86A20F9469CFC6C  # the first of the five pickles that PyTorch wrote before 1.6
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "UntypedStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Inert(type):
    """A metaclass for placeholders, which ignore being called, instantiated, or given state or items by a pickle."""

    def __call__(cls, *_: Any, **__: Any) -> Any:
        return cls

    def __setstate__(cls, state: object) -> None:
        pass

    def __setitem__(cls, key: object, value: object) -> None:
        pass

    def append(cls, value: object) -> None:
        pass

    def extend(cls, values: object) -> None:
        pass

    def add(cls, value: object) -> None:
        pass


class Placeholder(metaclass=_Inert):
    """Replaces every class, function and object that is not built.

    It is a class, since pickles make instances of it.
    """

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return cls


class _Items(dict[Any, Any]):
    """A dict to which a pickle cannot add attributes."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


class _Builder:
    """A callable that a pickle cannot change."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: object) -> None:
        pass


def _mapping(*arguments: Any) -> _Items:
    return _Items(arguments[0]) if arguments and isinstance(arguments[0], list | dict) else _Items()


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Any:
    if not (isinstance(storage, tuple) and len(storage) == 2):
        return Placeholder
    untyped, dtype = storage
    last = offset + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and (last + 1) * dtype.itemsize > untyped.nbytes()):
        raise ValueError("a tensor is larger than its memory")
    return torch.empty(0, dtype=dtype).set_(untyped, offset, tuple(size), tuple(stride))


def _parameter(data: Any, *_: Any) -> Any:
    return data


_BUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): lambda *_: _Items(),
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("_codecs", "encode"): encoded,
    ("__builtin__", "bytes"): encoded,  # the bytes of an empty array
    ("builtins", "bytes"): encoded,
    ("numpy", "dtype"): PickledType,
}
_NUMPY_BUILDERS: dict[tuple[str, str], Callable[..., Any]] = {  # NumPy 1 has them in numpy.core, NumPy 2 in numpy._core
    ("multiarray", "_reconstruct"): PickledArray,
    ("multiarray", "scalar"): scalar,
    ("numeric", "_frombuffer"): array_from_buffer,
}


class SafeUnpickler(pickle.Unpickler):
    """Builds tensors and containers; every other name in the file becomes `Placeholder`."""

    def __init__(self, file: IO[bytes], storage: Callable[[str, int], torch.UntypedStorage] | None = None) -> None:
        """Prepare reading.

        `storage` returns the memory of a tensor in the file, from its key and number of bytes. Without it, tensors
        become `Placeholder`, too.
        """
        super().__init__(file, encoding="latin1")  # Python 2's texts, and the bytes of its arrays
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in the file: a dtype, a builder, or else `Placeholder`; nothing is imported."""
        if (module == "torch" or module.startswith("torch.")) and name in _DTYPES:
            return _DTYPES[name]
        inner = module.removeprefix("numpy.core.").removeprefix("numpy._core.")
        build = _BUILDERS.get((module, name)) or _NUMPY_BUILDERS.get((inner, name))
        return Placeholder if build is None else _Builder(build)

    def persistent_load(self, reference: Any) -> Any:
        """Return the storage of a tensor, as (memory, dtype); `Placeholder` for whatever is no storage."""
        if not (self._storage and isinstance(reference, tuple) and len(reference) >= 5 and reference[0] == "storage"):
            return Placeholder
        _, dtype, key, _, elements, *view = reference
        if not (isinstance(dtype, torch.dtype) and isinstance(elements, int)) or any(size is not None for size in view):
            return Placeholder
        return self._storage(str(key), elements * dtype.itemsize), dtype


def read_pickled(path: Path) -> Any:
    """Return the content of a checkpoint of `torch.save`, in either of its formats.

    Raises OSError where it cannot be read. A damaged file raises errors of many kinds, among them ValueError, KeyError,
    EOFError, RuntimeError, TypeError, zipfile.BadZipFile and pickle.UnpicklingError.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _read_zip(archive, path.stat().st_size)
    with path.open("rb") as file:
        return _read_stream(file, path.stat().st_size)


def _read_zip(archive: zipfile.ZipFile, limit: int) -> Any:
    """Read PyTorch's format since 1.6: a pickle, and one file per storage, none larger than `limit` bytes."""
    (name,) = (member for member in archive.namelist() if member.endswith("data.pkl"))
    root = name.removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != sys.byteorder.encode():
        raise ValueError("its numbers are of another byte order")
    storages: dict[str, torch.UntypedStorage] = {}

    def storage(key: str, _: int) -> torch.UntypedStorage:
        if key not in storages:
            member = archive.getinfo(f"{root}data/{key}")
            if member.file_size > limit:
                raise ValueError("a storage is larger than the file")
            storages[key] = _memory(member.file_size)
            with archive.open(member) as file:
                _fill(storages[key], file)
        return storages[key]

    with archive.open(name) as file:
        return SafeUnpickler(file, storage).load()


def _read_stream(file: IO[bytes], limit: int) -> Any:
    """Read PyTorch's format before 1.6: five pickles, then the storages in the order of the last pickle.

    No storage may be larger than `limit` bytes. The content of a plain pickle is returned if it is a dictionary, since
    other libraries store arrays in that way.
    """
    first = SafeUnpickler(file).load()
    if isinstance(first, dict):
        return first
    if first != _MAGIC:
        raise ValueError("it is a pickle, but not one of PyTorch")
    SafeUnpickler(file).load()
    SafeUnpickler(file).load()
    storages: dict[str, torch.UntypedStorage] = {}

    def storage(key: str, size: int) -> torch.UntypedStorage:
        if key not in storages:
            if not 0 <= size <= limit:
                raise ValueError("a storage is larger than the file")
            storages[key] = _memory(size)
        return storages[key]

    content = SafeUnpickler(file, storage).load()
    for key in SafeUnpickler(file).load():
        file.read(8)  # its number of elements, which the pickle contains
        _fill(storages[str(key)], file)
    return content


def _memory(size: int) -> torch.UntypedStorage:
    return torch.empty(size, dtype=torch.uint8).untyped_storage()


def _fill(storage: torch.UntypedStorage, file: IO[bytes]) -> None:
    values: Tensor = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (storage.nbytes(),), (1,))
    view = memoryview(values.numpy().data)
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]  # IO[bytes] has it where it is a file
        if not count:
            raise EOFError("it is cut off")
        view = view[count:]
