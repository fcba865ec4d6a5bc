"""The types of the public names; `__init__.py` imports them when they are asked for."""

from typing import Any

from shapebias import errors as errors
from shapebias.api.comparison import Comparison as Comparison
from shapebias.api.measuring import Measurement as Measurement
from shapebias.api.measuring import measure as measure
from shapebias.api.running import precompute as precompute
from shapebias.api.store import Store as Store
from shapebias.api.store import open as open
from shapebias.api.table import Table as Table
from shapebias.api.unit import Unit as Unit
from shapebias.api.unit import UnitTable as UnitTable

__version__: str

def load(name: str) -> Any: ...
