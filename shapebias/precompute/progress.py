"""A progress bar with images per second and time left, shown on a terminal only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from shapebias.core.text import printable


class Reporter(Protocol):
    """Receives the progress of a run."""

    def stage(self, title: str, total: int | None = None, unit: str = "images") -> None:
        """Begin a new stage, `what`, of `total` steps, None if unknown; `unit` is what steps are counted in."""

    def advance(self, steps: int) -> None:
        """Count some steps of the stage as done."""


class Silent:
    """A reporter that shows nothing, for output that goes to a pipe or a file."""

    def stage(self, title: str, total: int | None = None, unit: str = "images") -> None:
        """Ignore the new stage."""

    def advance(self, steps: int) -> None:
        """Ignore the steps."""


SILENT = Silent()


class _Speed(ProgressColumn):
    """The column with the steps in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} {task.fields['unit']}/s" if speed and task.total else "", style="cyan")


class _Bar:
    """A reporter that shows the stage in rich's progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, unit="")

    def stage(self, title: str, total: int | None = None, unit: str = "images") -> None:
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(printable(title, 40), total=total, unit=unit)

    def advance(self, steps: int) -> None:
        self._progress.advance(self._task, steps)


@contextmanager
def console_progress() -> Iterator[Reporter]:
    """Yield a reporter that shows a bar on stderr during the block, or nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield Silent()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress)
