"""Makes stores: runs images through networks. Never imports textual or shapebias.tui.

Python programs can also call `shapebias.precompute`, this package, as a function.
"""

import inspect
import sys
from types import ModuleType
from typing import Any

import shapebias


class _CallablePackage(ModuleType):
    """A package that can be called like the function with the same name, since Python has one object for both."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return shapebias.load("precompute")(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's signature, which notebooks display."""
        return inspect.signature(shapebias.load("precompute"))


sys.modules[__name__].__class__ = _CallablePackage
