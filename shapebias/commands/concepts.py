"""`shapebias concepts`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import OnlyLayerOption, OnlyModelOption, OutputOption, StoreArgument
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import write_text
from shapebias.core.text import printable

_FORMATS = ("table", "csv", "json")


@command(
    group=Group.RESULTS,
    examples=(
        "shapebias concepts pair.zarr --plot detectors.png",
        "shapebias concepts pair.zarr --layer conv5 --format csv -o tally.csv",
    ),
)
def concepts(
    store: StoreArgument,
    model: OnlyModelOption = None,
    layer: OnlyLayerOption = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="The format of the output: table, json, or csv with the columns of NetDissect's tally.csv.",
        ),
    ] = "table",
    output: OutputOption = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|.svg", help="Draw the number of detectors of each category into this file."),
    ] = None,
) -> None:
    """Count what units detect: the detectors and unique concepts of each layer, by category."""
    if form not in _FORMATS:
        raise UsageError(f"no --format {printable(form)}: there are {', '.join(_FORMATS)}")
    from shapebias.core.analysis.dissection import count_detectors, detectors_text, tally_csv
    from shapebias.core.store.concepts import layer_concepts, read_concepts
    from shapebias.core.store.opening import open_store
    from shapebias.core.units.table import load_units

    if plot is not None:
        from shapebias.core.figures.output import check_plot_file

        check_plot_file(plot)
    opened = open_store(store)
    concepts = read_concepts(opened)
    if concepts is None:
        raise ShapebiasError(
            f"{printable(str(store))} was not dissected: make it again with `shapebias precompute --passes dissection`"
        )
    pairs = load_units(opened, model, layer).layers
    counts = count_detectors(opened, concepts, pairs)
    if form == "csv":
        if len(pairs) > 1:
            raise UsageError("a tally holds one layer: name it with --model and --layer")
        text = tally_csv(concepts, layer_concepts(opened, concepts, *pairs[0]))
    elif form == "json":
        text = json.dumps([layer.to_record() for layer in counts], indent=1) + "\n"
    else:
        text = detectors_text(counts)
    if plot is not None:
        from shapebias.core.figures.dissection import detectors_figure
        from shapebias.core.figures.output import save_figure

        save_figure(detectors_figure(counts), plot)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
