"""`shapebias image`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import JsonOption, OnlyLayerOption, OnlyModelOption, StoreArgument


@command(
    group=Group.EXPLORE,
    examples=(
        "shapebias image pair.zarr circle/circle-circle-00012.png --model demo-r --limit 3",
        "shapebias image pair.zarr 12 --layer conv5 --json",
    ),
)
def image(
    store: StoreArgument,
    name: Annotated[
        str,
        typer.Argument(metavar="IMAGE", help="The image: its path in the store, a part of the path, or its number."),
    ],
    model: OnlyModelOption = None,
    layer: OnlyLayerOption = None,
    limit: Annotated[int, typer.Option(min=1, help="The number of units shown for each layer.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Show how the models decided for one image, and which units fire most on it."""
    from shapebias.core.analysis.by_image import ImageList, image_record, image_text, on_image
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    images = ImageList(opened)
    chosen = images.names[images.position(name)]
    results = on_image(opened, chosen, model, layer, limit)
    print(json.dumps(image_record(chosen, results), indent=1) if as_json else image_text(chosen, results).rstrip())
