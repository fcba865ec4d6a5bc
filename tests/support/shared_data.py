"""Real data beside the checkout, in ../shared, which a checkout need not have."""

from pathlib import Path

import pytest

import shapebias

SHARED = Path(shapebias.__file__).parents[2] / "shared"


def shared_data(name: str) -> Path:
    """Return the path of the file or folder `name` in ../shared; the calling test is skipped where it is missing."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name} in a folder `shared` beside the checkout, which is not there")
    return path
