"""Stopping a run by a signal or a time limit, so that its finished work is kept."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from shapebias.core.errors import ShapebiasError

_SIGNALS = (signal.SIGTERM, signal.SIGALRM, signal.SIGINT)
_AGAIN = 10  # seconds after which a time limit is told again, since code can swallow the exception
_SOON = 0.001  # seconds after which a stop is told again whose exception was lost in a finalizer


class RunStoppedError(ShapebiasError):
    """The run was stopped by a signal or its time limit."""


class _Stop(BaseException):
    """An exception like KeyboardInterrupt: code that handles any Exception of a damaged image or failing network does
    not catch it.
    """


@contextmanager
def signals_kept() -> Iterator[None]:
    """Restore the handlers of the signals that stop a run when the block ends. Only the main thread has any."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _lost_stops_told_again() -> Iterator[None]:
    """Tell a stop again when its exception was lost, which happens where Python cannot raise: in a finalizer or a
    callback of the garbage collector.
    """
    before = sys.unraisablehook

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if isinstance(lost.exc_value, _Stop):
            signal.setitimer(signal.ITIMER_REAL, _SOON, _AGAIN)
        else:
            before(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def stoppable(seconds: float | None) -> Iterator[None]:
    """Let SIGTERM, Ctrl-C and the end of `seconds` (None: no limit) stop the block. Only for the main thread.

    Raises RunStoppedError when stopped.
    """
    reasons: list[str] = []

    def stop(number: int, _: FrameType | None) -> None:
        over = number == signal.SIGALRM and seconds
        reasons.append(f"the time limit of {seconds:g} s is over" if over else "told to stop")
        raise _Stop

    with signals_kept(), _lost_stops_told_again():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background jobs ignore SIGINT
                signal.signal(number, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds or 0, _AGAIN)
        try:
            yield
        except BaseException as error:  # Ray makes another exception of it
            if not reasons:
                raise
            raise RunStoppedError(f"{reasons[0]}: what is done is kept, give the same command to go on") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore signals that stop a run during the block, since the run is nearly done."""
    with signals_kept():
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
        yield
