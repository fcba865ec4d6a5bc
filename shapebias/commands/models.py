"""`shapebias models`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import JsonOption


@command(
    group=Group.NETWORKS,
    examples=(
        "shapebias models",
        "shapebias models 'resnet*'",
    ),
)
def models(
    wish: Annotated[
        str | None, typer.Argument(metavar="[FILTER]", help="List only names that contain this, or match this glob.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the networks that --model takes by name, and where their weights come from."""
    from dataclasses import asdict

    from shapebias.core.errors import UsageError
    from shapebias.core.text import printable
    from shapebias.precompute.models.catalogue import architectures_text, list_architectures

    found, more = list_architectures(wish)
    if not found:
        raise UsageError(f"no model has {printable(wish or '')} in its name")
    print(json.dumps([asdict(each) for each in found], indent=1) if as_json else architectures_text(found, more))
