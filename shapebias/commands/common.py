"""What all commands share: how a function becomes a command, and how its errors are said."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import Generic, ParamSpec, TypeVar

import typer

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class ProgramOptions:
    """The options that stand before the command's name. `debug`: errors end with their traceback."""

    debug: bool = False


program_options = ProgramOptions()


class Group(StrEnum):
    """The headings of `shapebias --help`, in its order."""

    MEASURE = "Measure"
    EXPLORE = "Explore"
    RESULTS = "Results"
    NETWORKS = "Networks"
    MAINTENANCE = "Maintenance"


@dataclass(frozen=True)
class Command(Generic[P]):
    """A command of the program: a function whose parameters are its options.

    `run` is the function, `group` the heading of `shapebias --help` that the command stands under, and `examples` are
    the command lines that its own help ends with.
    """

    run: Callable[P, None]
    group: Group
    examples: tuple[str, ...]


def command(group: Group, examples: tuple[str, ...]) -> Callable[[Callable[P, None]], Command[P]]:
    """Return a decorator that makes a function a command, whose errors are one line on stderr and an exit code."""
    return lambda function: Command(_with_one_line_errors(function), group, examples)


def _with_one_line_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function so wrapped that a user's mistake ends the program with one line instead of a traceback."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = function(*args, **kwargs)
            sys.stdout.flush()
            return result
        except (ShapebiasError, OSError) as error:
            if program_options.debug or not _is_expected(error):
                raise
            raise typer.Exit(_said(error)) from error

    return wrapped


def exit_code_of(program: Callable[[], object]) -> int:
    """Run the whole program and return its exit code. Whatever ends it, wrong usage and mistakes in it included, is one
    line on stderr, unless `--debug` asks for the traceback."""
    try:
        code = program()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except Exception as error:
        if program_options.debug and not hasattr(error, "format_message"):
            raise
        return _said(error)


def _is_expected(error: Exception) -> bool:
    """Whether an error is a user's mistake, or of the program's output: a closed pipe, a full disk."""
    if isinstance(error, OSError):
        return isinstance(error, BrokenPipeError) or (error.errno in _UNWRITABLE and error.filename is None)
    return isinstance(error, ShapebiasError)


def _said(error: Exception) -> int:
    """Say in one line what ended the program, and return its exit code."""
    if hasattr(error, "format_message"):  # of the command line's library: wrong usage
        message = " ".join(str(error.format_message()).split())
        say(f"{printable(message, 300)} (see --help)" if message else "see --help")
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, ShapebiasError):
        say(str(error))
        return error.exit_code
    if isinstance(error, OSError) and _is_expected(error):
        with contextlib.suppress(OSError, ValueError):  # or Python would try once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `shapebias units ... | head` is no mistake
            say(f"the output cannot be written: {os.strerror(error.errno or 0).lower()}")
    elif isinstance(error, typer.Abort):
        say("stopped")
    else:
        reason = printable(f"{type(error).__name__}: {error}".rstrip(": "), 240)
        say(f"it cannot go on ({reason}): `shapebias --debug …` shows where; if it is a mistake of ours, report it")
    return 1


def say(text: str) -> None:
    """Print a line on stderr, if that can be."""
    with contextlib.suppress(OSError, ValueError):
        print(f"shapebias: {text}", file=sys.stderr, flush=True)


def open_missing_streams() -> None:
    """Give a program that was started without stdin, stdout or stderr empty ones: else Python has none, and the first
    file that is opened gets their place."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 (as long as the program runs)


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
