"""How a run is stopped from outside, leaving what it has done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from shapebias.core.errors import ShapebiasError

_SIGNALS = (signal.SIGTERM, signal.SIGALRM, signal.SIGINT)


class RunStoppedError(ShapebiasError):
    """The run was told to stop."""


@contextmanager
def stoppable(seconds: float | None) -> Iterator[None]:
    """In the main thread: SIGTERM, and the end of `seconds`, raise `RunStoppedError` in the block."""

    def stop(number: int, _: FrameType | None) -> None:
        why = "told to stop (SIGTERM)" if number == signal.SIGTERM else f"the time limit of {seconds:g} s is over"
        raise RunStoppedError(f"{why}: what is done is kept, give the same command to go on")

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGALRM)}
    if seconds is not None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that stop a run are ignored in the block: it is as good as done."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets them
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
