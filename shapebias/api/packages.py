"""Optional packages, which are installed by extras."""

from importlib import import_module
from typing import Any

from shapebias.core.errors import ShapebiasError


def import_extra(package: str, extra: str) -> Any:
    """Return the module of an optional package. Raises ShapebiasError, which says what to install, where it is missing.

    `extra` is the extra of shapebias that installs it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ShapebiasError(f"{package} is not installed: pip install 'shapebias[{extra}]'") from error
