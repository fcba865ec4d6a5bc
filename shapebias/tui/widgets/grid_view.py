"""The widget for pictures of units and images: painted over its blank cells, or in cells of text, or as lines."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from shapebias.core.analysis.by_image import probe_image
from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import AttributionMaps, Photo, Subject, UnitImage, View
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.messages import OpenByImage, OpenImage
from shapebias.tui.pictures import cells
from shapebias.tui.pictures.as_text import subject_text
from shapebias.tui.pictures.budget import first_limit, refined_limit
from shapebias.tui.pictures.layout import GridLayout, fit_grid, fit_row
from shapebias.tui.pictures.maker import Picture, PictureMaker, Request
from shapebias.tui.pictures.painted_view import PaintedView
from shapebias.tui.pictures.painter import Painter
from shapebias.tui.pictures.tile_text import TileStyles, TileText, captions
from shapebias.tui.terminal.driver import link_of
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal

_IMAGES = 25  # largest number of a unit's images that are shown
_IN_CELLS = 9  # the same where pictures are cells of text
_SMALLEST_IN_CELLS = 28  # pixels of the smallest tile there; a cell has 2 x 4 of them
_ROWS_BELOW = 2  # rows without pictures at the bottom: a terminal whose cells are smaller than it says would scroll


class GridView(PaintedView, can_focus=True):
    """The tiles of the subject last shown. A thread makes their picture; until it is ready the old one stays.

    The first picture of a subject has as few bytes as the link to the terminal takes in a moment. Where the link is
    fast enough, a refined one replaces it once the cursor rests. A unit's images have captions, and a `cursor` on one
    of them, by its rank from 0. Posts `Moved` when it moves, and `OpenImage` or `OpenByImage` for the image under it.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tiles--caption", "tiles--cursor", "tiles--line"}
    DEFAULT_CSS = """
    GridView { height: 1fr; }
    GridView > .tiles--caption { color: $foreground 60%; }
    GridView > .tiles--cursor { color: $background; background: $accent; }
    GridView > .tiles--line { color: $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "The image"),
        Binding("left", "move(-1, 0)", "Previous image", show=False),
        Binding("right", "move(1, 0)", "Next image", show=False),
        Binding("up", "move(0, -1)", "Image above", show=False),
        Binding("down", "move(0, 1)", "Image below", show=False),
        Binding("home", "go(0)", "Strongest image", show=False),
        Binding("end", "go(-1)", "Weakest image", show=False),
        Binding("i", "by_image", "By image"),
    ]

    class Moved(Message):
        """Says that the cursor is on another image."""

    def __init__(
        self,
        store: Store,
        terminal: Terminal,
        graphics: Graphics,
        *,
        painter: Painter | None = None,
        view: View = View.CROP,
    ) -> None:
        """`painter` paints the pictures of all grids of the app; None where pictures are half cells or text."""
        super().__init__(painter)
        self._store, self._terminal, self._graphics = store, terminal, graphics
        self._maker = PictureMaker(store, painter, self._made)
        self._subject: Subject | None = None
        self._neighbours: Sequence[Subject] = ()
        self._view = view
        self._text: TileText | None = None  # of the picture
        self.cursor = 0
        self.refines = True  # false: its first pictures stay, as those beside them take the line

    @property
    def subject(self) -> Subject | None:
        """The subject that is shown, or will be once its picture is made."""
        return self._subject

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
        if subject != self._subject:
            self.cursor = 0
        self._subject, self._neighbours = subject, neighbours
        if subject is None:
            self._picture = self._text = None
            self.clear()
        if not self.draws or subject is None:
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
        self.clear()
        if self.is_attached:
            self.screen.refresh()

    def on_unmount(self) -> None:
        self.stop_painting()
        self.clear()
        self._maker.stop()

    def grid_layout(self) -> GridLayout | None:
        """Return how the subject's tiles fit into the widget now, None where not one does."""
        width, height = self.content_size
        cell, smallest = cells.CELL, {"smallest": _SMALLEST_IN_CELLS}
        if self._painter is not None:
            height -= max(_ROWS_BELOW - (self.screen.size.height - self.content_region.bottom), 0)
            cell, smallest = (self._terminal.cell_width, self._terminal.cell_height), {}
        if isinstance(self._subject, AttributionMaps):
            return fit_row(width, height, cell, 1 + len(self._subject.photos), **smallest)
        return fit_grid(width, height, cell, self._tiles, captioned=isinstance(self._subject, Unit), **smallest)

    @property
    def _tiles(self) -> int:
        """The largest number of tiles that the subject may have."""
        match self._subject:
            case UnitImage():
                return 2
            case Photo():
                return 1
        return _IN_CELLS if self._painter is None else _IMAGES

    def _request(self) -> None:
        """Ask for the first picture of the subject, or show the refined one where it is made and no slower to paint."""
        layout = self.grid_layout()
        if self._subject is None or layout is None or not self.draws:
            return
        self._refining = False
        first = self._first(self._subject, layout)
        refined = self._maker.cached(self._refined(first))
        if refined is not None and first.limit is not None and self._cost(refined.pieces) <= first.limit:
            first = refined.request
        self._want(first)

    def request_first(self) -> None:
        self._request()

    def _want(self, request: Request) -> None:
        """Show the picture of a request, now or when it is made; then those of the neighbours are made."""
        picture = self._maker.want(request, [self._first(other, request.layout) for other in self._neighbours])
        if picture is not None:
            self._take(picture)

    def refine(self) -> None:
        if not self.refines or self._picture is None or self._picture.request.limit is None:
            return
        request = self._refined(self._picture.request)
        if request.limit is not None and request.limit > self._picture.request.limit:
            self._refining = True
            self._want(request)

    def _first(self, subject: Subject, layout: GridLayout) -> Request:
        """Return the request for the first picture of a subject."""
        limit = None if self._painter is None else first_limit(layout, subject, link_of(self.app).speed)
        return Request(subject, self._view, layout, limit, self._background, self._terminal.colours)

    def first_bytes(self, picture: Picture) -> int | None:
        return self._first(picture.request.subject, picture.request.layout).limit

    def _refined(self, request: Request) -> Request:
        """Return the request for the refined picture of the same subject; `request` itself for half cells."""
        if request.limit is None:
            return request
        return replace(request, limit=refined_limit(request.layout, request.subject, link_of(self.app).speed))

    @property
    def _background(self) -> tuple[int, int, int]:
        """The colour of the cells around the tiles, RGB from 0 to 255."""
        return self.background_colors[1].rgb

    def _made(self, picture: Picture) -> None:
        """Hand a finished picture to the app's thread, which shows it. The maker calls this on its own thread."""
        with suppress(RuntimeError):  # the app has ended
            if self.is_attached:
                self.app.call_later(self._take, picture)

    def is_wanted(self, picture: Picture) -> bool:
        request = picture.request
        wanted = (self._subject, self._view, self.grid_layout() or request.layout)
        return (request.subject, request.view, request.layout) == wanted

    def _take(self, picture: Picture) -> None:
        """Show a picture, if it is still wanted."""
        if not self.is_attached or not self.is_wanted(picture):
            return  # another subject, view or size is wanted by now
        request = picture.request
        if picture is self._picture or request.background != self._background:
            return
        before, self._picture = self._picture, picture
        self._text = self._tile_text(picture)
        same_cells = (
            before is not None
            and before.request.layout == request.layout
            and len(before.pieces) == len(picture.pieces) > 0
        )
        if same_cells:
            self.paint()
            if before is not None and before.request.subject != request.subject:
                self.refresh()  # the captions
        else:
            self.clear()
            self.refresh()  # the cells are blanked
            self.call_after_refresh(self.paint)

    def _tile_text(self, picture: Picture) -> TileText | None:
        """Return the cells of a picture that are text, None where there are no tiles."""
        layout, subject = picture.request.layout, picture.request.subject
        if not picture.tiles:
            return None
        texts = [""] * picture.tiles
        if isinstance(subject, Unit):
            texts = captions(self._store, subject, picture.tiles, layout.caption_columns)
        lines = self._painter is None or not self._painter.covers_gaps
        return TileText(layout, texts, picture.cells, lines)

    def render_line(self, y: int) -> Strip:
        if self._text is None or not self.draws:
            return super().render_line(y)
        names = ("caption", "cursor", "line")
        styles = TileStyles(self.rich_style, *(self.get_component_rich_style(f"tiles--{name}") for name in names))
        return self._text.strip(y, self.content_size.width, self._visible_cursor, styles)

    def render(self) -> RenderResult:
        if not self.draws:
            return self._lines()
        if self._picture is None:
            return ""
        return Text(self._picture.error, style="red") if self._picture.error else Text("no images", style="dim")

    def _lines(self) -> Text:
        """Return the text that stands for the subject without graphics, or why it cannot be read."""
        try:
            text = subject_text(self._store, self._subject, *self.content_size, _IMAGES)
        except ShapebiasError as error:
            return Text(printable(str(error)), style="red")
        if isinstance(self._subject, Unit) and self._visible_cursor is not None:
            lines = text.split("\n")
            lines[self.cursor].stylize(self.get_component_rich_style("tiles--cursor"))
            text = Text("\n", no_wrap=True, overflow="ellipsis").join(lines)
        return text

    # The cursor

    def allow_focus(self) -> bool:
        """Return whether there are a unit's images to choose from."""
        return isinstance(self._subject, Unit)

    @property
    def count(self) -> int:
        """The number of a unit's images that are shown, 0 for another subject."""
        if not isinstance(self._subject, Unit):
            return 0
        if self.draws:
            if self._text is not None:
                return len(self._text.captions)
            layout = self.grid_layout()  # keys may come before the picture
            most = 1 if layout is None else layout.count
        else:
            most = max(self.content_size.height, 1)
        return min(len(self._store.top(self._subject).image), _IMAGES, most)

    @property
    def _visible_cursor(self) -> int | None:
        """The cursor, while the grid has the focus or the mouse is over it."""
        return self.cursor if self.cursor < self.count and (self.has_focus or self.mouse_hover) else None

    def move_to(self, rank: int) -> None:
        """Put the cursor on an image, by its rank."""
        if rank != self.cursor and 0 <= rank < self.count:
            self.cursor = rank
            self.refresh()
            self.post_message(self.Moved())

    def action_move(self, across: int, down: int) -> None:
        """Move the cursor by so many images and rows of images; not beyond the first and the last one."""
        columns = self._text.layout.columns if self._text is not None else 1
        self.move_to(self.cursor + across + down * columns)

    def action_go(self, rank: int) -> None:
        """Put the cursor on an image, by its rank, from the end where that is negative."""
        self.move_to(rank % max(self.count, 1))

    def action_open(self) -> None:
        """Ask for the screen of the image under the cursor."""
        if isinstance(self._subject, Unit) and self.cursor < self.count:
            self.post_message(OpenImage(UnitImage(self._subject, self.cursor)))

    def action_by_image(self) -> None:
        """Ask for what fires on the image under the cursor."""
        if isinstance(self._subject, Unit) and self.cursor < self.count:
            image = int(self._store.top(self._subject).image[self.cursor])
            self.post_message(OpenByImage(probe_image(self._store, image), self._subject))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_leave(self) -> None:
        self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        rank = self._rank_at(event)
        if rank is not None:
            self.move_to(rank)
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        rank = self._rank_at(event)
        if rank is not None:
            self.move_to(rank)
            self.action_open()

    def _rank_at(self, event: events.MouseEvent) -> int | None:
        """Return the rank of the image on which the mouse is, None where it is on none."""
        position = event.get_content_offset(self)
        if position is None:
            return None
        rank = position.y if self._text is None else self._text.layout.tile_at(*position)
        return rank if rank is not None and rank < self.count else None
