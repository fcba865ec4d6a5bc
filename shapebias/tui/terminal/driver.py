"""Textual's driver for a terminal, which knows how quick the line is and leaves the terminal as it found it."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import CursorPosition
from textual.message import Message

from shapebias.tui.terminal.line import Line

_ANSWERS = 1.0  # seconds that are waited for the last answers of the terminal
_ENDS = (signal.SIGTERM, signal.SIGHUP)


class LineDriver(LinuxDriver):
    """Counts what the terminal takes in `line`; stops and ends at a signal as a good citizen."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.line = Line()
        self.ended_by: signal.Signals | None = None
        self._file: Any = _Outlet(self._file, self.line.written)
        self._suspended = False

    def start_application_mode(self) -> None:
        self.line.open()
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's
        if self._writer_thread is not None:
            self._writer_thread._queue.maxsize = 0  # a write never blocks: `line` says when to hold back
        super().write(self.line.sending("", ask=True))  # alone: how long an answer takes on an empty line
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        loop.add_signal_handler(signal.SIGCONT, self._continued)
        for each in _ENDS:
            loop.add_signal_handler(each, self._end, each)

    def write(self, data: str) -> None:
        super().write(self.line.sending(data))

    def process_message(self, message: Message) -> None:
        """Called on the keyboard's thread."""
        if isinstance(message, CursorPosition):
            self.line.answered()
        else:
            super().process_message(message)

    def disable_input(self) -> None:
        if self.ended_by is not signal.SIGHUP:  # nobody is there to answer
            self.line.close(_ANSWERS)
        super().disable_input()

    def close(self) -> None:
        """Waits for the last byte; a terminal that takes none does not keep a killed program alive."""
        if self._writer_thread is None or self.ended_by is None:
            super().close()
            return
        self._writer_thread._queue.put(None)
        self._writer_thread.join(_ANSWERS)

    def suspend(self) -> None:
        """Gives the terminal back and stops the whole job, as Ctrl-Z in a shell; comes back when it is continued.

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
        self._suspended = False

    def _continued(self) -> None:
        """Stopped by others, it left the terminal as it was; whoever had it since may have changed it."""
        if not self._suspended:
            self.suspend_application_mode()
            self._must_signal_resume = True
            self.resume_application_mode()

    def _end(self, number: signal.Signals) -> None:
        self.ended_by = number
        self._app.exit()


def line_of(app: App[Any]) -> Line:
    """The line to the app's terminal; one that takes everything where there is no terminal."""
    return app._driver.line if isinstance(app._driver, LineDriver) else Line()


class _Outlet:
    """The driver's file, which tells how many characters went through it."""

    def __init__(self, file: Any, written: Callable[[int], None]) -> None:
        self._file, self._written = file, written

    def write(self, text: str) -> int:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:  # hung up: the writing thread must live on, or the program waits for it forever
            pass
        self._written(len(text))
        return len(text)

    def flush(self) -> None:
        """Done by `write`."""

    def fileno(self) -> int:
        return int(self._file.fileno())
