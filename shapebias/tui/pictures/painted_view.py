"""A widget whose picture is painted over its blank cells, past Textual, which would encode slowly and send it twice."""

import asyncio
from collections import deque
from collections.abc import Sequence

from textual.geometry import Offset, Region
from textual.timer import Timer
from textual.widget import Widget

from shapebias.tui.pictures.maker import Picture
from shapebias.tui.pictures.painter import Painter, Piece
from shapebias.tui.terminal.driver import LinkDriver, link_of
from shapebias.tui.terminal.frame import Change

_REPAIR = 0.03  # seconds
_BACKLOG = 0.05  # seconds that the link to the terminal may be busy before the next tiles are handed over
_PORTION = 4000  # bytes that are handed over at once, at least
_AT_ONCE = 0.1  # seconds that the link may need for a refined picture that was there before
_REST = 0.15  # seconds without a move after which a picture is refined


class PaintedView(Widget):
    """A widget that hands its picture to the terminal as the link takes it.

    A subclass chooses the picture: it says whether one is wanted (`is_wanted`), how many bytes the first picture of the
    same may have (`first_bytes`), and asks for the first one again (`request_first`) or for a better one (`refine`).
    """

    def __init__(self, painter: Painter | None) -> None:
        """`painter` is what all widgets of the app paint with; None where pictures are text."""
        super().__init__()
        self._painter = painter
        self._picture: Picture | None = None
        self._painted_at: Offset | None = None  # where on the screen the picture is; None where it is not there
        self._painting: asyncio.Task[None] | None = None
        self._repairing: Timer | None = None
        self._refining = False

    @property
    def picture(self) -> Picture | None:
        """The picture that is shown, None before the first."""
        return self._picture

    def is_wanted(self, picture: Picture) -> bool:
        """Return whether a picture is the newest that is wanted, in this size. Raises NotImplementedError unless a
        subclass defines it."""
        raise NotImplementedError

    def first_bytes(self, picture: Picture) -> int | None:
        """Return how many bytes the first picture of the same may have, None where there is no limit. Raises
        NotImplementedError unless a subclass defines it."""
        raise NotImplementedError

    def request_first(self) -> None:
        """Ask for the first picture. Raises NotImplementedError unless a subclass defines it."""
        raise NotImplementedError

    def refine(self) -> None:
        """Ask for a better picture of what is shown, where the link is fast enough. Raises NotImplementedError unless a
        subclass defines it."""
        raise NotImplementedError

    def damaged_by(self, change: Change) -> bool:
        """Return whether a change of the screen wrote over the picture's cells, or moved the widget."""
        if self._painter is None or self._picture is None:
            return False
        if self._has_moved:
            return True
        cells = [self._region(piece) for piece in self._picture.pieces]
        return any(piece.overlaps(region) for region in change.regions for piece in cells)

    @property
    def _has_moved(self) -> bool:
        """Whether the picture is on the screen where the widget was before a change of the layout."""
        return self._painted_at not in (None, self.content_region.offset)

    def _region(self, piece: Piece) -> Region:
        """Return the cells of the screen that a piece covers."""
        left, top = self.content_region.offset
        return Region(left + piece.x, top + piece.y, piece.columns, piece.rows)

    def repair(self) -> None:
        """Paint the picture again in a moment, unless a newer one is on its way by then: layouts come in bursts."""
        if self._repairing is None:
            self.stop_painting()
            self._repairing = self.set_timer(_REPAIR, self._repair)

    def _repair(self) -> None:
        """Paint the picture again; one that takes long is preceded by the first one."""
        self._repairing = None
        if self._picture is None or not self.is_wanted(self._picture):
            return
        limit = self.first_bytes(self._picture)
        at_once = max(_AT_ONCE * link_of(self.app).speed, limit or 0)
        if self._cost(self._picture.pieces) > at_once and self._picture.request.limit != limit:
            self._picture = None  # the first one comes again, and then this
            self.request_first()
        else:
            self.paint()

    def paint(self) -> None:
        """Hand the picture to the terminal, some pieces at a time; a picture on its way is dropped.

        Where the widget has moved, blanks remove the picture from its cells of before first.
        """
        self.stop_painting()
        if self._has_moved:
            self.clear()
            self.screen.refresh()  # also the cells that are another widget's by now
            self.call_after_refresh(self.paint)
            return
        self._painting = asyncio.create_task(self._paint())

    def stop_painting(self) -> None:
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
                self.request_first()
                return
            self._paint_some(driver, picture, waiting)
        await asyncio.sleep(_REST)
        if self._paintable(picture):
            self.refine()

    def _is_too_long(self, picture: Picture, waiting: Sequence[Piece]) -> bool:
        """Return whether the link has turned out too slow for the rest of a subject's first picture."""
        limit = self.first_bytes(picture)
        return limit is not None and limit < (picture.request.limit or 0) and self._cost(waiting) > limit

    def _paint_some(self, driver: LinkDriver, picture: Picture, waiting: deque[Piece]) -> None:
        """Paint the next pieces, several where they are short. Before the first ones, remove the previous picture."""
        assert self._painter is not None
        text, cells = "", list[Region]()
        if len(waiting) == len(picture.pieces):
            text = self._painter.clear(self, [self._region(piece).offset for piece in picture.pieces])
            self._painted_at = self.content_region.offset
        while waiting and len(text) < _PORTION:
            piece = waiting.popleft()
            cells.append(self._region(piece))
            x, y = cells[-1].offset
            text += f"\x1b[{y + 1};{x + 1}H{self._painter.paint(piece, x, y, self)}"
        driver.paint(f"\x1b7{text}\x1b8", cells, self)

    def _paintable(self, picture: Picture) -> bool:
        """Return whether a picture is still wanted, with nothing over it."""
        return self.is_on_screen and picture is self._picture and self.is_wanted(picture) and self.screen.is_active

    def _cost(self, pieces: Sequence[Piece]) -> int:
        """Return how many bytes it takes to paint pieces of a picture now."""
        return 0 if self._painter is None else self._painter.cost(pieces)

    def clear(self) -> None:
        """Let the picture be removed from the screen: by the blanks written next, or else by the painter."""
        self._painted_at = None
        driver = self.app._driver
        if isinstance(driver, LinkDriver):
            driver.uncover(self)
            if self._painter is not None:
                driver.paint(self._painter.clear(self))
