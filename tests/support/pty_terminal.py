"""A program in a real pseudo-terminal that answers like an xterm with sixel graphics, every byte kept with its time."""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

_TICK = 0.005  # seconds between two reads of a slow line
_QUESTION = re.compile(rb"\x1b\[(?:c|0c|(1[468])t|6n|\?(\d+)\$p)")
_PART_OF_QUESTION = re.compile(rb"\x1b(?:\[[?\d$]*)?\Z")  # the rest is in the next chunk
_MODES = {2026: 2}  # DECRQM: synchronised output is known and off; all others (2048: resizes in band) are unknown
_SIXEL = re.compile(rb"(?:\x1b\[(\d+);(\d+)H)?(\x1bP[\d;]*q(?:\"\d+;\d+;(\d+);(\d+))?[^\x1b]*\x1b\\)")
_CONTROL = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[P_\]X^][^\x1b\x07]*(?:\x1b\\|\x07)|[ -/]*[0-~])")


@dataclass(frozen=True)
class Sixel:
    """A sixel string as the terminal got it: its place is the cell (row, column) from 1 of the cursor move right before
    it, None without one; `size` the raster attributes' (width, height) in pixels; `time` when its last byte came."""

    data: bytes
    position: tuple[int, int] | None
    size: tuple[int, int] | None
    time: float


class PtyTerminal:
    """Runs a command in a terminal of columns x rows cells of `cell` (width, height) pixels. Times are monotonic.

    `speed`: a line that takes so many bytes a second. `silent`: a terminal that answers nothing. `answers`: what a
    terminal of another kind says to questions, by their bytes.

    >>> with PtyTerminal(["shapebias", "explore", "lite0.zarr"], 160, 40) as terminal:
    ...     terminal.wait_for(lambda: b"conv_stem" in terminal.text_since(0))
    ...     mark = terminal.mark()
    ...     terminal.press("j")
    ...     terminal.wait_quiet(0.2)
    ...     print(len(terminal.sixels_since(mark)))
    """

    def __init__(
        self,
        command: Sequence[str],
        columns: int,
        rows: int,
        cell: tuple[int, int] = (8, 16),
        environment: Mapping[str, str] | None = None,
        speed: float | None = None,
        silent: bool = False,
        answers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.columns, self.rows, self.cell = columns, rows, cell
        self._speed, self._silent, self._answers = speed, silent, dict(answers or {})
        questions = [re.escape(question) for question in self._answers] + [_QUESTION.pattern]
        self._question = re.compile(b"|".join(questions))
        self._chunks: list[tuple[float, bytes]] = []
        self._master, self._slave = os.openpty()
        self._wake = os.pipe()  # a byte in it ends the reader's thread
        self.resize(columns, rows)
        variables = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | dict(environment or {})
        variables.pop("NO_COLOR", None)
        for name in ("TMUX", "STY", "LC_TERMINAL", "TERM_PROGRAM"):  # of the terminal that the tests run in
            variables.pop(name, None)
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            list(command),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=variables,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        self._reader = threading.Thread(target=self._read, name="pty", daemon=True)
        self._reader.start()

    def __enter__(self) -> "PtyTerminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size, in cells; the program gets SIGWINCH."""
        self.columns, self.rows = columns, rows
        width, height = columns * self.cell[0], rows * self.cell[1]
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))

    def press(self, key: str) -> float:
        """Write the bytes that the key sends; return the time just before."""
        now = time.monotonic()
        os.write(self._master, key.encode())
        return now

    def is_cooked(self) -> bool:
        """Return whether the terminal edits lines, echoes keys and makes signals of Ctrl-C and Ctrl-Z."""
        flags = termios.tcgetattr(self._slave)[3]
        return all(flags & flag for flag in (termios.ICANON, termios.ECHO, termios.ISIG, termios.IEXTEN))

    def stop_reading(self) -> None:
        """Make the terminal take nothing from now on."""
        os.write(self._wake[1], b"x")
        self._reader.join()

    def hang_up(self) -> None:
        """Hang up, as when a window is closed or ssh loses its connection."""
        self.stop_reading()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)
        self._master = -1

    def close(self) -> None:
        """End the program, where it still runs, and the terminal."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self._master >= 0:
            self.hang_up()
        for descriptor in self._wake:
            os.close(descriptor)

    # What came

    def mark(self) -> int:
        """Return the present end of the output, for the functions with `mark`; 0 is its start."""
        return len(self._chunks)

    def output_since(self, mark: int) -> bytes:
        """Return all bytes since the mark."""
        return b"".join(data for _, data in self._chunks[mark:])

    def text_since(self, mark: int) -> bytes:
        """Return the output since the mark without escape sequences and pictures: what was written, not where."""
        return _CONTROL.sub(b"", self.output_since(mark))

    def sixels_since(self, mark: int) -> list[Sixel]:
        """Return the complete sixel strings since the mark, in order."""
        chunks = self._chunks[mark:]
        pictures = []
        chunk, end = 0, len(chunks[0][1]) if chunks else 0
        for match in _SIXEL.finditer(b"".join(data for _, data in chunks)):
            while end < match.end():
                chunk += 1
                end += len(chunks[chunk][1])
            position = (int(match[1]), int(match[2])) if match[1] else None
            size = (int(match[4]), int(match[5])) if match[4] else None
            pictures.append(Sixel(match[3], position, size, chunks[chunk][0]))
        return pictures

    def time_of_text(self, text: bytes | re.Pattern[bytes], mark: int = 0) -> float | None:
        """Return when the text was first in the output since the mark, without escape sequences; None if never."""
        pattern = text if isinstance(text, re.Pattern) else re.compile(re.escape(text))
        output = b""
        for when, data in self._chunks[mark:]:
            output += data
            if pattern.search(_CONTROL.sub(b"", output)):
                return when
        return None

    def time_of_last_byte(self, mark: int) -> float:
        """Return when the last byte since the mark came. Raises ValueError if none did."""
        return max(when for when, _ in self._chunks[mark:])

    # Waiting

    def wait_for(self, condition: Callable[[], bool], timeout: float = 20.0) -> bool:
        """Wait until the condition holds; return whether it did within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not (holds := condition()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return holds

    def wait_quiet(self, seconds: float, timeout: float = 20.0) -> bool:
        """Wait until no byte has come for `seconds`, counted from now at the earliest.

        Returns whether that was so within `timeout` seconds.
        """
        start = time.monotonic()
        deadline = start + timeout
        while (now := time.monotonic()) < deadline:
            last = max(start, self._chunks[-1][0] if self._chunks else start)
            if now - last >= seconds:
                return True
            time.sleep(min(seconds - (now - last), deadline - now))
        return False

    # The reader's thread

    def _read(self) -> None:
        rest, free = b"", 0.0
        size = 1 << 16 if self._speed is None else max(1, int(self._speed * _TICK))
        while True:
            ready, _, _ = select.select([self._master, self._wake[0]], [], [])
            if self._wake[0] in ready:
                return
            data = os.read(self._master, size)
            if self._speed is not None:
                free = max(free, time.monotonic()) + len(data) / self._speed
                time.sleep(max(0.0, free - time.monotonic()))
            self._chunks.append((time.monotonic(), data))
            if (b"\x1b" in data or rest) and not self._silent:
                rest = self._answer(rest + data)

    def _answer(self, data: bytes) -> bytes:
        """Answer the questions in the data; return the beginning of a question that the data ends with."""
        for question in self._question.finditer(data):
            os.write(self._master, self._answer_to(question))
        part = _PART_OF_QUESTION.search(data)
        return part[0] if part else b""

    def _answer_to(self, question: re.Match[bytes]) -> bytes:
        width, height = self.cell
        if question[0] in self._answers:
            return self._answers[question[0]]
        if question[2]:
            mode = int(question[2])
            return b"\x1b[?%d;%d$y" % (mode, _MODES.get(mode, 0))
        if question[1]:
            size = {b"14": (4, self.rows * height, self.columns * width), b"16": (6, height, width)}
            return b"\x1b[%d;%d;%dt" % size.get(question[1], (8, self.rows, self.columns))
        return b"\x1b[2;1R" if question[0].endswith(b"n") else b"\x1b[?62;4;22c"


def _take_terminal() -> None:
    """Make standard input the terminal that /dev/tty is, in the child."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
