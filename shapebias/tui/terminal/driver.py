"""Textual's driver for a terminal, with the speed of the connection, and a clean end."""

import asyncio
import os
import re
import select
import signal
import sys
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable
from typing import Any

from rich.color import ColorSystem
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import CursorPosition
from textual.geometry import Region
from textual.message import Message

from shapebias.tui.terminal.frame import Frame
from shapebias.tui.terminal.link import Link
from shapebias.tui.terminal.output import without_repeated_colours

_ANSWERS = 1.0  # seconds that are waited for the last answers of the terminal
_LAST = 0.7  # seconds that the program may still take when nobody is at the terminal any more
_TICK = 0.1  # seconds between looks at whether the input is to end
_LATE_ANSWER = re.compile(rb"\x1b[P_\]][^\x1b\x07]*(?:\x1b\\|\x07)")  # answers to earlier questions, which are not keys
_ENDS = (signal.SIGTERM, signal.SIGHUP)


class LinkDriver(LinuxDriver):
    """A driver that counts in `link` what the terminal receives, and stops and ends at signals as other programs do.

    ended_by:  the signal that ended the app; None where none did
    frame:     the cells of the screen as the terminal has them
    typed:     bytes that were typed before the input was read here
    farewell:  returns what is written just before the terminal is left
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.link = Link()
        self.ended_by: signal.Signals | None = None
        self.frame = Frame(self._app.console._color_system or ColorSystem.TRUECOLOR)
        self.typed = b""
        self.farewell: Callable[[], str] = str
        self._file: Any = _Outlet(sys.__stdout__, self.link.written)  # standard error may be a log
        self._suspended = self._left = False

    def start_application_mode(self) -> None:
        self.link.open()
        self._left = False
        self.frame.forget()
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's
        if self._writer_thread is not None:
            self._writer_thread._queue.maxsize = 0  # a write never blocks: `link` says when to hold back
        super().write(self.link.sending("", ask=True))  # alone: how long an answer takes on an empty link
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        loop.add_signal_handler(signal.SIGCONT, self._continued)
        for number in _ENDS:
            loop.add_signal_handler(number, self._end, number)

    def stop_application_mode(self) -> None:
        self._left = True
        super().write(self.farewell())
        super().stop_application_mode()

    def write(self, data: str) -> None:
        super().write(self.link.sending(without_repeated_colours(data)))

    def paint(self, pictures: str, cells: Iterable[Region] = (), owner: object = None) -> None:
        """Write `pictures`, control sequences that draw an owner's pictures over `cells`, and record it in the frame.

        Nothing is written once the terminal is being left, since they would be on the shell's screen.
        """
        if pictures and not self._left:
            super().write(self.link.sending(pictures))
            for region in cells:
                self.frame.painted(region, owner)

    def uncover(self, owner: object = None) -> None:
        """Let blanks that are written from now on delete the pictures of an owner; None stands for all owners."""
        self.frame.uncover(owner)

    def run_input_thread(self) -> None:
        """Deliver typed bytes as events until the program stops reading; this is the function of the keyboard's thread.

        Where the input ends, as when the terminal is closed, the app ends as by SIGHUP.
        """
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode

        def hand_on(data: bytes) -> None:
            if text := decode(_LATE_ANSWER.sub(b"", data)):
                for event in parser.feed(text):
                    self.process_message(event)

        typed, self.typed = self.typed, b""
        hand_on(typed)
        while not self.exit_event.is_set():
            ready, _, _ = select.select([self.fileno], [], [], _TICK)
            if ready:
                data = self._read()
                if not data:
                    self._loop.call_soon_threadsafe(self._end, signal.SIGHUP)
                    _end_soon(signal.SIGHUP)
                    return
                hand_on(data)
            for event in parser.tick():
                self.process_message(event)

    def _read(self) -> bytes:
        """Return the bytes that were typed; b"" at the end of the input, or where it is broken."""
        try:
            return os.read(self.fileno, 4096)
        except OSError:
            return b""

    def process_message(self, message: Message) -> None:
        """Count answers of the terminal, and pass everything else on. Runs on the thread of the keyboard."""
        if isinstance(message, CursorPosition):
            self.link.answered()
        else:
            super().process_message(message)

    def disable_input(self) -> None:
        if self.ended_by is not signal.SIGHUP:  # nobody is there to answer
            self.link.close(_ANSWERS)
        super().disable_input()

    def close(self) -> None:
        """Wait until the last byte is written; a terminal that takes none does not keep a killed program alive."""
        if self._writer_thread is None or self.ended_by is None:
            super().close()
            return
        self._writer_thread._queue.put(None)
        self._writer_thread.join(_ANSWERS)

    def suspend(self) -> None:
        """Give the terminal back and stop all processes of the job, as Ctrl-Z in a shell; return when it is continued.

        Where no shell could continue the job, it does not stop, and this returns at once.
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
        """Record that a SIGCONT from now on is not the one that ends `suspend`."""
        self._suspended = False

    def _continued(self) -> None:
        """Set the terminal up again after a stop by another process, since any program may have changed it."""
        if not self._suspended:
            self.suspend_application_mode()
            self._must_signal_resume = True
            self.resume_application_mode()

    def _end(self, number: signal.Signals) -> None:
        """End the app because of the signal `number`; for SIGHUP, end the process even where the app does not end."""
        if number is signal.SIGHUP:
            _end_soon(number)
        self.ended_by = number
        self._app.exit()


def link_of(app: App[Any]) -> Link:
    """Return the link to the app's terminal. Without a terminal it is a new link, which always has room for bytes."""
    return app._driver.link if isinstance(app._driver, LinkDriver) else Link()


def _end_soon(number: signal.Signals) -> None:
    """End the process in 0.7 seconds, whatever its threads are doing, with the exit status 128 + `number`.

    Shells report this status for a process that the signal has ended. The function itself returns at once.
    """
    timer = threading.Timer(_LAST, os._exit, [128 + number])
    timer.daemon = True
    timer.start()


class _Outlet:
    """The driver's file; it calls `written` with the number of characters of every text that was written to it."""

    def __init__(self, file: Any, written: Callable[[int], None]) -> None:
        self._file, self._written = file, written

    def write(self, text: str) -> int:
        """Write a text at once, and return its length; a terminal that is gone is no error."""
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:  # hung up: the writing thread must live on, or the program waits for it forever
            pass
        self._written(len(text))
        return len(text)

    def flush(self) -> None:
        """Do nothing, since `write` writes at once."""

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return int(self._file.fileno())
