"""`shapebias compare`."""

import json
from typing import Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import AllRightOption, JsonOption, StoreArgument
from shapebias.core.errors import UsageError


@command(
    group=Group.RESULTS,
    examples=(
        "shapebias compare shapebias.zarr demo-s demo-r --metric smoothness",
        "shapebias compare s.zarr r.zarr --group S=s1,s2,s3 --group R=r1,r2,r3",
    ),
)
def compare(
    store: StoreArgument,
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL [MODEL]] | STORE...",
            help="The two models to compare, by default the first two of the store. With --group, further stores; "
            "groups can then name their models too.",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL,MODEL,...",
            help="A group of networks of one kind. Give two of them: it is tested whether they differ.",
        ),
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Compare only this metric. Repeatable.")] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The standard network: a unit of either model is an outlier if noise changes its total variation by "
            "at least 20 % of this network's mean in the layer.",
            show_default="the first of the two",
        ),
    ] = None,
    all_right: AllRightOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare two models: accuracy under each distortion, shape bias, every metric layer by layer.

    With --group: compare two groups of models, with tests over networks.
    """
    from shapebias.core.analysis.comparison import comparison, comparison_text, pair_of
    from shapebias.core.store.opening import open_store

    if group:
        if reference is not None or all_right:
            raise UsageError("--reference and --all-right compare two models: use them without --group")
        _compare_groups([store, *(others or [])], group, metric, as_json)
        return
    if others is not None and len(others) > 2:
        raise UsageError("name two models, or compare several of each kind with --group NAME=MODEL,MODEL,...")
    opened = open_store(store)
    first, second = pair_of(opened, *[*(others or []), None, None][:2])
    if as_json:
        facts = comparison(opened, first, second, metrics=metric, all_right=all_right, reference=reference)
        print(json.dumps(facts))
    else:
        text = comparison_text(opened, first, second, metrics=metric, all_right=all_right, reference=reference)
        print(text, end="")


def _compare_groups(stores: list[str], texts: list[str], metrics: list[str] | None, as_json: bool) -> None:
    from shapebias.core.analysis.groups import groups_record, groups_text, parse_groups
    from shapebias.core.store.joined import open_stores

    opened = open_stores(stores)
    groups = parse_groups(opened, texts)
    if as_json:
        print(json.dumps(groups_record(opened, groups, metrics)))
    else:
        print(groups_text(opened, groups, metrics), end="")
