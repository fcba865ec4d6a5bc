"""The state that panes and screens of the explorer share: the store, the terminal, the user's marks and settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

from shapebias.core.analysis.attribution import Attributions
from shapebias.core.analysis.twins import Correlator
from shapebias.core.pictures.tiles import View
from shapebias.core.store.reader import Store, Unit
from shapebias.core.units.marks import Marks
from shapebias.core.units.saved_filters import SavedFilters
from shapebias.core.units.table import UnitTable, load_units
from shapebias.tui.pictures.painter import Painter
from shapebias.tui.pictures.painters import new_painter
from shapebias.tui.settings import ExplorerSettings, load_settings
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal
from shapebias.tui.widgets.attribution_view import AttributionView
from shapebias.tui.widgets.grid_view import GridView
from shapebias.tui.widgets.layer_list import Scope
from shapebias.tui.widgets.unit_panel import UnitPanel

_TABLES = 16  # scopes whose unit tables are kept


@dataclass
class Session:
    """The state of one run of the explorer.

    graphics:    how pictures are drawn
    scope:       the models and layers whose units the panes' table has; None before the first table
    kept:        the unit that the user keeps for a comparison with others; None while there is none
    sorted_by:   the column by which the table was sorted when a screen was opened last: a metric or `unit`; "" before
    marks:       the marked units; none until the app has loaded them
    filters:     the saved filters; none until the app has loaded them
    correlator:  finds the units that fire on the same images
    painter:     paints the pictures of all widgets; None where these are half cells or text
    """

    store: Store
    terminal: Terminal
    graphics: Graphics
    settings: ExplorerSettings = field(default_factory=load_settings)
    scope: Scope | None = None
    kept: Unit | None = None
    sorted_by: str = ""
    marks: Marks = field(init=False)
    filters: SavedFilters = field(default_factory=SavedFilters)
    correlator: Correlator = field(init=False)
    painter: Painter | None = field(init=False)
    _load_units: Callable[[str | None, str | None], UnitTable] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.marks = Marks(self.store)
        self.correlator = Correlator(self.store)
        self.painter = new_painter(self.graphics, self.terminal)
        self._load_units = lru_cache(_TABLES)(partial(load_units, self.store))

    def load(self, scope: Scope) -> UnitTable:
        """Return the table of all units of a scope; the tables that were asked for last are kept. Raises StoreError."""
        return self._load_units(*scope)

    @cached_property
    def attributions(self) -> Attributions:
        """The attribution maps of the store; without any, its `images` are empty.

        All but the maps themselves is read at the first use. Raises StoreError.
        """
        return Attributions(self.store)

    def new_attribution_view(self, more: str) -> AttributionView:
        """Return a widget for attribution maps, closed; `more` says how models can be seen that do not fit."""
        return AttributionView(lambda: self.attributions, self.new_grid(), self.settings, more)

    def new_grid(self, view: View = View.CROP) -> GridView:
        """Return a widget for pictures, in the session's graphics; `view` is that of a unit's images."""
        return GridView(self.store, self.terminal, self.graphics, painter=self.painter, view=view)

    def new_panel(self, id: str | None = None) -> UnitPanel:
        """Return a widget for one unit, in the view that the user chose last."""
        return UnitPanel(self.store, self.marks, self.new_grid(self.settings.view), id=id)
