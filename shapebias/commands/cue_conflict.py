"""`shapebias cue-conflict`."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import DecisionsOption, ExportOption, JsonOption
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import write_text
from shapebias.core.text import printable

if TYPE_CHECKING:
    from shapebias.core.shape_bias.decisions import Decisions
    from shapebias.core.shape_bias.observers import Observer


@command(
    group=Group.RESULTS,
    examples=(
        "shapebias cue-conflict alexnet.zarr --decisions recorded --plot shape-bias.png",
        "shapebias cue-conflict pair.zarr --categories --csv shape-bias.csv",
    ),
)
def cue_conflict(
    stores: Annotated[
        list[str] | None,
        typer.Argument(metavar="STORE", help="Stores made with `shapebias precompute --cue-conflict`."),
    ] = None,
    decisions: DecisionsOption = None,
    categories: Annotated[bool, typer.Option("--categories", help="Show the shape bias of each category too.")] = False,
    export: ExportOption = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png|.svg", help="Draw a figure of the shape bias by category into this file."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every count and shape bias into a CSV file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether models decide by shape or by texture where the two disagree, beside people."""
    if not stores and not decisions:
        raise UsageError("nothing to score: name a store, or recorded decisions with --decisions")
    if export is not None and not stores:
        raise UsageError("--export writes the decisions of a store's models: name a store")
    from shapebias.core.figures.output import check_plot_file
    from shapebias.core.shape_bias.observers import (
        bias_csv,
        bias_text,
        categories_text,
        choice_text,
        choices_of,
        observer_record,
        published_beside,
    )

    if plot is not None:
        check_plot_file(plot)
    models, problems = _stores(stores or [])
    choices = choices_of(decisions.categories for decisions in models.values())
    people, recorded = _recorded(decisions or [], models, problems, choices)
    observers = [*people, *_models(models), *recorded]
    if not observers:
        raise ShapebiasError("nothing to show: " + "; ".join(problems[:3]))
    for problem in problems:
        print(f"shapebias: {problem}", file=sys.stderr)
    compared = [*published_beside(choices), *observers]
    if export is not None:
        _export(export, models)
    if csv is not None:
        write_text(csv, bias_csv(compared))
    if plot is not None:
        from shapebias.core.figures.output import save_figure
        from shapebias.core.figures.shape_bias import shape_bias_figure

        save_figure(shape_bias_figure(compared), plot)
    if as_json:
        records = [observer_record(observer) for observer in compared]
        print(json.dumps({"observers": records, "problems": problems}, indent=1))
    else:
        print(bias_text(compared) + (f"\n{categories_text(compared)}" if categories else ""), end="")
        for choice in choices:
            if choice is not None:
                print(choice_text(choice))


def _stores(paths: Sequence[str]) -> tuple[dict[tuple[str, str], "Decisions"], list[str]]:
    """Return the decisions by (model's label, store's path), and a line for every store some of whose models have none.

    Raises StoreError where a store cannot be read.
    """
    from shapebias.core.store.opening import open_store

    by_model, problems = {}, []
    for path in dict.fromkeys(paths):
        store, name = open_store(path), printable(path)
        missing = []
        for model in store.models:
            decisions = store.cue_conflict(model)
            if decisions is None:
                missing.append(model)
            else:
                by_model[model, name] = decisions
        if missing:
            problems.append(f"{name} has no cue-conflict decisions of {', '.join(missing)}")
    return by_model, problems


def _recorded(
    paths: Sequence[Path],
    models: dict[tuple[str, str], "Decisions"],
    problems: list[str],
    choices: Sequence[Sequence[str] | None],
) -> tuple[list["Observer"], list["Observer"]]:
    """Return people, all together as one observer, and each other subject of recorded decisions, for each choice of
    categories (see `choices_of`).

    `models` are the decisions of stores, whose categories count, too. Adds to `problems` what cannot be used.
    """
    from shapebias.core.shape_bias.categories import sixteen_classes
    from shapebias.core.shape_bias.decision_files import is_person
    from shapebias.core.shape_bias.decisions import pool
    from shapebias.core.shape_bias.observers import observe_among
    from shapebias.core.shape_bias.recorded import read_decisions

    categories = [name for decisions in models.values() for name in decisions.categories]
    read = read_decisions(paths, list(dict.fromkeys([*sixteen_classes(), *categories])))
    problems += read.problems
    persons = [decisions for subject, decisions in read.subjects.items() if is_person(subject)]
    others = {subject: decisions for subject, decisions in read.subjects.items() if not is_person(subject)}
    source = "recorded"
    name = f"people ({len(persons)})"
    people = observe_among(name, source, True, pool(persons), choices) if persons else []
    return people, [
        observer
        for subject, decisions in others.items()
        for observer in observe_among(subject, source, False, decisions, choices)
    ]


def _models(models: dict[tuple[str, str], "Decisions"]) -> list["Observer"]:
    from shapebias.core.shape_bias.observers import observe

    return [observe(label, store, False, decisions) for (label, store), decisions in models.items()]


def _export(folder: Path, models: dict[tuple[str, str], "Decisions"]) -> None:
    from shapebias.core.shape_bias.recorded import export_decisions

    times = Counter(label for label, _ in models)
    names = {(label, store): label if times[label] == 1 else f"{label} ({store})" for label, store in models}
    export_decisions(folder, {names[key]: decisions for key, decisions in models.items()})
