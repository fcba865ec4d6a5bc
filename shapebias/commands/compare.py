"""`shapebias compare`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import JsonOption, StoreArgument, command


@command(example="shapebias compare shapebias.zarr demo-s demo-r --metric smoothness")
def compare(
    store: StoreArgument,
    first: Annotated[str | None, typer.Argument(metavar="MODEL", help="The first of the store without it.")] = None,
    second: Annotated[str | None, typer.Argument(metavar="MODEL", help="The second of the store without it.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric. Repeatable.")] = None,
    all_right: Annotated[
        bool, typer.Option("--all-right", help="Accuracy only over images that all models get right when clean.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Two models side by side: accuracy under each distortion, shape bias, every metric layer by layer."""
    from shapebias.core.analysis.comparison import comparison, comparison_text, pair_of
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    one, two = pair_of(opened, first, second)
    if as_json:
        print(json.dumps(comparison(opened, one, two, metrics=metric, all_right=all_right)))
    else:
        print(comparison_text(opened, one, two, metrics=metric, all_right=all_right), end="")
