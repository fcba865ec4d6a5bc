"""The widget for pictures of units and images: painted over its blank cells, or in half cells, or as text."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.geometry import Region
from textual.timer import Timer
from textual.widget import Widget

from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import AttributionMaps, Photo, Subject, UnitImage, View
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.messages import Hovered, OpenImage
from shapebias.tui.pictures.as_text import subject_text
from shapebias.tui.pictures.budget import first_limit, refined_limit
from shapebias.tui.pictures.half_cells import half_cells
from shapebias.tui.pictures.layout import GridLayout, fit_grid, fit_row
from shapebias.tui.pictures.maker import Picture, PictureMaker, Request
from shapebias.tui.pictures.painter import Painter, Piece
from shapebias.tui.terminal.driver import LinkDriver, link_of
from shapebias.tui.terminal.frame import Change
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal

_IMAGES = 24  # images of a unit that are shown: a number that divides well; a 25th would make all of them smaller
_REPAIR = 0.03  # seconds from damage to a picture until it is painted again
_BACKLOG = 0.05  # seconds that the link to the terminal may be busy before the next tiles are handed over
_PORTION = 4000  # bytes that are handed over at once, at least
_AT_ONCE = 0.1  # seconds that the link may need for a refined picture that was there before
_ROWS_BELOW = 2  # rows without pictures at the bottom: a terminal whose cells are smaller than it says would scroll
_REST = 0.15  # seconds without a move after which a picture is refined


class GridView(Widget):
    """The tiles of the subject last shown. A thread makes their picture; until it is ready the old one stays.

    The first picture of a subject has as few bytes as the link to the terminal takes in a moment. Where the link is
    fast enough, a refined one replaces it once the cursor rests. Posts `OpenImage` where one of a unit's images is
    clicked, and `Hovered` where the mouse comes over one.
    """

    DEFAULT_CSS = "GridView { height: 1fr; }"

    def __init__(
        self,
        store: Store,
        terminal: Terminal,
        graphics: Graphics,
        *,
        painter: Painter | None = None,
        view: View = View.CROP,
    ) -> None:
        """`painter` paints the pictures of all grids of the app; None where the graphics are half cells or text."""
        super().__init__()
        self._store, self._terminal, self._graphics, self._painter = store, terminal, graphics, painter
        self._maker = PictureMaker(store, painter, self._made)
        self._subject: Subject | None = None
        self._neighbours: Sequence[Subject] = ()
        self._view = view
        self._picture: Picture | None = None
        self._painting: asyncio.Task[None] | None = None
        self._repairing: Timer | None = None
        self._refining = False
        self._hovered: UnitImage | None = None

    @property
    def subject(self) -> Subject | None:
        """The subject that is shown, or will be once its picture is made."""
        return self._subject

    @property
    def picture(self) -> Picture | None:
        """The picture that is shown, None before the first."""
        return self._picture

    @property
    def draws(self) -> bool:
        """Whether pictures are shown (painted or in half cells), not text."""
        return self._graphics is not Graphics.NONE

    @property
    def view(self) -> View:
        """The view of a unit's images; a change of it is displayed at once."""
        return self._view

    @view.setter
    def view(self, view: View) -> None:
        self._view = view
        self._request()

    def show(self, subject: Subject | None, neighbours: Sequence[Subject] = ()) -> None:
        """Show a subject, nothing for None; the pictures of its `neighbours` are made ahead."""
        self._subject, self._neighbours = subject, neighbours
        if subject is None:
            self._picture = None
            self._clear()
        if self._graphics is Graphics.NONE or subject is None:
            self.refresh()
        else:
            self._request()

    def prepare(self, subject: Subject) -> None:
        """Request the picture of a subject that may be shown next."""
        layout = self.grid_layout()
        if layout is not None and self.draws:
            self._maker.prepare(self._first(subject, layout))

    def on_resize(self) -> None:
        self._give_cells_back()
        self._request()

    def on_hide(self) -> None:
        self._give_cells_back()

    def _give_cells_back(self) -> None:
        """Take the picture away, also from cells that are another widget's by now."""
        self._clear()
        if self.is_attached:
            self.screen.refresh()

    def on_unmount(self) -> None:
        self._stop_painting()
        self._clear()
        self._maker.stop()

    def grid_layout(self) -> GridLayout | None:
        """Return how the subject's tiles fit into the widget now, None where not one does."""
        fit = fit_row if isinstance(self._subject, AttributionMaps) else fit_grid
        width, height = self.content_size
        if self._painter is None:
            return fit(width, height, (1, 2), self._tiles, smallest=8, gap=1)
        below = self.screen.size.height - self.content_region.bottom
        height -= max(_ROWS_BELOW - below, 0)
        return fit(width, height, (self._terminal.cell_width, self._terminal.cell_height), self._tiles)

    @property
    def _tiles(self) -> int:
        """The largest number of tiles that the subject may have."""
        match self._subject:
            case UnitImage():
                return 2
            case Photo():
                return 1
            case AttributionMaps(photos=photos):
                return 1 + len(photos)
        return _IMAGES

    def _request(self) -> None:
        """Ask for the first picture of the subject, or show the refined one where it is made and no slower to paint."""
        layout = self.grid_layout()
        if self._subject is None or layout is None or self._graphics is Graphics.NONE:
            return
        self._refining = False
        first = self._first(self._subject, layout)
        refined = self._maker.cached(self._refined(first))
        if refined is not None and first.limit is not None and self._cost(refined.pieces) <= first.limit:
            first = refined.request
        self._want(first)

    def _want(self, request: Request) -> None:
        """Show the picture of a request, now or when it is made; then those of the neighbours are made."""
        picture = self._maker.want(request, [self._first(other, request.layout) for other in self._neighbours])
        if picture is not None:
            self._take(picture)

    def _refine(self) -> None:
        """Ask for the refined picture of the subject, where the link is fast enough for a better one."""
        if self._picture is None or self._picture.request.limit is None:
            return
        request = self._refined(self._picture.request)
        if request.limit is not None and request.limit > self._picture.request.limit:
            self._refining = True
            self._want(request)

    def _first(self, subject: Subject, layout: GridLayout) -> Request:
        """Return the request for the first picture of a subject."""
        limit = None if self._painter is None else first_limit(layout, subject, link_of(self.app).speed)
        return Request(subject, self._view, layout, limit, self._background)

    def _refined(self, request: Request) -> Request:
        """Return the request for the refined picture of the same subject; `request` itself for half cells."""
        if request.limit is None:
            return request
        return replace(request, limit=refined_limit(request.layout, request.subject, link_of(self.app).speed))

    @property
    def _background(self) -> tuple[int, int, int]:
        """The colour of the cells around the tiles, RGB from 0 to 255."""
        return self.background_colors[1].rgb

    def _cost(self, pieces: Sequence[Piece]) -> int:
        """Return how many bytes it takes to paint pieces of a picture now."""
        return 0 if self._painter is None else self._painter.cost(pieces)

    def _made(self, picture: Picture) -> None:
        """Hand a finished picture to the app's thread, which shows it. The maker calls this on its own thread."""
        with suppress(RuntimeError):  # the app has ended
            if self.is_attached:
                self.app.call_later(self._take, picture)

    def _take(self, picture: Picture) -> None:
        """Show a picture, if it is still wanted."""
        if not self.is_attached:
            return
        request = picture.request
        layout = self.grid_layout() or request.layout
        if (request.subject, request.view, request.layout) != (self._subject, self._view, layout):
            return  # another subject, view or size is wanted by now
        if picture is self._picture or request.background != self._background:
            return
        before, self._picture = self._picture, picture
        same_cells = (
            before is not None
            and before.request.layout == request.layout
            and len(before.pieces) == len(picture.pieces) > 0
        )
        if same_cells:
            self.paint()
        else:
            self._clear()
            self.refresh()  # the cells are blanked
            self.call_after_refresh(self.paint)

    def render(self) -> RenderResult:
        picture = self._picture
        if self._graphics is Graphics.NONE:
            return self._text()
        if picture is None:
            return ""
        if picture.error:
            return Text(picture.error, style="red")
        if picture.image is not None:
            return half_cells(picture.image, self._terminal.colours)
        return "" if picture.pieces else Text("no images", style="dim")

    def _text(self) -> Text:
        """Return the text that stands for the subject without graphics, or why it cannot be read."""
        try:
            return subject_text(self._store, self._subject, *self.content_size, _IMAGES)
        except ShapebiasError as error:
            return Text(printable(str(error)), style="red")

    def on_click(self, event: events.Click) -> None:
        image = self._image_at(event)
        if image is not None:
            self.post_message(OpenImage(image))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        image = self._image_at(event)
        if image is not None and image != self._hovered:
            self.post_message(Hovered(image))
        self._hovered = image

    def _image_at(self, event: events.MouseEvent) -> UnitImage | None:
        """Return the image of a unit on which the mouse is, None where it is on none."""
        layout, position = self.grid_layout(), event.get_content_offset(self)
        if not isinstance(self._subject, Unit) or position is None:
            return None
        rank = position.y
        if self._graphics is not Graphics.NONE and layout is not None:
            column, row = position.x // layout.cell_columns, position.y // layout.cell_rows
            rank = row * layout.columns + column if column < layout.columns and row < layout.rows else layout.count
        known = rank < min(len(self._store.top(self._subject).image), _IMAGES)
        return UnitImage(self._subject, rank) if known else None

    # Painted over blank cells, past Textual, which would encode slowly and send every picture twice

    def damaged_by(self, change: Change) -> bool:
        """Return whether a change of the screen wrote over the picture's cells."""
        if self._painter is None or self._picture is None:
            return False
        return any(self.content_region.overlaps(region) for region in change.regions)

    def repair(self) -> None:
        """Paint the picture again in a moment, unless a newer one is on its way by then: layouts come in bursts."""
        if self._repairing is None:
            self._stop_painting()
            self._repairing = self.set_timer(_REPAIR, self._repair)

    def _repair(self) -> None:
        """Paint the picture again; where that takes long, the subject's first picture is painted before."""
        self._repairing = None
        if self._picture is None or self._picture.request.subject != self._subject:
            return
        limit = self._first(self._picture.request.subject, self._picture.request.layout).limit
        at_once = max(_AT_ONCE * link_of(self.app).speed, limit or 0)
        if self._cost(self._picture.pieces) > at_once and self._picture.request.limit != limit:
            self._picture = None  # the first one comes again, and then this
            self._request()
        else:
            self.paint()

    def paint(self) -> None:
        """Hand the picture to the terminal, some pieces at a time; a picture on its way is dropped."""
        self._stop_painting()
        self._painting = asyncio.create_task(self._paint())

    def _stop_painting(self) -> None:
        """Stop painting: what is not written yet of the picture is dropped."""
        if self._painting is not None:
            self._painting.cancel()
        if self._repairing is not None:
            self._repairing.stop()
            self._repairing = None

    async def _paint(self) -> None:
        """Write the pieces as the link takes them, as long as they are wanted; then ask for the refined picture."""
        picture, driver = self._picture, self.app._driver
        if picture is None or not isinstance(driver, LinkDriver):
            return
        link, waiting = link_of(self.app), deque(picture.pieces)
        while waiting:
            while not link.has_room(_BACKLOG):
                await asyncio.sleep(0.005)
            if not self._paintable(picture):
                return
            if not self._refining and self._is_too_long(picture, waiting):
                self._request()
                return
            self._paint_some(driver, picture, waiting)
        await asyncio.sleep(_REST)
        if self._paintable(picture):
            self._refine()

    def _is_too_long(self, picture: Picture, waiting: Sequence[Piece]) -> bool:
        """Return whether the link has turned out too slow for the rest of a subject's first picture."""
        limit = self._first(picture.request.subject, picture.request.layout).limit
        return limit is not None and limit < (picture.request.limit or 0) and self._cost(waiting) > limit

    def _paint_some(self, driver: LinkDriver, picture: Picture, waiting: deque[Piece]) -> None:
        """Paint the next pieces, several where they are short. Before the first ones, remove the previous picture."""
        assert self._painter is not None
        left, top = self.content_region.offset
        text, cells = "", list[Region]()
        if len(waiting) == len(picture.pieces):
            text = self._painter.clear(self, [(left + piece.x, top + piece.y) for piece in picture.pieces])
        while waiting and len(text) < _PORTION:
            piece = waiting.popleft()
            x, y = left + piece.x, top + piece.y
            text += f"\x1b[{y + 1};{x + 1}H{self._painter.paint(piece, x, y, self)}"
            cells.append(Region(x, y, piece.columns, piece.rows))
        driver.paint(f"\x1b7{text}\x1b8", cells, self)

    def _paintable(self, picture: Picture) -> bool:
        """Return whether a picture is still the newest that is wanted, in this place and size, with nothing over it."""
        return (
            self.is_on_screen
            and picture is self._picture
            and picture.request.subject == self._subject
            and picture.request.layout == self.grid_layout()
            and self.screen.is_active
        )

    def _clear(self) -> None:
        """Have the picture removed from the screen: by the blanks that are written next, or else by the painter now."""
        driver = self.app._driver
        if isinstance(driver, LinkDriver):
            driver.uncover(self)
            if self._painter is not None:
                driver.paint(self._painter.clear(self))
