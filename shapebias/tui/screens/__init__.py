"""The screens that open over the panes, by the name that their keys give: `Command(KEY, "screen('NAME')")`."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from textual.screen import Screen

from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Unit
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.columns import ColumnsScreen
from shapebias.tui.screens.details import DetailsScreen
from shapebias.tui.screens.help import HelpScreen
from shapebias.tui.screens.image import ImageScreen, mapped_image, strongest_image
from shapebias.tui.screens.layer import LayerScreen
from shapebias.tui.screens.models import ModelScreen
from shapebias.tui.screens.plots.histogram import HistogramScreen
from shapebias.tui.screens.plots.scatter import ScatterScreen
from shapebias.tui.screens.twins import TwinsScreen
from shapebias.tui.screens.two_layers import TwoLayersScreen
from shapebias.tui.screens.zoom import ZoomScreen
from shapebias.tui.session import Session
from shapebias.tui.widgets.layer_list import LayerKey

# Makes a screen of the layer and the unit under the cursor (None: there is none); None where it needs the missing one.
MakeScreen = Callable[[Session, LayerKey | None, Unit | None], Screen[Any] | None]


@runtime_checkable
class Follower(Protocol):
    """A screen of which more than the unit panels follows the cursor of the panes' table."""

    def follow(self, unit: Unit) -> None:
        """Show the unit that the cursor is on by now. Raises StoreError."""


def _of_layer(make: Callable[[Session, LayerKey], Screen[Any]]) -> MakeScreen:
    """Return a function that makes a screen, by `make`, of the layer under the cursor; None where there is none."""
    return lambda session, layer, unit: None if layer is None else make(session, layer)


def _of_unit(make: Callable[[Session, Unit], Screen[Any]]) -> MakeScreen:
    """Return a function that makes a screen, by `make`, of the unit under the cursor; None where there is none."""
    return lambda session, layer, unit: None if unit is None else make(session, unit)


SCREENS: dict[str, MakeScreen] = {
    "zoom": _of_unit(ZoomScreen),
    "columns": _of_layer(ColumnsScreen),
    "details": _of_unit(DetailsScreen),
    "layer": _of_layer(LayerScreen),
    "models": lambda session, layer, unit: ModelScreen(session),
    "twins": _of_unit(TwinsScreen),
    "scatter": _of_unit(ScatterScreen),
    "two_layers": _of_unit(TwoLayersScreen),
    "histogram": _of_unit(HistogramScreen),
    "image": _of_unit(lambda session, unit: ImageScreen(session, UnitImage(unit, 0))),
    "by_image": _of_unit(lambda session, unit: ByImageScreen(session, strongest_image(session.store, unit), unit)),
    "attribution": _of_unit(
        lambda session, unit: ByImageScreen(session, mapped_image(session, unit), unit, mapped=True)
    ),
    "help": lambda session, layer, unit: HelpScreen(),
}
