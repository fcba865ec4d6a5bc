"""Textual's driver for a terminal, which knows how quick the terminal is and leaves it as it was."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import CursorPosition
from textual.message import Message

from shapebias.tui.terminal.link import Link

_ANSWERS = 1.0  # seconds that are waited for the last answers of the terminal
_ENDS = (signal.SIGTERM, signal.SIGHUP)


class LinkDriver(LinuxDriver):
    """A driver that counts what the terminal takes in `link`, and stops and ends at signals as other programs do.

    `ended_by` is the signal that ended it, None where it was none.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.link = Link()
        self.ended_by: signal.Signals | None = None
        self._file: Any = _Outlet(self._file, self.link.written)
        self._suspended = False

    def start_application_mode(self) -> None:
        self.link.open()
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's
        if self._writer_thread is not None:
            self._writer_thread._queue.maxsize = 0  # a write never blocks: `link` says when to hold back
        super().write(self.link.sending("", ask=True))  # alone: how long an answer takes on an empty link
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        loop.add_signal_handler(signal.SIGCONT, self._continued)
        for number in _ENDS:
            loop.add_signal_handler(number, self._end, number)

    def write(self, data: str) -> None:
        super().write(self.link.sending(data))

    def process_message(self, message: Message) -> None:
        """Take note of answers, and pass everything else on. Runs on the thread of the keyboard."""
        if isinstance(message, CursorPosition):
            self.link.answered()
        else:
            super().process_message(message)

    def disable_input(self) -> None:
        if self.ended_by is not signal.SIGHUP:  # nobody is there to answer
            self.link.close(_ANSWERS)
        super().disable_input()

    def close(self) -> None:
        """Wait for the last byte; a terminal that takes none does not keep a killed program alive."""
        if self._writer_thread is None or self.ended_by is None:
            super().close()
            return
        self._writer_thread._queue.put(None)
        self._writer_thread.join(_ANSWERS)

    def suspend(self) -> None:
        """Give the terminal back and stop the whole job, as Ctrl-Z in a shell; come back when it is continued.

        Where no shell could continue it, the signal does nothing, and it comes back at once.
        """
        loop = asyncio.get_running_loop()
        self._suspended = True
        self.suspend_application_mode()
        loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(0, signal.SIGTSTP)
        self._must_signal_resume = True
        self.resume_application_mode()
        loop.call_later(0.1, self._awake)

    def _awake(self) -> None:
        """Take note that the signals of its own stop are over."""
        self._suspended = False

    def _continued(self) -> None:
        """Set the terminal up again after a stop by others: whoever had it since may have changed it."""
        if not self._suspended:
            self.suspend_application_mode()
            self._must_signal_resume = True
            self.resume_application_mode()

    def _end(self, number: signal.Signals) -> None:
        """End the app because of a signal."""
        self.ended_by = number
        self._app.exit()


def link_of(app: App[Any]) -> Link:
    """Return the link to the app's terminal; without a terminal, one that takes everything."""
    return app._driver.link if isinstance(app._driver, LinkDriver) else Link()


class _Outlet:
    """The driver's file; it calls `written` with the number of characters that went through it."""

    def __init__(self, file: Any, written: Callable[[int], None]) -> None:
        self._file, self._written = file, written

    def write(self, text: str) -> int:
        """Write a text at once."""
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:  # hung up: the writing thread must live on, or the program waits for it forever
            pass
        self._written(len(text))
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has done it."""

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return int(self._file.fileno())
