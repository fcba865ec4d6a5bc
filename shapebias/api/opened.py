"""A store that several Python objects share, with a cache of what was read."""

from functools import cached_property

from shapebias.core.analysis.twins import Correlator
from shapebias.core.store.reader import Store
from shapebias.core.units.table import UnitTable, load_units


class Opened:
    """An open store, with its unit table and its correlator, which are made once, when they are first asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def units(self) -> UnitTable:
        """The table of all units of the store, with every metric."""
        return load_units(self.store)

    @cached_property
    def correlator(self) -> Correlator:
        """The object that correlates units, and keeps the activations that it has read."""
        return Correlator(self.store)
