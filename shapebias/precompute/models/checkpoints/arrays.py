"""Rebuilds the NumPy arrays of a pickle from their bytes, without calling any function that the pickle names."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

_KINDS = "fiub"  # floats, signed and unsigned integers, booleans


class PickledType:
    """The type of an array's elements, as `numpy.dtype` pickles it: first `f4`, then the byte order."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: object = "", *_: Any) -> None:
        self._code, self._order = code, "|"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self._order = state[1]

    def dtype(self) -> np.dtype[Any] | None:
        """Return the type; None where it is no type of floats, integers or booleans."""
        code = self._code.decode("latin1") if isinstance(self._code, bytes) else self._code
        if not (isinstance(code, str) and len(code) in (2, 3) and code[0] in _KINDS and code[1:].isdigit()):
            return None
        return np.dtype(self._order + code)


class PickledArray:
    """An array whose shape, type and bytes the pickle sets after creating it."""

    __slots__ = ("_state",)

    def __init__(self, *_: Any) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self._state = state if isinstance(state, tuple) else ()

    def tensor(self) -> Tensor | None:
        """Return the array as a tensor; None where it does not hold numbers, or has not been set.

        Raises ValueError where shape and bytes disagree.
        """
        if len(self._state) < 4:
            return None
        shape, kind, by_columns, content = self._state[-4:]
        dtype = kind.dtype() if isinstance(kind, PickledType) else None
        if dtype is None or not isinstance(content, bytes | bytearray):
            return None
        if math.prod(shape) * dtype.itemsize != len(content):
            raise ValueError("an array is not as long as its shape says")
        array = np.frombuffer(content, dtype).reshape(tuple(shape), order="F" if by_columns else "C")
        return tensor_of(array)


def array_from_buffer(content: object = b"", kind: object = None, shape: object = (), order: object = "C") -> Any:
    """Return the `PickledArray` of a pickle with protocol 5, which calls this with the array's bytes, type and shape.

    `order` is `F` for an array by columns, else `C`.
    """
    array = PickledArray()
    array.__setstate__((shape, kind, order == "F", content))
    return array


def scalar(kind: object = None, content: object = b"") -> Any:
    """Return a NumPy scalar, with the given type and bytes, as a `PickledArray` without axes."""
    array = PickledArray()
    array.__setstate__(((), kind, False, content))
    return array


def encoded(text: object = "", *_: Any) -> bytes:
    """Return the bytes that a pickle with protocol 2 writes as Latin-1 text; none for whatever is no text."""
    return text.encode("latin1") if isinstance(text, str) else b""


def tensor_of(array: np.ndarray[Any, Any]) -> Tensor | None:
    """Return an array of numbers as a tensor with its own memory; None for other arrays, and types PyTorch lacks."""
    if array.dtype.kind not in _KINDS:
        return None
    own = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    try:
        return torch.from_numpy(own)
    except TypeError:  # a type that PyTorch does not have, such as float128
        return None
