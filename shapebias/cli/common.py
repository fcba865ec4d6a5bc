"""What the commands share: the app, its errors, and options that several have."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

import shapebias
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

P = ParamSpec("P")
T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_debug = False

StoreArgument = Annotated[
    str, typer.Argument(help="The store, a folder made by `shapebias precompute`, or the URL of one (s3://…).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def one_line_errors(command: Callable[P, T]) -> Callable[P, T]:
    """A user's mistake ends a command with one line on stderr and an exit code, not with a traceback."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except ShapebiasError as error:
            if _debug:
                raise
            print(f"shapebias: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:  # `shapebias units ... | head`
            sys.stderr.close()
            raise typer.Exit(1) from error

    return wrapped


def _print_version(wanted: bool) -> None:
    if wanted:
        print(shapebias.__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Look inside a CNN from a terminal: every unit's activations, statistics and top images."""
    global _debug
    _debug = debug


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
