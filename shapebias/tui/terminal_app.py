"""An app for a real terminal: updates no faster than the terminal takes them, pictures repaired, a clean end."""

import os
import signal
from typing import Any, Protocol, runtime_checkable

from rich.color import ColorSystem
from textual import constants
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App
from textual.driver import Driver
from textual.events import Event, Key, Paste, Resize
from textual.geometry import Region
from textual.screen import Screen

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.tui.key_queue import KeyQueue
from shapebias.tui.pictures.maker import join_makers
from shapebias.tui.pictures.painter import Painter
from shapebias.tui.terminal.debug_stats import MoveStats, counting_driver
from shapebias.tui.terminal.driver import LinkDriver, link_of
from shapebias.tui.terminal.graphics import Colours
from shapebias.tui.terminal.query import Terminal
from shapebias.tui.widgets.grid_view import GridView

_BACKLOG = 0.15  # seconds that the link to the terminal may be busy before updates of the screen are held back
_AGAIN = 0.01  # seconds between looks at a busy link
_COLOUR_SYSTEMS = {
    Colours.TRUE: ColorSystem.TRUECOLOR,
    Colours.INDEXED: ColorSystem.EIGHT_BIT,
    Colours.FEW: ColorSystem.STANDARD,
}


@runtime_checkable
class Sheet(Protocol):
    """A screen over another one, whose pictures it leaves standing where there is `room` for it beside them."""

    @property
    def room(self) -> int:
        """The width in cells of the free region beside the pictures of the screen below; 0 where it covers them."""


class TerminalApp(App[None]):
    """An app with a `LinkDriver`; tests without a terminal have another driver, whose link is never busy."""

    def __init__(self, terminal: Terminal, painter: Painter | None, stats: MoveStats | None) -> None:
        """Prepare the app for `terminal`.

        painter:  paints the pictures; None where they are half cells or text
        stats:    measures moves of the cursor; None where nobody wants to know
        """
        super().__init__(driver_class=LinkDriver if stats is None else counting_driver(stats))
        self._terminal, self._painter = terminal, painter
        self._beside: Screen[Any] | None = None  # the screen whose pictures stay beside a sheet over it
        self._held: set[Region] = set()  # parts of the screen that changed while the link was busy
        self._keys = KeyQueue(self, super().on_event)
        if constants.COLOR_SYSTEM == "auto":
            self.console._color_system = _COLOUR_SYSTEMS[terminal.colours]

    def run_to_end(self) -> None:
        """Run the app to its end; where a signal ended the app, end the process by the same signal.

        Raises ShapebiasError where an error ended the app: a damaged store's own, else one with the exception as its
        cause.
        """
        self.run(mouse=self._terminal.multiplexer != "screen")  # screen swallows Escape when the mouse is on
        join_makers()
        number = self._driver.ended_by if isinstance(self._driver, LinkDriver) else None
        if number is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if isinstance(self._exception, ShapebiasError):
            raise self._exception
        if self._exception is not None:
            reason = printable(f"{type(self._exception).__name__}: {self._exception}")
            advice = "`shapebias --debug explore` shows where; marks are saved"
            raise ShapebiasError(f"an unexpected error ended the explorer: {reason} ({advice})") from self._exception

    def _build_driver(self, *arguments: Any, **options: Any) -> Driver:
        driver = super()._build_driver(*arguments, **options)
        if isinstance(driver, LinkDriver):
            driver.typed = self._terminal.conversation.typed
            if self._painter is not None:
                driver.farewell = self._painter.end
        return driver

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Resize) and isinstance(self._driver, LinkDriver):
            self._driver.frame.forget()
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            self._keys.add(event)
        else:
            await super().on_event(event)

    def _fatal_error(self) -> None:
        """End without Textual's pages of local variables: `run_to_end` says what happened."""
        self._close_messages_no_wait()

    def action_suspend_process(self) -> None:
        """Stop the program, as Ctrl-Z does in a shell."""
        if isinstance(self._driver, LinkDriver):
            self.app_suspend_signal.publish(self)
            self._driver.suspend()

    def on_mount(self) -> None:
        self.app_resume_signal.subscribe(self, lambda app: self.screen.refresh())
        self.screen_change_signal.subscribe(self, self._turn_to)

    def on_app_focus(self) -> None:
        """Paint the pictures again in tmux and screen, which may have lost them while another window was shown."""
        if self._terminal.multiplexer:
            for grid in self.screen.query(GridView):
                grid.repair()

    def _turn_to(self, screen: Screen[Any]) -> None:
        """Take the last screen's pictures away when `screen` replaces it.

        They stay beside a sheet that opens over that screen. When the sheet closes, they are painted again.
        """
        before, self._beside = self._beside, None
        if isinstance(screen, Sheet) and screen.room and screen.is_active:
            self._beside = self.screen_stack[-2]
        elif screen is before:
            for grid in screen.query(GridView):
                grid.repair()  # a better picture may have come meanwhile
        else:
            self._clear_pictures()

    def _clear_pictures(self) -> None:
        """Remove all pictures.

        In most terminals the text that is written next over a picture deletes it. Where pictures stay under text, they
        are deleted at once.
        """
        if isinstance(self._driver, LinkDriver):
            self._driver.uncover()
            if self._painter is not None:
                self._driver.paint(self._painter.clear())

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Send what an update of the screen, `renderable`, changes, or hold it back until the link is free.

        Pictures that an update has damaged are painted again.
        """
        if self._batch_count or not isinstance(renderable, ChopsUpdate | LayoutUpdate):
            super()._display(screen, renderable)
        elif not link_of(self).has_room(_BACKLOG):
            if not self._held:
                self.set_timer(_AGAIN, self._send_held)
            self._held |= _regions(renderable)
        elif not isinstance(self._driver, LinkDriver):
            super()._display(screen, renderable)
        elif (change := self._driver.frame.change(renderable, self.size)).runs:
            super()._display(screen, change)  # type: ignore[arg-type]  # written as Textual's own updates are
            for grid in self.screen.query(GridView):
                if grid.damaged_by(change):
                    grid.repair()

    def _send_held(self) -> None:
        """Update the parts of the screen that were held back, with what they show by now; `_display` sends it."""
        changed, self._held = self._held, set()
        if not self.screen_stack:  # the app is ending
            return
        screen = self.screen
        screen._compositor.update_widgets(screen._dirty_widgets)  # the refresh does not include these
        screen._compositor._dirty_regions |= {region for region in changed if screen.region.contains_region(region)}
        screen._compositor_refresh()


def _regions(update: ChopsUpdate | LayoutUpdate) -> set[Region]:
    """Return the regions of cells that an update of the screen writes."""
    if isinstance(update, ChopsUpdate):
        return {Region(left, y, right - left, 1) for y, left, right in update.spans}
    return {update.region}
