"""`shapebias layers`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import JsonOption


@command(
    group=Group.NETWORKS,
    examples=(
        "shapebias layers alexnet",
        "shapebias layers models/mine.py:build --json",
    ),
)
def layers(
    model: Annotated[
        str,
        typer.Argument(
            metavar="SPEC", help="The network, written as for `shapebias precompute --model`. Nothing is downloaded."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """List the layers of a network: units, map size, receptive field, and which are watched by default."""
    from shapebias.precompute.models.spec import check_sources, parse_spec

    spec = parse_spec(model)
    check_sources([spec])
    from shapebias.precompute.models.catalogue import describe_layers

    described = describe_layers(spec)
    print(json.dumps(described.to_json(), indent=1) if as_json else described.text())
