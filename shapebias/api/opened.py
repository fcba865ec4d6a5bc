"""A store that several Python objects share, with a cache of what was read."""

from functools import cached_property

from shapebias.core.analysis.twins import Correlator
from shapebias.core.store.reader import Store
from shapebias.core.units.table import UnitTable, load_units


class Opened:
    """An open store, its unit table (read once), and the activations that correlations have read."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def units(self) -> UnitTable:
        """The table of all units."""
        return load_units(self.store)

    @cached_property
    def correlator(self) -> Correlator:
        """The object that finds twins."""
        return Correlator(self.store)
