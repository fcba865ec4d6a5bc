"""The page to send of what is on a screen: for each kind of screen the file's name, and how the page is made."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, singledispatch
from pathlib import PurePath
from typing import Any

from textual.screen import Screen

from shapebias.core.pictures.tiles import AttributionMaps, View
from shapebias.core.report.excerpt import (
    Excerpt,
    histogram_excerpt,
    image_excerpt,
    layer_excerpt,
    models_excerpt,
    scatter_excerpt,
    units_excerpt,
)
from shapebias.core.store.reader import Store, Unit
from shapebias.core.units.table import UnitTable
from shapebias.tui.screens.by_image import ByImageScreen
from shapebias.tui.screens.details import DetailsScreen
from shapebias.tui.screens.image import ImageScreen
from shapebias.tui.screens.layer import LayerScreen
from shapebias.tui.screens.models import ModelScreen
from shapebias.tui.screens.pair import PairScreen
from shapebias.tui.screens.plots.histogram import HistogramScreen
from shapebias.tui.screens.plots.scatter import ScatterScreen
from shapebias.tui.screens.twins import TwinsScreen
from shapebias.tui.screens.two_layers import TwoLayersScreen
from shapebias.tui.screens.zoom import ZoomScreen
from shapebias.tui.widgets.attribution_view import AttributionView

_LONGEST = 80  # characters of a file's name


@dataclass(frozen=True)
class Page:
    """A page that can be made: `name` is that of its file, without an ending; `make` may be called on any thread.

    `make` reads the store, and raises StoreError.
    """

    name: str
    make: Callable[[], Excerpt]


@singledispatch
def page_of(screen: Screen[Any], store: Store) -> Page | None:
    """Return the page of what a screen shows, None where it has nothing to send."""
    return None


def units_page(store: Store, units: Sequence[Unit], view: View, listed: UnitTable | None = None) -> Page:
    """Return the page of units with their images in a view, and of the table `listed`, if there is one."""
    name = "-".join(f"{unit.model}-{unit.layer}-{unit.index}" for unit in units)
    return Page(_file_name(name), partial(units_excerpt, store, units, view, listed=listed))


@page_of.register
def _(screen: ZoomScreen, store: Store) -> Page | None:
    unit = screen.panel.unit
    return None if unit is None else units_page(store, [unit], screen.panel.grid.view)


@page_of.register
def _(screen: DetailsScreen, store: Store) -> Page | None:
    return units_page(store, [screen.unit], View.CROP)


@page_of.register
def _(screen: PairScreen, store: Store) -> Page | None:
    units = [panel.unit for panel in (screen.left, screen.right) if panel.unit is not None]
    return units_page(store, units, screen.right.grid.view) if units else None


@page_of.register
def _(screen: TwoLayersScreen, store: Store) -> Page | None:
    units = [side.units.unit for side in screen.sides if side.units.unit is not None]
    return units_page(store, units, screen.side.panel.grid.view) if units else None


@page_of.register
def _(screen: TwinsScreen, store: Store) -> Page | None:
    said = {one.unit: f"{one.group.value}, correlation {one.correlation:.3f}" for one in screen.candidates}
    unit, view = screen.unit, screen.panel.grid.view
    name = _file_name(f"{unit.model}-{unit.layer}-{unit.index}-twins")
    return Page(name, partial(units_excerpt, store, [unit, *said], view, said=said))


@page_of.register
def _(screen: LayerScreen, store: Store) -> Page | None:
    return Page(_file_name(screen.heading), partial(layer_excerpt, store, screen.heading))


@page_of.register
def _(screen: ModelScreen, store: Store) -> Page | None:
    return Page("models", partial(models_excerpt, store))


@page_of.register
def _(screen: ScatterScreen, store: Store) -> Page | None:
    names, view = screen.names, screen.panel.grid.view
    name = _file_name("-".join(("scatter", *reversed(names))))
    return Page(name, partial(scatter_excerpt, store, screen.plot.table, names, screen.plot.unit, view))


@page_of.register
def _(screen: HistogramScreen, store: Store) -> Page | None:
    plot, view = screen.plot, screen.panel.grid.view
    name = _file_name(f"histogram-{plot.unit.layer}-{screen.metric}")
    return Page(name, partial(histogram_excerpt, store, plot.table, screen.metric, plot.unit, view))


@page_of.register
def _(screen: ImageScreen, store: Store) -> Page | None:
    maps = _open_maps(screen.maps)
    return Page(
        _image_name(screen.image.path),
        partial(image_excerpt, store, screen.image, maps, None if maps else screen.unit_image),
    )


@page_of.register
def _(screen: ByImageScreen, store: Store) -> Page | None:
    return Page(_image_name(screen.image.path), partial(image_excerpt, store, screen.image, _open_maps(screen.maps)))


def _open_maps(view: AttributionView) -> AttributionMaps | None:
    """Return the attribution maps that are shown, None while there are none."""
    subject = view.grid.subject
    return subject if isinstance(subject, AttributionMaps) else None


def _image_name(path: str) -> str:
    return _file_name(f"image-{PurePath(path).stem}")


def _file_name(text: str) -> str:
    """Return a text as a file's name of at most 80 plain letters, digits, `.`, `_` and hyphens; `page` for none."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")[:_LONGEST] or "page"
