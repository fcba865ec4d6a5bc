"""`shapebias info`."""

import json

from shapebias.commands.common import Group, command
from shapebias.commands.options import JsonOption, StoreArgument


@command(
    group=Group.EXPLORE,
    examples=(
        "shapebias info lite0.zarr",
        "shapebias info s3://bucket/lite0.zarr --json",
    ),
)
def info(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Describe what a store holds: models, layers, images, accuracy."""
    from shapebias.core.analysis.describe import store_facts, store_text
    from shapebias.core.paper.claims import story
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    if as_json:
        print(json.dumps(store_facts(opened), indent=1))
    else:
        print(store_text(opened))
        if lines := story(opened):
            print("", *lines, sep="\n")
