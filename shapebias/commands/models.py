"""`shapebias models`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import JsonOption, command


@command(example="shapebias models resnet")
def models(
    wish: Annotated[str | None, typer.Argument(metavar="[FILTER]", help="A part of a name, or a glob.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Which networks --model takes by name, and where their weights come from."""
    from dataclasses import asdict

    from shapebias.core.errors import UsageError
    from shapebias.core.text import printable
    from shapebias.precompute.models.catalogue import architectures_text, list_architectures

    found, more = list_architectures(wish)
    if not found:
        raise UsageError(f"no model has {printable(wish or '')} in its name")
    print(json.dumps([asdict(each) for each in found], indent=1) if as_json else architectures_text(found, more))
