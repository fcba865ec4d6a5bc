"""The exceptions of `shapebias`. The text of each is the one line that the commands print.

    >>> import shapebias
    >>> try:
    ...     shapebias.open("absent.zarr")
    ... except shapebias.errors.ShapebiasError as error:
    ...     print(error)
    absent.zarr does not exist: make it with `shapebias precompute --store absent.zarr`

`ShapebiasError` is the base of them all: something cannot go on. `UsageError`: what was asked for does not exist or
does not fit. `StoreError`: a store cannot be read.
"""

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.store.errors import StoreError

__all__ = ["ShapebiasError", "StoreError", "UsageError"]
