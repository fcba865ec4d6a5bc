"""`shapebias twins`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import JsonOption, OnlyModelOption, StoreArgument, UnitArgument


@command(
    group=Group.EXPLORE,
    examples=(
        "shapebias twins pair.zarr demo-s/conv5/17 --model demo-r",
        "shapebias twins pair.zarr demo-s/conv5/17 --limit 10 --json",
    ),
)
def twins(
    store: StoreArgument,
    unit: UnitArgument,
    model: OnlyModelOption = None,
    limit: Annotated[
        int,
        typer.Option(
            min=1, help="List at most this many units of each model's layer of the same name, and of its other layers."
        ),
    ] = 3,
    as_json: JsonOption = False,
) -> None:
    """Find the units that fire on the same images: twins in other models, and similar units in its own."""
    from shapebias.core.analysis.twins import Correlator, find_twins, twins_text
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    chosen = opened.unit(unit)
    candidates = find_twins(Correlator(opened), chosen, model, limit)
    if as_json:
        print(json.dumps([candidate.to_record() for candidate in candidates], indent=1))
    else:
        print(twins_text(chosen, candidates).rstrip())
