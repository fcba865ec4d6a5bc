"""A list of images of any length, by path and class."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from shapebias.core.analysis.by_image import ImageName
from shapebias.core.text import cell_width, padded, printable
from shapebias.tui.widgets.cursor_view import CursorView

_ABOUT = 0.45  # the part of a line's width that the class may take


class ImageListView(CursorView):
    """A list with a row for each image, and a cursor. Posts `Moved` when it moves."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"images--cursor"}
    DEFAULT_CSS = """
    ImageListView { height: 1fr; scrollbar-size: 0 1; }
    ImageListView > .images--cursor { background: $primary-muted; color: $text; }
    """

    class Moved(Message):
        """Says that the cursor is on `image`."""

        def __init__(self, image: ImageName) -> None:
            super().__init__()
            self.image = image

    def __init__(self) -> None:
        super().__init__()
        self._names: list[ImageName] = []
        self._numbers: NDArray[np.int64] = np.zeros(0, np.int64)  # positions in `_names` of the listed images

    @property
    def row_count(self) -> int:
        return len(self._numbers)

    def name_at(self, row: int) -> ImageName:
        """Return the image of a row, from 0. Raises IndexError behind the last."""
        return self._names[int(self._numbers[row])]

    def show(self, names: list[ImageName], numbers: NDArray[np.int64], image: ImageName) -> None:
        """List the images of `names` with these `numbers` (their positions in it), in that order.

        The cursor is on `image` where it is among them, else on the first.
        """
        self._names, self._numbers = names, numbers
        self.virtual_size = Size(0, len(numbers))
        rows = np.flatnonzero(numbers == (names.index(image) if image in names else -1))
        self.move_to(int(rows[0]) if len(rows) else 0, again=True)
        self.refresh()

    def moved(self, before: int) -> None:
        self.post_message(self.Moved(self.name_at(self.cursor)))

    def on_click(self, event: events.Click) -> None:
        row = self.row_at(event)
        if row is not None:
            self.move_to(row)

    def render_line(self, y: int) -> Strip:
        width, row = self.scrollable_content_region.width, int(self.scroll_offset.y) + y
        if row >= self.row_count:
            text = " no image matches" if y == 0 and self._names else ""
            return Strip([Segment(text, self.rich_style)]).adjust_cell_length(width, self.rich_style)
        name, style = self.name_at(row), self.rich_style
        about_style = style + Style(dim=True)
        if row == self.cursor:
            style = about_style = self.get_component_rich_style("images--cursor")
        about = printable(name.about, max(int(_ABOUT * width), 1)) if name.about else ""
        if name.is_cue_conflict and cell_width(about) + cell_width(printable(name.path)) + 2 > width:
            about = ""  # the path says it, too
        room = max(width - cell_width(about) - 2, 1)
        path = padded(printable(name.path, room), room)
        return Strip([Segment(f" {path} ", style), Segment(about, about_style)]).adjust_cell_length(width, style)
