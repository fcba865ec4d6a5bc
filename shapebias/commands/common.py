"""What the commands share: how a function becomes a command, its errors, and options that several have."""

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Generic, ParamSpec, TypeVar

import typer

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

P = ParamSpec("P")
T = TypeVar("T")

StoreArgument = Annotated[
    str, typer.Argument(help="The store, a folder made by `shapebias precompute`, or the URL of one (s3://…).")
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The images' classes: lines PATH CLASS, or a table (CSV) with path and label."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@dataclass
class ProgramOptions:
    """The options that stand before the command's name. `debug`: errors end with their traceback."""

    debug: bool = False


program_options = ProgramOptions()


@dataclass(frozen=True)
class Command(Generic[P]):
    """A command of the program: `run` takes its options, `example` is a command line that its help ends with."""

    run: Callable[P, None]
    example: str


def command(example: str) -> Callable[[Callable[P, None]], Command[P]]:
    """Makes a function a command, whose errors are one line on stderr and an exit code."""
    return lambda function: Command(_with_one_line_errors(function), example)


def _with_one_line_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function so wrapped that a user's mistake ends the program with one line instead of a traceback."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = function(*args, **kwargs)
            sys.stdout.flush()
            return result
        except ShapebiasError as error:
            if program_options.debug:
                raise
            print(f"shapebias: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:  # `shapebias units ... | head`
            sys.stderr.close()
            raise typer.Exit(1) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or error.filename is not None:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more at its end
            print(f"shapebias: the output cannot be written: {os.strerror(error.errno).lower()}", file=sys.stderr)
            raise typer.Exit(1) from error

    return wrapped


def local(store: str, what: str) -> Path:
    """The path of a store that a command can only do something with (`what`, as a verb) on this machine."""
    from shapebias.core.remote import is_url

    if is_url(store):
        raise UsageError(f"a store is {what} on this machine only, and {printable(store)} is a URL: copy the store")
    return Path(store)


def share_processors() -> None:
    """Call it before torch is imported: its threads sleep when they wait, for the processes that decode images, and its
    tensors are in large pages, which are there sooner."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def count(option: str, text: str, least: int) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise UsageError(f"{option} {printable(text)}: write auto or a number of at least {least}")
    return int(text)
