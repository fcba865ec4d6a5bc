"""Makes stores: passes images through networks. Never imports textual or shapebias.tui.

`shapebias.precompute` is a function for Python programs, too: calling this package calls it.
"""

import inspect
import sys
from types import ModuleType
from typing import Any

import shapebias


class _CallablePackage(ModuleType):
    """A package that is called like the function of its name: Python has one object for both."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return shapebias.load("precompute")(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """What notebooks show of the function."""
        return inspect.signature(shapebias.load("precompute"))


sys.modules[__name__].__class__ = _CallablePackage
