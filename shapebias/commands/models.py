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
    pattern: Annotated[
        str | None, typer.Argument(metavar="[FILTER]", help="List only names that contain this, or match this glob.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the networks that --model takes by name, and where their weights come from."""
    from dataclasses import asdict

    from shapebias.core.errors import UsageError
    from shapebias.core.text import printable
    from shapebias.precompute.models.catalogue import architectures_text, list_architectures

    architectures, more = list_architectures(pattern)
    if not architectures:
        raise UsageError(f"no model has {printable(pattern or '')} in its name")
    print(
        json.dumps([asdict(architecture) for architecture in architectures], indent=1)
        if as_json
        else architectures_text(architectures, more)
    )
