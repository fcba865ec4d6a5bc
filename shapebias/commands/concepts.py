"""`shapebias concepts`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from shapebias.commands.common import StoreArgument, command
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import write_text
from shapebias.core.text import printable

_FORMATS = ("table", "csv", "json")


@command(example="shapebias concepts pair.zarr --plot detectors.png")
def concepts(
    store: StoreArgument,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    layer: Annotated[str | None, typer.Option(help="Only this layer.")] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="table, json, or csv: a layer's units as NetDissect's tally.csv."
        ),
    ] = "table",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to a file.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png|.svg", help="Draw the bars.")] = None,
) -> None:
    """What units detect: detectors and unique concepts of each layer by category, models beside each other."""
    if form not in _FORMATS:
        raise UsageError(f"no --format {printable(form)}: {', '.join(_FORMATS)}")
    from shapebias.core.analysis.dissection import count_detectors, detectors_text, tally_csv
    from shapebias.core.store.concepts import layer_concepts, read_concepts
    from shapebias.core.store.opening import open_store
    from shapebias.core.units.table import load_units

    if plot is not None:
        from shapebias.core.figures.output import check_plot_file

        check_plot_file(plot)
    opened = open_store(store)
    known = read_concepts(opened)
    if known is None:
        raise ShapebiasError(
            f"{printable(str(store))} was not dissected: make it again with `shapebias precompute --passes dissection`"
        )
    pairs = load_units(opened, model, layer).layers
    counts = count_detectors(opened, known, pairs)
    if form == "csv":
        if len(pairs) > 1:
            raise UsageError("a tally is of one layer: name it with --model and --layer")
        text = tally_csv(known, layer_concepts(opened, known, *pairs[0]))
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
