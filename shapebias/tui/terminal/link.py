"""The connection to the terminal: how many of the sent bytes it has received, and how many it receives per second.

After every few kB a question is sent that each terminal answers: where is the cursor (ECMA-48, DSR 6)? The return of a
write says little, since the kernel, ssh and sockets in between buffer hundreds of kB that no newer picture can
overtake.
"""

import math
import threading
import time
from collections import deque

_EVERY = 4000  # bytes between two questions
QUESTION = "\x1b7\x1b[2;1H\x1b[6n\x1b8"  # from row 2: an answer of row 1 could be shift-F3
_SAMPLE = 32_000  # bytes that a speed is measured with: fewer are over before a busy process looks at its clock
_SAMPLE_TIME = 0.25  # seconds after which fewer will do
_SAMPLES = 6  # number of samples, of which the fastest counts, since not only the link delays answers
_ASSUMED = 640_000  # bytes a second, as long as nothing is known
_PATIENCE = 2.0  # seconds that a question may take longer than the bytes before it
_SLOWEST = 10_000  # bytes a second


class Link:
    """Counts bytes from when they are sent until they are confirmed. Several threads may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = self._asked = self._taken = self._written = 0  # bytes since the start
        self._questions: deque[tuple[int, float]] = deque()  # those unanswered: bytes up to its end, when it was sent
        self._last = 0.0  # when the last answer came
        self._latency = math.inf  # seconds of the fastest answer
        self._bytes, self._seconds = 0, 0.0  # of the current sample
        self._speeds: deque[float] = deque(maxlen=_SAMPLES)
        self._silent = self._closed = False

    @property
    def speed(self) -> float:
        """Bytes per second that the terminal receives; infinite while that is unknown."""
        return max(self._speeds, default=math.inf) if len(self._speeds) > 1 else math.inf

    @property
    def waiting(self) -> int:
        """The number of bytes in transit: sent up to the last question, and not confirmed by an answer yet.

        For a terminal that does not answer: bytes that the kernel has not taken.
        """
        with self._lock:
            if self._questions:
                position, when = self._questions[0]
                slowest = min(self.speed, _SLOWEST)
                silence = time.perf_counter() - max(when, self._last)
                self._silent = silence > _PATIENCE + (position - self._taken) / slowest
            return self._sent - self._written if self._silent else self._asked - self._taken

    def takes_within(self, seconds: float) -> float:
        """Return how many bytes the terminal receives in `seconds` seconds; infinite while its speed is unknown."""
        return seconds * self.speed

    def has_room(self, seconds: float) -> bool:
        """Return whether no more bytes are in transit than the terminal receives in `seconds`, plus its answer's delay.

        The delay is that of its fastest answer so far. While its speed is unknown, 640 kB/s are assumed.
        """
        speed = min(self.speed, 1e9) if len(self._speeds) > 1 else _ASSUMED
        return self.waiting <= speed * (seconds + (self._latency if self._latency < math.inf else 0))

    def sending(self, data: str, ask: bool = False) -> str:
        """Return the text to send in place of `data`, and count it: with a question behind it where one is due, or with
        `ask`.

        No question is added after `close`, nor for a terminal that does not answer.
        """
        with self._lock:
            self._sent += len(data)
            if self._silent or self._closed or not (ask or self._sent - self._asked >= _EVERY):
                return data
            self._sent += len(QUESTION)
            self._asked = self._sent
            self._questions.append((self._sent, time.perf_counter()))
            return data + QUESTION

    def written(self, count: int) -> None:
        """Record that the kernel has taken `count` bytes: all that is known of a terminal that does not answer."""
        with self._lock:
            self._written += count

    def answered(self) -> None:
        """Record that the terminal has answered the oldest question."""
        now = time.perf_counter()
        with self._lock:
            if not self._questions:
                return
            position, when = self._questions.popleft()
            self._silent = False
            self._latency = min(self._latency, now - when)
            self._seconds += max(0.0, now - max(when + self._latency, self._last))
            self._bytes += position - self._taken
            self._taken, self._last = position, now
            if self._bytes >= _SAMPLE or self._seconds >= _SAMPLE_TIME:
                self._speeds.append(self._bytes / max(self._seconds, 1e-4))
                self._bytes, self._seconds = 0, 0.0

    def open(self) -> None:
        """Start asking questions, since the terminal answers from now on."""
        with self._lock:
            self._closed = False
            self._taken = self._written = self._asked = self._sent
            self._questions.clear()

    def close(self, timeout: float) -> None:
        """Stop asking, and wait at most `timeout` seconds for the remaining answers, which the shell would otherwise
        get as keys.
        """
        self._closed = True
        deadline = time.perf_counter() + timeout
        while self._questions and not self._silent and time.perf_counter() < deadline:
            time.sleep(0.005)
