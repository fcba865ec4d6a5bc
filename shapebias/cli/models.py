"""The commands about networks: models, layers."""

import json
from typing import Annotated

import typer

from shapebias.cli.common import JsonOption, app, one_line_errors


@app.command(epilog="Example: shapebias models resnet")
@one_line_errors
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


@app.command(epilog="Example: shapebias layers alexnet")
@one_line_errors
def layers(
    model: Annotated[str, typer.Argument(metavar="SPEC", help="As for `precompute --model`; nothing is downloaded.")],
    as_json: JsonOption = False,
) -> None:
    """The layers of a network: units, map size, receptive field, and which are watched by default."""
    from shapebias.precompute.models.spec import parse_spec

    spec = parse_spec(model)
    from shapebias.precompute.models.catalogue import describe_layers

    found = describe_layers(spec)
    print(json.dumps(found.to_json(), indent=1) if as_json else found.text())
