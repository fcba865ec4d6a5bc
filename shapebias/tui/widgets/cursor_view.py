"""A list of any length with a cursor, of which only the lines in sight are drawn."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.scroll_view import ScrollView


class CursorView(ScrollView):
    """A list that scrolls so that the row of its `cursor`, from 0, is in sight; the first `header` lines stay.

    Subclasses have `row_count` and `render_line`, set `virtual_size`, and are told of moves by `moved`.
    """

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
        """The number of rows. Raises NotImplementedError unless a subclass defines it."""
        raise NotImplementedError

    @property
    def _height(self) -> int:
        """The number of visible rows."""
        return max(self.size.height - self.header, 1)

    def moved(self, before: int) -> None:
        """Take note that the cursor has moved; it was on row `before`."""

    def move_to(self, row: int, again: bool = False) -> None:
        """Put the cursor on a row, or on the nearest that there is, scroll to it, and call `moved`.

        Nothing happens where the cursor is on that row already, unless `again`, or where there are no rows.
        """
        if not self.row_count:
            return
        row = min(max(row, 0), self.row_count - 1)
        if row == self.cursor and not again:
            return
        before, self.cursor = self.cursor, row
        first = int(self.scroll_offset.y)
        if not first <= row < first + self._height:
            self._scroll_to_row(row if row < first else row - self._height + 1)
            self.refresh()
        else:
            top = first - self.header
            self.refresh(*(Region(0, changed - top, self.size.width, 1) for changed in (before, row)))
        self.moved(before)

    def _scroll_to_row(self, row: int) -> None:
        """Make a row the first in sight."""
        self.scroll_to(y=max(row, 0), animate=False, immediate=True, force=True)

    def action_move(self, rows: int) -> None:
        """Move the cursor down by so many rows, up where they are negative."""
        self.move_to(self.cursor + rows)

    def action_jump(self, row: int) -> None:
        """Put the cursor on a row, counted from the end where it is negative."""
        self.move_to(row if row >= 0 else self.row_count + row)

    def action_page(self, pages: int) -> None:
        """Move the cursor down by so many pages, up where they are negative."""
        self.move_to(self.cursor + pages * max(self._height - 1, 1))

    def row_at(self, event: events.Click) -> int | None:
        """Return the row that was clicked, None where it was the header or below the last row."""
        position = event.get_content_offset(self)
        if position is None or position.y < self.header:
            return None
        row = int(self.scroll_offset.y) + position.y - self.header
        return row if row < self.row_count else None

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move the cursor down instead of scrolling."""
        event.stop()
        event.prevent_default()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.action_move(-1)

    def on_resize(self) -> None:
        if self.row_count:
            self.call_after_refresh(self._keep_in_sight)

    def _keep_in_sight(self) -> None:
        """Scroll to the cursor where it is not in sight."""
        first = int(self.scroll_offset.y)
        if not first <= self.cursor < first + self._height:
            self._scroll_to_row(self.cursor - self._height + 1)

    def visible_row_region(self) -> Region:
        """Return the cells of the widget that the cursor's row has."""
        return Region(0, self.cursor - int(self.scroll_offset.y) + self.header, self.size.width, 1)
