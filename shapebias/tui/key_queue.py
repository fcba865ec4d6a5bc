"""Delivers keys and pastes one after the other, so that keys typed while a screen opens are keys of that screen."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from textual.app import App
from textual.dom import DOMNode
from textual.events import Event, Key
from textual.message_pump import MessagePump

_LONGEST = 2.0  # seconds that one part of what a key does may take before the next key is handed on
_LOOK = 0.02  # seconds between looks at a screen that is still reading
_LEAVING = ("escape", "backspace", "ctrl+c", "ctrl+q", "ctrl+z")  # keys that wait for no reading


class KeyQueue:
    """Delivers each key or paste with `deliver` when everything that the last one caused is finished.

    Textual alone would give a key to the widget that has the focus when the key arrives, although keys before it, still
    in that widget's queue, may open a screen. A screen with a true `reading` gets its keys once it has read its data.
    """

    def __init__(self, app: App[None], deliver: Callable[[Event], Awaitable[None]]) -> None:
        self._app, self._deliver = app, deliver
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, event: Event) -> None:
        """Add a key or a paste. A key that closes a screen which is still reading discards the keys before it."""
        if self._reading and isinstance(event, Key) and event.key in _LEAVING:
            self._waiting.clear()
        self._waiting.append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._hand_on())

    @property
    def _reading(self) -> bool:
        """Whether the screen is still reading its data."""
        return bool(self._app.screen_stack and getattr(self._app.screen, "reading", False))

    async def _hand_on(self) -> None:
        """Deliver the waiting keys, until there are none or the app ends."""
        while self._waiting and self._app.screen_stack:
            event = self._waiting[0]
            if self._reading and not (isinstance(event, Key) and event.key in _LEAVING):
                await asyncio.sleep(_LOOK)
                continue
            self._waiting.popleft()
            target = self._app.focused or self._app.screen
            await self._deliver(event)
            await self._done(target)

    async def _done(self, target: DOMNode) -> None:
        """Wait until the widget `target` has handled a key, and until a screen that the key opened is there.

        Messages of a widget go up to its parents, from the queue of one to that of the next.
        """
        for pump in target.ancestors_with_self:
            await self._passed(pump)
        if self._app.screen_stack and self._app.screen not in target.ancestors_with_self:
            screen = self._app.screen
            with suppress(TimeoutError):
                await asyncio.wait_for(screen._mounted_event.wait(), _LONGEST)
            await self._passed(screen)
            await self._passed(self._app)  # so that the screen has the focus

    async def _passed(self, pump: MessagePump) -> None:
        """Wait until a widget, a screen or the app has handled all that is in its queue now, but at most 2 seconds."""
        passed = asyncio.Event()
        if pump.is_running and pump.call_later(passed.set):
            with suppress(TimeoutError):
                await asyncio.wait_for(passed.wait(), _LONGEST)
