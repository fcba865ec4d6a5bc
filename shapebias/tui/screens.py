"""The screens that open over the panes, by the name that their keys give: `Binding(KEY, "screen('NAME')")`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from shapebias.tui.columns import ColumnsScreen
from shapebias.tui.details import DetailsScreen
from shapebias.tui.help import HelpScreen
from shapebias.tui.layer_screen import LayerScreen
from shapebias.tui.model_screen import ModelScreen
from shapebias.tui.twins import TwinsScreen
from shapebias.tui.zoom import ZoomScreen

if TYPE_CHECKING:
    from shapebias.tui.app import Explorer


def _zoom(app: "Explorer") -> Screen[Any] | None:
    if app.table is None or app.units.unit is None:
        return None
    return ZoomScreen(app.units, app.table, app.new_panel())


def _columns(app: "Explorer") -> Screen[Any] | None:
    if app.table is None:
        return None
    return ColumnsScreen(list(app.table.columns), app.settings.hidden, app.choose_columns)


def _details(app: "Explorer") -> Screen[Any] | None:
    if app.table is None or app.units.unit is None:
        return None
    return DetailsScreen(app.store, app.units.unit, app.table)


def _layer(app: "Explorer") -> Screen[Any] | None:
    return None if app.layer is None else LayerScreen(app.store, *app.layer)


def _twins(app: "Explorer") -> Screen[Any] | None:
    if app.units.unit is None:
        return None
    return TwinsScreen(app.units.unit, app.correlator, app.load, app.new_panel, app.go_to)


# Each makes its screen of what is shown now; None, having said why, where there is nothing to show.
SCREENS: dict[str, Callable[["Explorer"], Screen[Any] | None]] = {
    "zoom": _zoom,
    "columns": _columns,
    "details": _details,
    "layer": _layer,
    "models": lambda app: ModelScreen(app.store),
    "twins": _twins,
    "help": lambda app: HelpScreen(),
}
