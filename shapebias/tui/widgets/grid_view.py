"""The widget for pictures of units and images: by sixel, kitty or half cells, or as text."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image
from rich.text import Text
from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.app import RenderResult
from textual.geometry import Region
from textual.timer import Timer
from textual.widget import Widget

from shapebias.core.pictures.tiles import Photo, Subject, UnitImage, View
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.messages import OpenImage
from shapebias.tui.pictures.layout import GridLayout, fit_grid
from shapebias.tui.pictures.maker import Picture, PictureMaker, Request, coarse_limit, detail
from shapebias.tui.pictures.textual_image import library_picture
from shapebias.tui.terminal.driver import link_of
from shapebias.tui.terminal.query import Graphics, Terminal
from shapebias.tui.widgets.text_plots import shades

# Tiles shown. Of a unit's images 24: they divide well, and a 25th would make all of them smaller.
_MOST = {Unit: 24, UnitImage: 2, Photo: 1}
_REPAIR = 0.03  # seconds
_BACKLOG = 0.05  # seconds that the link to the terminal may be busy before the next tiles are handed over
_PORTION = 4000  # bytes that are handed over at once, at least
_FIRST = 0.3  # seconds that the link may need for the first picture of a unit
_REST = 0.25  # seconds without a move after which a coarse picture is refined


class GridView(Widget):
    """The tiles of the subject last shown. Their picture is made elsewhere; until it is ready the old one stays.

    Posts `OpenImage` where one of a unit's images is clicked.
    """

    DEFAULT_CSS = "GridView { height: 1fr; }"

    def __init__(self, store: Store, terminal: Terminal, graphics: Graphics, view: View = View.CROP) -> None:
        super().__init__()
        self._store, self._terminal, self._graphics = store, terminal, graphics
        self._maker = PictureMaker(store, self._made)
        self._subject: Subject | None = None
        self._neighbours: Sequence[Subject] = ()
        self._view = view
        self._picture: Picture | None = None
        self._renderable: Any = None
        self._rendered: Image.Image | None = None
        self._painting: asyncio.Task[None] | None = None
        self._repairing: Timer | None = None
        self._refining = False

    @property
    def picture(self) -> Picture | None:
        """The picture that is shown, None before the first."""
        return self._picture

    @property
    def draws(self) -> bool:
        """Whether there are pictures, and not text."""
        return self._graphics is not Graphics.NONE

    @property
    def view(self) -> View:
        """How a unit's images are shown; a change of it is shown at once."""
        return self._view

    @view.setter
    def view(self, view: View) -> None:
        self._view = view
        self._request()

    def show(self, subject: Subject | None, neighbours: Sequence[Subject] = ()) -> None:
        """Show a subject, or nothing; the pictures of its `neighbours` are made ahead."""
        self._subject, self._neighbours = subject, neighbours
        if subject is None:
            self._picture = None
        if self._graphics is Graphics.NONE or subject is None:
            self.refresh()
        else:
            self._request()

    def prepare(self, subject: Subject) -> None:
        """Have a picture made that may be wanted next."""
        layout = self.grid_layout()
        if layout is not None and self.draws:
            self._maker.prepare(Request(subject, self._view, layout, self._graphics, self._limit(layout)))

    def on_resize(self) -> None:
        self._request()

    def on_unmount(self) -> None:
        self._maker.stop()
        if self._painting is not None:
            self._painting.cancel()
        if self._renderable is not None:
            self._renderable.cleanup()

    def grid_layout(self) -> GridLayout | None:
        """Return the tiles that fit into the widget now, None where not one does."""
        most = _MOST.get(type(self._subject), _MOST[Unit])
        if self._graphics is Graphics.HALFCELL:
            return fit_grid(*self.content_size, (1, 2), most, smallest=8, gap=1)
        cell = (self._terminal.cell_width, self._terminal.cell_height)
        return fit_grid(*self.content_size, cell, most)

    def _request(self, refined: bool = False) -> None:
        """Ask for the picture of the subject: a coarse one where the link is slow, unless `refined`."""
        layout = self.grid_layout()
        if self._subject is None or layout is None or self._graphics is Graphics.NONE:
            return
        limit, self._refining = self._limit(layout), refined
        request, *ahead = (
            Request(subject, self._view, layout, self._graphics, limit)
            for subject in (self._subject, *self._neighbours)
        )
        picture = self._maker.want(replace(request, limit=None) if refined else request, ahead)
        if picture is not None:
            self._take(picture)

    def _limit(self, layout: GridLayout) -> int | None:
        """Return the bytes that the link takes soon enough, None where that is enough for any picture."""
        if self._graphics is not Graphics.SIXEL or self._subject is None:
            return None
        return coarse_limit(layout, link_of(self.app).takes_within(_FIRST) / detail(self._subject))

    def _made(self, picture: Picture) -> None:
        """Take a picture that was made. Runs on the thread of the maker."""
        if self.is_attached:
            self.app.call_later(self._take, picture)

    def _take(self, picture: Picture) -> None:
        """Show a picture, if it is still wanted."""
        request = picture.request
        layout = self.grid_layout() or request.layout
        if replace(request, limit=None) != Request(request.subject, self._view, layout, self._graphics):
            return  # another view or size is wanted by now
        if request.subject != self._subject or picture is self._picture:
            return
        before, self._picture = self._picture, picture
        same_cells = (
            before is not None
            and before.request.layout == picture.request.layout
            and len(before.tiles) == len(picture.tiles) > 0
        )
        if same_cells and self._graphics is Graphics.SIXEL:
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
        """Return textual-image's renderable, made once for each image: a new one would send the picture again."""
        if self._rendered is not image:
            if self._renderable is not None:
                self._renderable.cleanup()
            cell = (self._terminal.cell_width, self._terminal.cell_height)
            self._rendered, self._renderable = image, library_picture(image, self._graphics, cell)
        return self._renderable

    def on_click(self, event: events.Click) -> None:
        layout = self.grid_layout()
        if not isinstance(self._subject, Unit):
            return
        rank = event.y
        if self._graphics is not Graphics.NONE and layout is not None:
            column, row = event.x // layout.cell_columns, event.y // layout.cell_rows
            rank = row * layout.columns + column if column < layout.columns and row < layout.rows else layout.count
        if rank < min(len(self._store.top(self._subject).image), _MOST[Unit]):
            self.post_message(OpenImage(UnitImage(self._subject, rank)))

    def _listing(self) -> Text:
        """Return what is shown without graphics: a unit's images as lines, an image's map as characters."""
        if isinstance(self._subject, UnitImage):
            top = self._store.top(self._subject.unit)
            return Text("\n").join(shades(top.map[self._subject.rank], *self.content_size))
        if not isinstance(self._subject, Unit):
            return Text("")
        top = self._store.top(self._subject)
        lines = []
        for rank in range(min(len(top.image), self.content_size.height)):
            image = int(top.image[rank])
            name = printable(self._store.image_paths[image], 60)
            line = f"{top.value[rank]:9.3f}  {name}  {printable(self._store.class_of(image), 30)}"
            lines.append(line[: self.content_size.width])
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    # Sixel: painted over blank cells, past Textual, which would encode slowly and send every picture twice

    def damaged_by(self, update: Any) -> bool:
        """Return whether a screen update wrote over the picture's cells."""
        if self._graphics is not Graphics.SIXEL or self._picture is None or not isinstance(update, CompositorUpdate):
            return False
        if not isinstance(update, ChopsUpdate):
            return True
        cells = self.content_region
        return any(cells.overlaps(Region(left, y, right - left, 1)) for y, left, right in update.spans)

    def repair(self) -> None:
        """Paint the picture again in a moment, unless a newer one is on its way by then: layouts come in bursts."""
        if self._repairing is None:
            self._repairing = self.set_timer(_REPAIR, self._repair)

    def _repair(self) -> None:
        """Paint the picture again; a refined one that takes long is preceded by a coarse one."""
        self._repairing = None
        if self._picture is None or self._picture.request.subject != self._subject:
            return
        if self._too_long(self._picture):
            self._picture = None  # the coarse one comes again, and then this
            self._request()
        else:
            self.paint()

    def _too_long(self, picture: Picture) -> bool:
        """Return whether a refined picture would keep the link busy for long."""
        return picture.request.limit is None and self._limit(picture.request.layout) is not None

    def paint(self) -> None:
        """Hand the picture to the terminal, some tiles at a time; a picture on its way is dropped."""
        if self._painting is not None:
            self._painting.cancel()
        if self._repairing is not None:  # this does it
            self._repairing.stop()
            self._repairing = None
        self._painting = asyncio.create_task(self._paint())

    async def _paint(self) -> None:
        """Write the tiles as the link takes them, as long as they are wanted; then ask for the refined picture."""
        picture, driver = self._picture, self.app._driver
        if picture is None or driver is None or self.app.is_headless:
            return
        link = link_of(self.app)
        for portion in self._portions(picture):
            while not link.has_room(_BACKLOG):
                await asyncio.sleep(0.005)
            if not self._paintable(picture):
                return
            if self._too_long(picture) and not self._refining:
                self._repair()
                return
            driver.write(f"\x1b7{portion}\x1b8")
        if picture.request.limit is not None:
            await asyncio.sleep(_REST)
            if self._paintable(picture):
                self._request(refined=True)

    def _paintable(self, picture: Picture) -> bool:
        """Return whether a picture is still the newest that is wanted, in this place and size, with nothing over it."""
        return (
            picture is self._picture
            and picture.request.subject == self._subject
            and picture.request.layout == self.grid_layout()
            and self.screen.is_active
        )

    def _portions(self, picture: Picture) -> Iterator[str]:
        """Yield the tiles, each behind a move of the cursor to its cell, several together where they are short."""
        left, top = self.content_region.offset
        portion = ""
        for index, tile in enumerate(picture.tiles):
            x, y = picture.request.layout.cell_of(index)
            portion += f"\x1b[{top + y + 1};{left + x + 1}H{tile.decode('ascii')}"
            if len(portion) >= _PORTION or index == len(picture.tiles) - 1:
                yield portion
                portion = ""
