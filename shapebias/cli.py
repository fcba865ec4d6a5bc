"""The `shapebias` program, put together from its commands. Nothing slow is imported before a command runs."""

import io
import sys
from typing import Annotated, Any

import typer

import shapebias
from shapebias.commands.ablate import ablate
from shapebias.commands.attribute import attribute
from shapebias.commands.attribution import attribution
from shapebias.commands.common import CliCommand, exit_code_of, open_missing_streams, program_options
from shapebias.commands.compare import compare
from shapebias.commands.concepts import concepts
from shapebias.commands.cue_conflict import cue_conflict
from shapebias.commands.doctor import doctor
from shapebias.commands.explore import explore
from shapebias.commands.export_images import export_images
from shapebias.commands.image import image
from shapebias.commands.info import info
from shapebias.commands.layers import layers
from shapebias.commands.marks import marks
from shapebias.commands.models import models
from shapebias.commands.ood import ood
from shapebias.commands.plot import plot
from shapebias.commands.precompute import precompute
from shapebias.commands.report import report
from shapebias.commands.show import show
from shapebias.commands.train import train
from shapebias.commands.twins import twins
from shapebias.commands.units import units
from shapebias.commands.verify import verify

COMMANDS: tuple[CliCommand[...], ...] = (  # in the order of `--help`, which lists them by group
    *(precompute, attribute, ablate),
    *(explore, info, units, show, image, twins, marks),
    *(compare, report, plot, cue_conflict, ood, concepts, attribution),
    *(models, layers, train),
    *(verify, doctor, export_images),
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.command(rich_help_panel=_command.group, epilog="\n\n".join(("Examples:", *_command.examples)))(_command.run)


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
    program_options.debug = debug


def main(*arguments: Any) -> None:
    """Run the `shapebias` program, and end the process with its exit code.

    `arguments` are passed on to Typer; without them it reads those of the process.
    """
    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal shows replacements for other characters
    sys.exit(exit_code_of(lambda: app(*arguments, prog_name="shapebias", standalone_mode=False)))
