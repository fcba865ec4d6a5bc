"""The screens that open over the panes, by the name that their keys give: `Binding(KEY, "screen('NAME')")`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from shapebias.core.analysis.by_image import ImageName
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Unit
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.columns import ColumnsScreen
from shapebias.tui.screens.details import DetailsScreen
from shapebias.tui.screens.help import HelpScreen
from shapebias.tui.screens.image import ImageScreen
from shapebias.tui.screens.layer import LayerScreen
from shapebias.tui.screens.models import ModelScreen
from shapebias.tui.screens.twins import TwinsScreen
from shapebias.tui.screens.zoom import ZoomScreen

if TYPE_CHECKING:
    from shapebias.tui.app import Explorer


def _zoom(app: "Explorer") -> Screen[Any] | None:
    if app.table is None or app.units.unit is None:
        return None
    return ZoomScreen(app.units, app.table, app.new_panel(), app.open_image)


def _columns(app: "Explorer") -> Screen[Any] | None:
    if app.table is None:
        return None
    return ColumnsScreen(list(app.table.columns), app.settings.hidden, app.settings.widths, app.choose_columns)


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


def _image(app: "Explorer") -> Screen[Any] | None:
    return None if app.units.unit is None else one_image(app, UnitImage(app.units.unit, 0))


def one_image(app: "Explorer", subject: UnitImage) -> Screen[Any] | None:
    """The screen of one of a unit's images. Raises StoreError."""
    if not len(app.store.top(subject.unit).image):
        app.say("no image: the unit has no top images")
        return None
    return ImageScreen(app.store, subject, app.new_grid(), app.open_by_image)


def _by_image(app: "Explorer") -> Screen[Any] | None:
    unit = app.units.unit
    if unit is None:
        return None
    top = app.store.top(unit)
    number = int(top.image[0]) if len(top.image) else 0
    return by_image(app, ImageName(app.store.image_name(number), app.store.class_of(number), False), unit)


def by_image(app: "Explorer", image: ImageName, unit: Unit) -> Screen[Any]:
    """The screen of what fires on an image, `unit` under the cursor where it is among it."""
    return ByImageScreen(app.store, image, unit, app.load, app.new_panel, app.new_grid(), app.go_to)


# Each makes its screen of what is shown now; None, having said why, where there is nothing to show.
SCREENS: dict[str, Callable[["Explorer"], Screen[Any] | None]] = {
    "zoom": _zoom,
    "columns": _columns,
    "details": _details,
    "layer": _layer,
    "models": lambda app: ModelScreen(app.store),
    "twins": _twins,
    "image": _image,
    "by_image": _by_image,
    "help": lambda app: HelpScreen(),
}
