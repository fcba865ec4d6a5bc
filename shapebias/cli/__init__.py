"""The commands, one module each. They import what they need when they run: `--help` and `explore` never load torch."""

import io
import sys
from typing import Any

from shapebias.cli.common import app

# isort: off
# ruff: noqa: F401 (imported for their commands, in the order of `--help`)
from shapebias.cli import precompute, stores, compare, plot, concepts, cue_conflict, ablate, twins, image
from shapebias.cli import models, train, images, verify, doctor

# isort: on

__all__ = ["app", "main"]


def main(*arguments: Any) -> None:
    """The `shapebias` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal shows what it can
    app(*arguments, prog_name="shapebias")
