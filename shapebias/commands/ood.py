"""`shapebias ood`."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import DecisionsOption, ExportOption
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable

if TYPE_CHECKING:
    from shapebias.core.ood.decisions import OodObserver, SetDecisions

    Decided = dict[OodObserver, dict[str, SetDecisions]]

_FORMATS = ("table", "json", "csv")


@command(
    group=Group.RESULTS,
    examples=(
        "shapebias ood lite0.zarr --decisions model-vs-human/raw-data",
        "shapebias ood lite0.zarr --details --format csv",
    ),
)
def ood(
    stores: Annotated[
        list[str] | None,
        typer.Argument(metavar="STORE", help="Stores made with `shapebias precompute --ood NAME=IMAGES`."),
    ] = None,
    decisions: DecisionsOption = None,
    details: Annotated[
        bool, typer.Option("--details", help="Show every person and every condition in the tables too.")
    ] = False,
    export: ExportOption = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="table|json|csv",
            help="The format of the output; json and csv hold every person and condition, table only with --details.",
        ),
    ] = "table",
) -> None:
    """Give accuracies out of distribution, and who errs alike, models and people (error consistency)."""
    if form not in _FORMATS:
        raise UsageError(f"no --format {printable(form)}: there are {', '.join(_FORMATS)}")
    if not stores and not decisions:
        raise UsageError("nothing to score: name a store, or recorded decisions with --decisions")
    if export is not None and not stores:
        raise UsageError("--export writes the decisions of a store's models: name a store")
    from shapebias.core.ood.comparison import compare
    from shapebias.core.ood.report import comparison_csv, comparison_record, comparison_text

    models, problems = _stores(stores or [])
    recorded, unusable = _recorded(decisions or [], models)
    problems += unusable
    if not models and not recorded:
        raise ShapebiasError("nothing to show: " + "; ".join(problems[:3]))
    comparison = compare(models | recorded)
    problems += comparison.notes
    for problem in problems:
        print(f"shapebias: {problem}", file=sys.stderr)
    if export is not None:
        _export(export, models)
    if form == "json":
        print(json.dumps(comparison_record(comparison, problems), indent=1))
    else:
        print(comparison_csv(comparison) if form == "csv" else comparison_text(comparison, details), end="")


def _stores(paths: Sequence[str]) -> tuple["Decided", list[str]]:
    """Return the decisions of the stores' models by set, and one line for every store some of whose models have none.

    Raises StoreError where a store cannot be read.
    """
    from shapebias.core.analysis.ood import ood_decisions
    from shapebias.core.ood.decisions import OodObserver
    from shapebias.core.store.opening import open_store

    models: Decided = {}
    problems = []
    for path in dict.fromkeys(paths):
        store, name = open_store(path), printable(path)
        missing = []
        for model in store.models:
            if by_set := ood_decisions(store, model):
                models[OodObserver(model, name, is_person=False)] = by_set
            else:
                missing.append(model)
        if missing:
            problems.append(f"{name} has no decisions of {', '.join(missing)} for sets of --ood")
    return models, problems


def _recorded(paths: Sequence[Path], models: "Decided") -> tuple["Decided", list[str]]:
    """Return the recorded decisions in files and folders by observer and set, and one line for each problem.

    If there are `models`, decisions for sets that none of them was shown are left out.
    """
    from shapebias.core.ood.recorded import read_decisions
    from shapebias.core.shape_bias.categories import sixteen_classes

    sets = list(dict.fromkeys(name for by_set in models.values() for name in by_set))
    categories = [
        category for by_set in models.values() for decided in by_set.values() for category in decided.categories
    ]
    read = read_decisions(paths, list(dict.fromkeys([*sixteen_classes(), *categories])), sets)
    others = {name for by_set in read.observers.values() for name in by_set} - set(sets) if models else set()
    kept = {
        who: {name: by_set[name] for name in by_set if name not in others} for who, by_set in read.observers.items()
    }
    problems = list(read.problems)
    if others:
        problems.append(f"recorded decisions for {', '.join(sorted(others))} are left out: no store has such a set")
    return {who: by_set for who, by_set in kept.items() if by_set}, problems


def _export(folder: Path, models: Mapping["OodObserver", Mapping[str, "SetDecisions"]]) -> None:
    from shapebias.core.ood.recorded import export_decisions

    times = Counter(model.name for model in models)
    export_decisions(
        folder,
        {
            model.name if times[model.name] == 1 else f"{model.name} ({model.source})": by_set
            for model, by_set in models.items()
        },
    )
