"""The widget that shows a unit's top images, by sixel, kitty or half cells, or as a list."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image
from rich.text import Text
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.app import RenderResult
from textual.geometry import Region
from textual.timer import Timer
from textual.widget import Widget

from shapebias.core.grid import View
from shapebias.core.store import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.layout import GridLayout, fit_grid
from shapebias.tui.library_pictures import library_picture
from shapebias.tui.pictures import Picture, PictureMaker, Request
from shapebias.tui.terminal import Graphics, Terminal

if TYPE_CHECKING:
    from textual.drivers.linux_driver import LinuxDriver

_MOST = 24  # images shown: they divide well, and a 25th would make all of them smaller
_REPAIR = 0.03  # seconds
_QUEUED = 2  # rows of tiles that may wait for the terminal before the next is handed over


class GridView(Widget):
    """The grid of the unit last shown. Its picture is made elsewhere; until it is ready the old one stays."""

    DEFAULT_CSS = "GridView { height: 1fr; }"

    def __init__(self, store: Store, terminal: Terminal, graphics: Graphics, view: View = View.CROP) -> None:
        super().__init__()
        self._store, self._terminal, self._graphics = store, terminal, graphics
        self._maker = PictureMaker(store, self._made)
        self._unit: Unit | None = None
        self._neighbours: Sequence[Unit] = ()
        self._view = view
        self._picture: Picture | None = None
        self._renderable: Any = None
        self._rendered: Image.Image | None = None
        self._painting: asyncio.Task[None] | None = None
        self._repairing: Timer | None = None

    @property
    def picture(self) -> Picture | None:
        """What is shown, None before the first."""
        return self._picture

    @property
    def view(self) -> View:
        return self._view

    @view.setter
    def view(self, view: View) -> None:
        self._view = view
        self._request()

    def show(self, unit: Unit, neighbours: Sequence[Unit] = ()) -> None:
        """Shows a unit; the pictures of its neighbours are made ahead."""
        self._unit, self._neighbours = unit, neighbours
        if self._graphics is Graphics.NONE:
            self.refresh()
        else:
            self._request()

    def on_resize(self) -> None:
        self._request()

    def on_unmount(self) -> None:
        self._maker.stop()
        if self._renderable is not None:
            self._renderable.cleanup()

    def grid_layout(self) -> GridLayout | None:
        """The tiles that fit into the widget now."""
        if self._graphics is Graphics.HALFCELL:
            return fit_grid(*self.content_size, (1, 2), _MOST, smallest=8, gap=1)
        cell = (self._terminal.cell_width, self._terminal.cell_height)
        return fit_grid(*self.content_size, cell, _MOST)

    def _request(self) -> None:
        layout = self.grid_layout()
        if self._unit is None or layout is None or self._graphics is Graphics.NONE:
            return
        request, *ahead = (
            Request(unit, self._view, layout, self._graphics) for unit in (self._unit, *self._neighbours)
        )
        found = self._maker.want(request, ahead)
        if found is not None:
            self._take(found)

    def _made(self, picture: Picture) -> None:
        """Called on the pictures' thread."""
        if self.is_attached:
            self.app.call_later(self._take, picture)

    def _take(self, picture: Picture) -> None:
        layout = self.grid_layout()
        if picture.request != Request(
            picture.request.unit, self._view, layout or picture.request.layout, self._graphics
        ):
            return  # another view or size is wanted by now
        if picture.request.unit != self._unit or picture is self._picture:
            return
        before, self._picture = self._picture, picture
        same_place = (
            before is not None
            and before.request.layout == picture.request.layout
            and len(before.tiles) == len(picture.tiles) > 0
        )
        if same_place and self._graphics is Graphics.SIXEL:
            self.paint()
        else:
            self.refresh()  # the cells are blanked, and the picture is painted over them

    def render(self) -> RenderResult:
        picture = self._picture
        if self._graphics is Graphics.NONE:
            return self._listing()
        if picture is None:
            return ""
        if picture.error:
            return Text(picture.error, style="red")
        if picture.image is not None:
            library: RenderResult = self._library_renderable(picture.image)
            return library
        return "" if picture.tiles else Text("no images", style="dim")

    def _library_renderable(self, image: Image.Image) -> Any:
        """Made once an image: a new one would send the picture again."""
        if self._rendered is not image:
            if self._renderable is not None:
                self._renderable.cleanup()
            cell = (self._terminal.cell_width, self._terminal.cell_height)
            self._rendered, self._renderable = image, library_picture(image, self._graphics, cell)
        return self._renderable

    def _listing(self) -> Text:
        if self._unit is None:
            return Text("")
        top = self._store.top(self._unit)
        lines = []
        for rank in range(min(len(top.image), self.content_size.height)):
            image = int(top.image[rank])
            name = printable(self._store.image_paths[image], 60)
            line = f"{top.value[rank]:9.3f}  {name}  {printable(self._store.class_of(image), 30)}"
            lines.append(line[: self.content_size.width])
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    # Sixel: painted over blank cells, past Textual, which would encode slowly and send every picture twice

    def damaged_by(self, update: Any) -> bool:
        """Whether a screen update wrote over the picture's cells."""
        if self._graphics is not Graphics.SIXEL or self._picture is None or not isinstance(update, CompositorUpdate):
            return False
        if not isinstance(update, ChopsUpdate):
            return True
        here = self.content_region
        return any(here.overlaps(Region(left, y, right - left, 1)) for y, left, right in update.spans)

    def repair(self) -> None:
        """Paints the picture again in a moment, unless a newer one is on its way by then: layouts come in bursts."""
        if self._repairing is None:
            self._repairing = self.set_timer(_REPAIR, self._repair)

    def _repair(self) -> None:
        self._repairing = None
        if self._picture is not None and self._picture.request.unit == self._unit:
            self.paint()

    def paint(self) -> None:
        """Hands the picture to the terminal, row by row; a picture on its way is dropped."""
        if self._painting is not None:
            self._painting.cancel()
        self._painting = asyncio.create_task(self._paint())

    async def _paint(self) -> None:
        picture, driver = self._picture, self.app._driver
        if picture is None or driver is None or not self.screen.is_active or self.app.is_headless:
            return
        if picture.request.layout != self.grid_layout():
            return  # the widget has another size by now, and its picture is being made
        left, top = self.content_region.offset
        columns = picture.request.layout.columns
        for first in range(0, len(picture.tiles), columns):
            while _waiting(driver) > _QUEUED:
                await asyncio.sleep(0.005)
            row = []
            for index in range(first, min(first + columns, len(picture.tiles))):
                x, y = picture.request.layout.place(index)
                row.append(f"\x1b[{top + y + 1};{left + x + 1}H{picture.tiles[index].decode('ascii')}")
            driver.write(f"\x1b7{''.join(row)}\x1b8")


def _waiting(driver: "LinuxDriver | Any") -> int:
    """Writes that the terminal has not taken yet."""
    thread = getattr(driver, "_writer_thread", None)
    return 0 if thread is None else thread._queue.qsize()
