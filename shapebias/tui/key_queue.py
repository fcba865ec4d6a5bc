"""Keys and pastes one after the other, so that those typed while a screen opens are keys of that screen."""

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
    """Hands on keys and pastes with `deliver`, each when everything that the last one did is done.

    Textual alone gives a key to the widget that has the focus when it comes, whatever the keys before it, which wait in
    that widget's queue, will open. A screen with a true `reading` gets its keys when it has read what they are for.
    """

    def __init__(self, app: App[None], deliver: Callable[[Event], Awaitable[None]]) -> None:
        self._app, self._deliver = app, deliver
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, event: Event) -> None:
        """Take a key or a paste. One that leaves a screen which is still reading takes the keys before it along."""
        if self._reading and isinstance(event, Key) and event.key in _LEAVING:
            self._waiting.clear()
        self._waiting.append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._hand_on())

    @property
    def _reading(self) -> bool:
        """Whether the screen is still reading what keys are for."""
        return bool(self._app.screen_stack and getattr(self._app.screen, "reading", False))

    async def _hand_on(self) -> None:
        """Hand on what waits, until nothing does or the app ends."""
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
        """Wait until a widget has done what a key makes it do, and the screen that this may have opened is there.

        What a widget says goes up to its parents, from the queue of one to that of the next.
        """
        for pump in target.ancestors_with_self:
            await self._passed(pump)
        if self._app.screen_stack and self._app.screen not in target.ancestors_with_self:
            screen = self._app.screen
            with suppress(TimeoutError):
                await asyncio.wait_for(screen._mounted_event.wait(), _LONGEST)
            await self._passed(screen)
            await self._passed(self._app)  # which gives the focus

    async def _passed(self, pump: MessagePump) -> None:
        """Wait until a widget has come to the end of what is in its queue now."""
        passed = asyncio.Event()
        if pump.is_running and pump.call_later(passed.set):
            with suppress(TimeoutError):
                await asyncio.wait_for(passed.wait(), _LONGEST)
