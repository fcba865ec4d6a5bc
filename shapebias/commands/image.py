"""`shapebias image`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import JsonOption, StoreArgument, command


@command(example="shapebias image pair.zarr circle/circle-circle-00012.png --model demo-r --limit 3")
def image(
    store: StoreArgument,
    name: Annotated[
        str, typer.Argument(metavar="IMAGE", help="A path in the store, a part of one, or a probe image's number.")
    ],
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    layer: Annotated[str | None, typer.Option(help="Only this layer's units.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many units a layer.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """One image: how the models decided for it, and which units fire most on it."""
    from shapebias.core.analysis.by_image import ImageList, image_record, image_text, on_image
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    images = ImageList(opened)
    chosen = images.names[images.position(name)]
    results = on_image(opened, chosen, model, layer, limit)
    print(json.dumps(image_record(chosen, results), indent=1) if as_json else image_text(chosen, results).rstrip())
