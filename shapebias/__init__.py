"""shapebias: look inside a CNN from a terminal, or from Python.

The names below are for Python programs; docs/python.md shows them. Each is imported when it is first used, so that this
module itself loads fast. Their types are in `__init__.pyi`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {  # the modules that the public names are in
    "Comparison": "shapebias.api.comparison",
    "Measurement": "shapebias.api.measuring",
    "Store": "shapebias.api.store",
    "Table": "shapebias.api.table",
    "Unit": "shapebias.api.unit",
    "UnitTable": "shapebias.api.unit",
    "errors": "shapebias.errors",
    "measure": "shapebias.api.measuring",
    "open": "shapebias.api.store",
    "precompute": "shapebias.api.running",
}
__all__ = ["__version__", *_HOMES]


def load(name: str) -> Any:
    """Return the object, or for `errors` the module, that has a public name. Raises KeyError for another name."""
    module = import_module(_HOMES[name])
    return getattr(module, name, module)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, load(name))  # a folder of that name is imported by now, and can be called


def __dir__() -> list[str]:
    return sorted(__all__)
