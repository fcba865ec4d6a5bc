"""`shapebias twins`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import JsonOption, StoreArgument, command


@command(example="shapebias twins pair.zarr demo-s/conv5/17 --model demo-r")
def twins(
    store: StoreArgument,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="MODEL/LAYER/INDEX.")],
    model: Annotated[str | None, typer.Option(help="Only units of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many of the same layer, and of the others.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """The units that fire on the same images: twins in other models, units like it in its own."""
    from shapebias.core.analysis.twins import Correlator, find_twins, twins_text
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    chosen = opened.unit(unit)
    candidates = find_twins(Correlator(opened), chosen, model, limit)
    if as_json:
        print(json.dumps([candidate.to_record() for candidate in candidates], indent=1))
    else:
        print(twins_text(chosen, candidates).rstrip())
