"""Measures how long a device works, without making it wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Adds up the time that a device spends on work submitted while the watch is running.

    On the CPU that is the elapsed time. CUDA works asynchronously, so there the device itself records the times, as
    events among its work; only reading `seconds` waits for it.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._seconds = 0.0
        self._intervals: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._started: float | torch.cuda.Event = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the work of the block."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the watch during the block, and let it run on afterwards. Use it only inside a block of `running`."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._started = self._event() if self._on_cuda else time.perf_counter()

    def _stop(self) -> None:
        if isinstance(self._started, float):
            self._seconds += time.perf_counter() - self._started
        else:
            self._intervals.append((self._started, self._event()))

    @staticmethod
    def _event() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # PyTorch's
        event.record()
        return event

    @property
    def seconds(self) -> float:
        """The seconds so far. On CUDA, reading it waits until all of the work is done."""
        if self._intervals:
            self._intervals[-1][1].synchronize()
            self._seconds += sum(start.elapsed_time(stop) for start, stop in self._intervals) / 1000
            self._intervals.clear()
        return self._seconds
