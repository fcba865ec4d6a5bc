"""Runs the commands, in this process or as a shell does."""

import os
import subprocess
import sys

from typer.testing import CliRunner, Result

from shapebias.cli import app

LIGHT = """
import sys
from shapebias.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
heavy = {"torch", "torchvision", "numba"} & set(sys.modules)
print(code, sorted(heavy), file=sys.stderr)
"""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="shapebias")


def succeeds(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def fails(code: int, *arguments: object) -> str:
    """Run a command that must end with exit code `code`, and return the one line that it writes, to stderr."""
    result = invoke(*arguments)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("shapebias: ")
    assert result.stderr[:-1].isprintable()
    return result.stderr


def shell(*arguments: object, **options: object) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "COLUMNS": "200", **options.pop("env", {})}  # type: ignore[dict-item]
    command = [sys.executable, "-m", "shapebias", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, check=False, env=environment, stdin=subprocess.DEVNULL, **options
    )  # type: ignore[call-overload,no-any-return]
