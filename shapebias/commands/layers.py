"""`shapebias layers`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import JsonOption, command


@command(example="shapebias layers alexnet")
def layers(
    model: Annotated[str, typer.Argument(metavar="SPEC", help="As for `precompute --model`; nothing is downloaded.")],
    as_json: JsonOption = False,
) -> None:
    """The layers of a network: units, map size, receptive field, and which are watched by default."""
    from shapebias.precompute.models.spec import check_sources, parse_spec

    spec = parse_spec(model)
    check_sources([spec])
    from shapebias.precompute.models.catalogue import describe_layers

    found = describe_layers(spec)
    print(json.dumps(found.to_json(), indent=1) if as_json else found.text())
