"""`explore --debug-stats`: how many bytes a move of the cursor sends, and when the last of them is written."""

import time
from collections.abc import Callable
from typing import IO, Any

from shapebias.tui.terminal.driver import LinkDriver

_QUIET = 0.25  # seconds without a byte: the move is done


class MoveStats:
    """Counts the bytes and the time of each move of the cursor, which `begin` announces."""

    def __init__(self) -> None:
        self._begun = self._last = 0.0
        self._bytes = 0
        self._counting = False

    def begin(self) -> None:
        """Begin to count: the cursor has moved."""
        self._begun = self._last = time.perf_counter()
        self._bytes = 0
        self._counting = True

    def written(self, count: int) -> None:
        """Count bytes that were written to the terminal just now. Runs on the thread that writes to it."""
        if self._counting:
            self._bytes += count
            self._last = time.perf_counter()

    def finished(self) -> str | None:
        """Return the time until the last move's last byte, and its bytes, as text, such as `12 ms, 3.4 kB`.

        Returns None until no byte has been written for a quarter of a second, and where this text was returned before.
        """
        if not self._counting or time.perf_counter() - self._last < _QUIET:
            return None
        self._counting = False
        return f"{1000 * (self._last - self._begun):.0f} ms, {self._bytes / 1000:.1f} kB"


class _CountedFile:
    """A text file that calls `written` with the number of bytes that went through it."""

    def __init__(self, file: IO[str], written: Callable[[int], None]) -> None:
        self._file, self._written = file, written

    def write(self, text: str) -> int:
        """Write a text, count it as UTF-8, and return what the file's own `write` returns."""
        count = self._file.write(text)
        self._written(len(text.encode("utf-8", "replace")))
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def counting_driver(stats: MoveStats) -> type[LinkDriver]:
    """Return a class of drivers whose output is counted in `stats`."""

    class CountingDriver(LinkDriver):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._file: Any = _CountedFile(self._file, stats.written)

    return CountingDriver
