"""`shapebias ablate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapebias.commands.common import Group, command, count, share_processors
from shapebias.commands.options import (
    CategoriesOption,
    DeviceOption,
    JsonOption,
    LabelsOption,
    StoreArgument,
    WorkersOption,
)
from shapebias.core.errors import UsageError
from shapebias.core.text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shapebias.core.shape_bias.decisions import Counts
    from shapebias.core.store.reader import Store
    from shapebias.precompute.ablation.group import GroupResult

    Chosen = dict[str, dict[str, NDArray[np.bool_]]]  # by model and layer


@command(
    group=Group.MEASURE,
    examples=(
        "shapebias ablate pair.zarr --units 'top 10% smoothness'",
        "shapebias ablate pair.zarr --plot scores.png",
    ),
)
def ablate(
    store: StoreArgument,
    units: Annotated[
        str | None,
        typer.Option(
            "--units",
            metavar="EXPR",
            help="Set the units that this expression selects to zero, all at once (see `shapebias units --filter`).",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="With --units: keep these units, and set all others of their layers to zero.")
    ] = False,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES", help="Labelled images to measure accuracy on.", show_default="those of the store"
        ),
    ] = None,
    labels: LabelsOption = None,
    cue_conflict: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES",
            help="Cue-conflict images to measure the shape bias on.",
            show_default="those of the store",
        ),
    ] = None,
    stimuli: Annotated[
        str | None,
        typer.Option(
            metavar="native|model",
            help="How cue-conflict images are prepared: see `shapebias precompute --help`.",
            show_default="as those of the store",
        ),
    ] = None,
    categories: CategoriesOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="SPEC",
            help=r"LABEL=SOURCE\[@CHECKPOINT] of a network that has moved since the store was made. Repeatable.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure accuracy on at most this many images, spread evenly.",
            show_default="the store's; no limit with --images",
        ),
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = "auto",
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png|.svg",
            help="Draw the shape score of every unit in the store against its texture score into this file; not with "
            "--units.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what networks lose without a group of units.

    Without --units: sum up the ablation scores that the store holds already.
    """
    from shapebias.core.store.opening import open_store

    opened = open_store(store)
    if units is None:
        if keep:
            raise UsageError("--keep needs units to keep: name them with --units")
        if any(option is not None for option in (images, labels, cue_conflict, stimuli, categories, model, limit)):
            raise UsageError(
                "without --units the store's own scores are summed up: leave out images, models and limits"
            )
        _summary(opened, plot, as_json)
        return
    if plot is not None:
        raise UsageError("--plot draws the store's ablation scores: use it without --units")
    chosen = _chosen(opened, units)
    share_processors()
    from shapebias.precompute.models.spec import parse_spec, parse_specs
    from shapebias.precompute.progress import console_progress

    named = {spec.label: spec for spec in parse_specs(model or [])}
    for label in named:
        opened.check_model(label)
    specs = [named.get(label) or parse_spec(f"{label}={opened.models[label].source}") for label in chosen]
    facts = opened.attributes.get("settings") or {}
    from shapebias.precompute.ablation.group import ablate_group, units_to_zero
    from shapebias.precompute.settings import Settings

    settings = Settings(
        models=specs,
        images=images or _stored_value(facts, "images") or "builtin:probe",
        labels=labels
        or (Path(stored_labels) if not images and (stored_labels := _stored_value(facts, "labels")) else None),
        store=Path(store),
        layers=_stored_value(facts, "layers") or "paper",
        limit=limit if limit is not None or images else _stored_value(facts, "limit", int),
        device=device,
        decode=_stored_value(facts, "decode") or "exact",
        precision=_stored_value(facts, "precision") or _stored_value(facts, "dtype") or "auto",
        workers=count("--workers", workers, 0),
        cue_conflict=cue_conflict or _stored_value(facts, "cue_conflict"),
        stimuli=stimuli or _stimuli(opened),
        categories=categories,
    )
    with console_progress() as progress:
        results = [
            ablate_group(opened, spec, units_to_zero(chosen[spec.label], keep), settings, progress) for spec in specs
        ]
    print(json.dumps([_record(result) for result in results], indent=1) if as_json else _text(results))


def _stimuli(store: "Store") -> str:
    """Return how the store's cue-conflict images were prepared; NATIVE where it has none."""
    from shapebias.core.shape_bias.decisions import NATIVE

    decisions = (store.cue_conflict(label) for label in store.models)
    return next((decided.stimuli for decided in decisions if decided is not None), NATIVE)


def _stored_value(facts: Any, name: str, kind: type = str) -> Any:
    """Return the setting `name` of the run that made the store; None where `facts`, its settings, has none of the type
    `kind`.
    """
    value = facts.get(name) if isinstance(facts, dict) else None
    return value if type(value) is kind else None


def _summary(store: "Store", plot: Path | None, as_json: bool) -> None:
    from shapebias.core.analysis.ablation import ablation_records, ablation_text, check_ablated, layer_ablations

    layers = layer_ablations(store)
    check_ablated(store, layers)
    if plot is not None:
        from shapebias.core.figures.output import check_plot_file, save_figure

        check_plot_file(plot)
        from shapebias.core.figures.ablation import ablation_figure

        save_figure(ablation_figure(layers), plot)
    print(json.dumps(ablation_records(layers), indent=1) if as_json else ablation_text(layers))


def _chosen(store: "Store", expression: str) -> "Chosen":
    """Return which units an expression selects, bool [units] by model and layer, without models that have none.

    Raises UsageError where the expression is wrong or selects nothing, or all units of a model.
    """
    from shapebias.core.units.filter import filter_mask
    from shapebias.core.units.saved_filters import saved_filters
    from shapebias.core.units.table import load_units

    table = load_units(store)
    mask = filter_mask(expression, table, saved_filters() if "@" in expression else None)
    option = f"--units {printable(expression, 80)}"
    if not mask.any():
        raise UsageError(f"{option} selects no unit")
    chosen: Chosen = {}
    for position, (label, layer) in enumerate(table.layers):
        chosen.setdefault(label, {})[layer] = mask[table.layer == position]
    for label, layers in chosen.items():
        if all(units.all() for units in layers.values()):
            raise UsageError(f"{option} selects every unit of {label}: nothing would be left to compare")
    return {label: layers for label, layers in chosen.items() if any(units.any() for units in layers.values())}


def _record(result: "GroupResult") -> dict[str, Any]:
    record: dict[str, Any] = {"model": result.model, "zeroed": result.zeroed, "units": result.units}
    record["labelled"] = result.labelled
    for moment, name in enumerate(("before", "after")):
        decisions = None if result.decisions is None else result.decisions[moment]
        record[name] = {
            "accuracy": None if result.accuracy is None else result.accuracy[moment],
            "shape_bias": None
            if decisions is None or not decisions.shape + decisions.texture
            else decisions.shape_bias,
            **{kind: None if decisions is None else getattr(decisions, kind) for kind in ("shape", "texture", "other")},
        }
    return record


def _text(results: "list[GroupResult]") -> str:
    lines = []
    for result in results:
        lines.append(f"{result.model}: {result.zeroed:,} of {result.units:,} units set to zero")
        if result.accuracy is not None:
            before, after = result.accuracy
            lines.append(f"  top-1 accuracy  {before:.1%} -> {after:.1%}  ({result.labelled:,} images)")
        if result.decisions is not None:
            lines.append(f"  shape bias      {_bias(result.decisions[0])} -> {_bias(result.decisions[1])}")
    return "\n".join(lines)


def _bias(counts: "Counts") -> str:
    return f"{counts.bias_text} ({counts.text()})"
