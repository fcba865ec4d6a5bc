"""Turns functions into commands, and reports their errors."""

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
    """The options that stand before the command's name. `debug`: errors are shown with their traceback."""

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
class CliCommand(Generic[P]):
    """A command of the program: a function whose parameters are its options.

    run:       the function
    group:     the heading in `shapebias --help` that lists the command
    examples:  command lines at the end of the command's own help
    """

    run: Callable[P, None]
    group: Group
    examples: tuple[str, ...]


def command(group: Group, examples: tuple[str, ...]) -> Callable[[Callable[P, None]], CliCommand[P]]:
    """Return a decorator that turns a function into a command, whose errors are one line on stderr and an exit code."""
    return lambda function: CliCommand(_with_one_line_errors(function), group, examples)


def _with_one_line_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function wrapped so that a user's mistake ends the program with one line instead of a traceback."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = function(*args, **kwargs)
            sys.stdout.flush()
            return result
        except (ShapebiasError, OSError) as error:
            if program_options.debug or not _is_expected(error):
                raise
            raise typer.Exit(_report_error(error)) from error

    return wrapped


def exit_code_of(program: Callable[[], object]) -> int:
    """Run the whole program and return its exit code: what `program` returns, if that is a number, else 0.

    Any error, wrong usage and bugs included, becomes one line on stderr and an exit code. With `--debug` the error is
    raised, unless it is wrong usage of the command line.
    """
    try:
        code = program()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except Exception as error:
        if program_options.debug and not hasattr(error, "format_message"):
            raise
        return _report_error(error)


def _is_expected(error: Exception) -> bool:
    """Return whether an error is a user's mistake, or concerns the program's output: a closed pipe, a full disk."""
    if isinstance(error, OSError):
        return isinstance(error, BrokenPipeError) or (error.errno in _UNWRITABLE and error.filename is None)
    return isinstance(error, ShapebiasError)


def _report_error(error: Exception) -> int:
    """Print one line on why `error` ended the program, and return its exit code; nothing for a closed pipe."""
    if hasattr(error, "format_message"):  # an error of the command line's library: wrong usage
        message = " ".join(str(error.format_message()).split())
        say(f"{printable(message, 300)} (see --help)" if message else "see --help")
        return int(getattr(error, "exit_code", 2))
    if isinstance(error, ShapebiasError):
        say(str(error))
        return error.exit_code
    if isinstance(error, OSError) and _is_expected(error):
        with contextlib.suppress(OSError, ValueError):  # otherwise Python would try to flush again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `shapebias units ... | head` is not a mistake
            say(f"the output cannot be written: {os.strerror(error.errno or 0).lower()}")
    elif isinstance(error, typer.Abort):
        say("stopped")
    else:
        reason = printable(f"{type(error).__name__}: {error}".rstrip(": "), 240)
        say(f"an unexpected error ended the command ({reason}): see where with `shapebias --debug …`, and report it")
    return 1


def say(text: str) -> None:
    """Print a line on stderr, after the program's name; where that is not possible, do nothing."""
    with contextlib.suppress(OSError, ValueError):
        print(f"shapebias: {text}", file=sys.stderr, flush=True)


def open_missing_streams() -> None:
    """Open the empty device for missing standard streams.

    If a program is started without stdin, stdout or stderr, `sys.stdin` and so on are None, and the first file that it
    opens would get the stream's descriptor.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 (as long as the program runs)


def share_processors() -> None:
    """Configure PyTorch by environment variables that the user did not set; call it before torch is imported.

    Its waiting threads sleep, which leaves the processors to the processes that decode images. Its tensors are in large
    pages of memory, which the system provides faster.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def count(option: str, text: str, least: int) -> int | None:
    """Return the whole number in the value `text` of the option called `option`; None for `auto`.

    Raises UsageError for any other text, and for a number below `least`.
    """
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise UsageError(f"{option} {printable(text)}: write auto or a number of at least {least}")
    return int(text)
