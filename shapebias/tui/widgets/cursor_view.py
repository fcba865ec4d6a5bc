"""Lines of any number with a cursor, of which only those in sight are drawn."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.scroll_view import ScrollView


class CursorView(ScrollView):
    """Scrolls so that the cursor's line is in sight. `header` lines on top stay. Subclasses have `row_count` and
    `render_line`, set the virtual size, and are told by `moved`."""

    header = 0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Next", show=False),
        Binding("k,up", "move(-1)", "Previous", show=False),
        Binding("g,home", "jump(0)", "First", show=False),
        Binding("G,end", "jump(-1)", "Last", show=False),
        Binding("ctrl+d,pagedown", "page(1)", "Page down", show=False),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor = 0

    @property
    def row_count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    @property
    def _height(self) -> int:
        return max(self.size.height - self.header, 1)

    def moved(self, before: int) -> None:
        """The cursor was on line `before`."""

    def move_to(self, place: int, again: bool = False) -> None:
        """Puts the cursor there, in sight; `again` says so where it was there before, too."""
        if not self.row_count:
            return
        place = min(max(place, 0), self.row_count - 1)
        if place == self.cursor and not again:
            return
        before, self.cursor = self.cursor, place
        first = int(self.scroll_offset.y)
        if not first <= place < first + self._height:
            self._scroll_to_row(place if place < first else place - self._height + 1)
            self.refresh()
        else:
            top = first - self.header
            self.refresh(*(Region(0, row - top, self.size.width, 1) for row in (before, place)))
        self.moved(before)

    def _scroll_to_row(self, y: int) -> None:
        self.scroll_to(y=max(y, 0), animate=False, immediate=True, force=True)

    def action_move(self, rows: int) -> None:
        self.move_to(self.cursor + rows)

    def action_jump(self, place: int) -> None:
        self.move_to(place if place >= 0 else self.row_count + place)

    def action_page(self, pages: int) -> None:
        self.move_to(self.cursor + pages * max(self._height - 1, 1))

    def row_at(self, event: events.Click) -> int | None:
        """The line that was clicked; None for a header and below the last."""
        place = int(self.scroll_offset.y) + event.y - self.header
        return place if event.y >= self.header and place < self.row_count else None

    def on_resize(self) -> None:
        if self.row_count:
            self.call_after_refresh(self._keep_in_sight)

    def _keep_in_sight(self) -> None:
        first = int(self.scroll_offset.y)
        if not first <= self.cursor < first + self._height:
            self._scroll_to_row(self.cursor - self._height + 1)

    def visible_row_region(self) -> Region:
        """Where the cursor's line is on the widget, for tests and the mouse."""
        return Region(0, self.cursor - int(self.scroll_offset.y) + self.header, self.size.width, 1)
