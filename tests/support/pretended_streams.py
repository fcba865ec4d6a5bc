"""Streams and events of the pretended CUDA: what is copied on them must stay as it is until the program can know that
the copy has ended.
"""

from collections import Counter
from typing import Any

import torch

Copies = list[tuple[torch.Tensor, torch.Tensor]]  # what is copied to the GPU, and what it was then


class OverwrittenError(AssertionError):
    """Memory was written while it was copied to the GPU, or may have been."""


class Event:
    """A CUDA event. It has passed for the program once that waited for it, or for a stream that waited for it."""

    def __init__(self, counts: Counter[str], **_: Any) -> None:
        self._counts = counts
        self.copying: Copies = []

    def record(self, *_: Any) -> None:
        self._counts["event"] += 1

    def wait(self, *_: Any) -> None: ...

    def synchronize(self) -> None:
        self._counts["sync event"] += 1
        self.passes()

    def query(self) -> bool:
        return not self.copying

    def elapsed_time(self, other: "Event") -> float:
        return 1.0

    def passes(self) -> None:
        """Note that the event has passed: check that what was copied before it has not changed since.

        Raises OverwrittenError where it has.
        """
        copying, self.copying = self.copying, []
        if not all(torch.equal(source, copy) for source, copy in copying):
            raise OverwrittenError("memory was written before its copy had ended")


class PretendedStream:
    """A CUDA stream; work given to it is done at once, but the program does not know that before it waits."""

    def __init__(self, counts: Counter[str], *_: Any) -> None:
        self._counts = counts
        self.copying: Copies = []
        self.waited: list[Event] = []
        self.recorded: list[Event] = []

    def __enter__(self) -> "PretendedStream":
        return self

    def __exit__(self, *_: Any) -> None: ...

    def synchronize(self) -> None:
        self._counts["sync stream"] += 1
        self.record_event()
        for event in self.recorded:
            event.passes()
        self.passes()

    def passes(self) -> None:
        """Note that all events that this stream waited for have passed. Raises OverwrittenError as they do."""
        waited, self.waited = self.waited, []
        for event in waited:
            event.passes()

    def wait_stream(self, *_: Any) -> None: ...

    def wait_event(self, event: Event) -> None:
        self.waited.append(event)

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event(self._counts)
        event.copying, self.copying = self.copying, []
        self.recorded.append(event)
        return event
