"""The row of panes, whose borders can be moved by the mouse and by keys."""

from textual import events
from textual.containers import Horizontal
from textual.widget import Widget

LEAST = {"side": 14, "units": 22, "unit": 24}  # the fewest cells of a pane, by its id
_STEP = 4  # cells that a key moves a border by


class PaneRow(Horizontal):
    """Panes side by side. All but the last one can be made wider and narrower, and the last one has what is left.

    Chosen widths hold until the app ends. Where the terminal is too narrow for one, the pane has the room that is left.
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._chosen: dict[str, int] = {}  # widths in cells, by the id of the pane
        self._dragged: Widget | None = None

    @property
    def _panes(self) -> list[Widget]:
        """The panes that can be seen, from the left."""
        return [pane for pane in self.children if pane.display]

    def widen(self, pane: Widget, steps: int) -> None:
        """Make a pane wider by so many steps of 4 cells, narrower where they are negative.

        The last pane has what the others leave, so to widen it the one before becomes narrower. A pane alone stays.
        """
        panes = self._panes
        if pane in panes and len(panes) > 1:
            position = panes.index(pane)
            if position == len(panes) - 1:
                pane, steps = panes[position - 1], -steps
            self._choose(pane, pane.size.width + pane.gutter.width + _STEP * steps)

    def forget(self) -> None:
        """Make all panes as wide as usual."""
        self._chosen.clear()
        self._apply()

    def _choose(self, pane: Widget, width: int) -> None:
        """Make a pane as wide as `width` cells, or as wide as there is room for."""
        if pane.id is not None:
            self._chosen[pane.id] = self._within(pane, width)
            self._apply()

    def _within(self, pane: Widget, width: int) -> int:
        """Return the width of a pane nearest to `width` for which it and the last pane have at least their `LEAST`."""
        others = [other for other in self._panes if other is not pane]
        taken = sum(other.outer_size.width for other in others[:-1]) + LEAST.get(others[-1].id or "", 0)
        return max(min(width, self.size.width - taken), LEAST.get(pane.id or "", 0))

    def _apply(self) -> None:
        """Give the visible panes but the last their chosen widths, as far as there is room; others the usual one."""
        panes = self._panes
        for pane in self.children:
            width = self._chosen.get(pane.id or "") if pane in panes[:-1] else None
            width = None if width is None else self._within(pane, width)
            pane.styles.width, pane.styles.min_width, pane.styles.max_width = width, width, width
            pane.set_class(width is not None, "-chosen")

    def on_resize(self) -> None:
        if self._chosen:
            self.call_after_refresh(self._apply)

    # The mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the border at the right of a pane: its own frame, or that of the next pane."""
        for pane in self._panes[:-1]:
            if event.screen_x - pane.region.right in (-1, 0):
                self._dragged = pane
                self.capture_mouse()
                event.stop()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged is not None:
            self._choose(self._dragged, event.screen_x - self._dragged.region.x + 1)

    def on_mouse_up(self) -> None:
        if self._dragged is not None:
            self._dragged = None
            self.release_mouse()
