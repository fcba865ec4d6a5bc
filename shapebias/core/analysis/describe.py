"""The contents of a store, as facts for scripts and as text."""

from typing import Any

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.chance import chance_text, class_diversity_by_chance
from shapebias.core.analysis.comparison import record, shape_bias_record, summarize
from shapebias.core.analysis.criteria import criteria, criteria_notes, criteria_rows
from shapebias.core.analysis.dissection import dissection_facts
from shapebias.core.analysis.ood import ood_record, ood_sentence
from shapebias.core.concepts import PUBLISHED
from shapebias.core.shape_bias.observers import (
    Observer,
    bias_sentence,
    choices_of,
    observe,
    published_beside,
    saw_other_images,
)
from shapebias.core.store import schema
from shapebias.core.store.errors import damaged
from shapebias.core.store.reader import Store
from shapebias.core.store.remote import read_metrics_ahead
from shapebias.core.text import aligned, printable

_SHOWN_SKIPPED = 10


def store_facts(store: Store) -> dict[str, Any]:
    """Return what a store holds, ready for JSON: how it was made, its images, and its models with their results.

    Raises StoreError.
    """
    read_metrics_ahead(store, [(label, name) for label in store.models for name in store.layers(label)])
    accuracy = accuracies(store)
    return {
        "store": printable(str(store.path), 4096),
        **{key: store.attributes.get(key) for key in ("version", "shapebias_version", "created", "settings", "device")},
        "images": len(store.labels),
        "labelled": int((store.labels >= 0).sum()),
        "classes": len(store.class_names),
        "skipped": store.skipped,
        "notes": [note for part in store.parts for note in _notes(part.store)],
        "class_diversity_by_chance": _chance(store),
        "dissection": dissection_facts(store),
        "rulers": [ruler.to_attributes() for ruler in rulers_of(store)],
        "criteria": criteria(store).to_record(),
        "models": [
            {
                **model.facts(),
                "units": sum(layer.units for layer in store.layers(label).values()),
                "accuracy": [record(row) for row in accuracy if row.model == label],
                "layers": [
                    {
                        **layer.facts(),
                        "faint_units": _faint_units(store, label, name),
                        "summary": _summaries(store, label, name),
                    }
                    for name, layer in store.layers(label).items()
                ],
                "cue_conflict": shape_bias_record(store, label),
                "attribution": _attribution_facts(store, label),
                "ood": ood_record(store, label),
            }
            for label, model in store.models.items()
        ],
    }


def _attribution_facts(store: Store, model: str) -> dict[str, Any] | None:
    """Return how many images were explained, for which output, and how every method was run, ready for JSON.

    Returns None where the model has no attribution maps.
    """
    attribution = store.attribution(model)
    if attribution is None:
        return None
    explained = int((attribution.target >= 0).sum())
    methods = [method.to_attributes() for method in attribution.methods.values()]
    return {"images": explained, "target": attribution.images.target_rule, "methods": methods}


def _notes(store: Store) -> list[str]:
    """Return the messages that the user got during the run that made a single store; empty for an early store."""
    notes = store.attributes.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise damaged(store.path, "its notes are not text", "attributes")
    return notes


def _chance(store: Store) -> dict[str, Any] | None:
    """Return the expected class diversity of random images, as many as a top list of the store's first layer has.

    Returns None where it is unknown, as without labels.
    """
    first = next(iter(store.models))
    chance = class_diversity_by_chance(store, first, next(iter(store.layers(first))))
    return None if chance is None or chance[1] != chance[1] else {"images": chance[0], "classes": chance[1]}


def rulers_of(store: Store) -> list[schema.Ruler]:
    """Return the networks that visual diversity was measured with, each once, over all joined stores.

    Raises StoreError where they are inconsistent.
    """
    rulers = [ruler for part in store.parts for ruler in _own_rulers(part.store)]
    return list(dict.fromkeys(rulers))


def _own_rulers(store: Store) -> list[schema.Ruler]:
    if "rulers" not in store.attributes:  # an early store, which does not name the networks that measured similarity
        model = next(iter(store.models.values()))
        return [
            schema.Ruler(
                label=model.label, source=model.source, weights_sha256=model.weights_sha256, layer=model.layers[-1]
            )
        ]
    try:
        return [schema.Ruler.from_attributes(ruler) for ruler in store.attributes["rulers"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise damaged(store.path, "its rulers lack facts about their networks", "attributes") from error


def _summaries(store: Store, model: str, layer: str) -> dict[str, dict[str, Any]]:
    """Return mean, median and quartiles of every metric over a layer's living units, by the metric's name."""
    return {name: record(summarize(store, model, layer, name)) for name in store.metric_names(model, layer)}


def store_text(store: Store) -> str:
    """Return the contents of a store as a few lines of text."""
    facts = store_facts(store)
    created, version = printable(str(facts["created"])), printable(str(facts["shapebias_version"]))
    labels = f"{facts['labelled']:,} with labels" if facts["labelled"] else "no labels"
    lines = [
        f"{facts['store']}: version {facts['version']}, made {created} by shapebias {version}",
        f"{facts['images']:,} images, {labels}, {len(facts['skipped']):,} skipped",
    ]
    lines += device_lines(facts["device"])
    if facts["class_diversity_by_chance"] is not None:
        chance = facts["class_diversity_by_chance"]
        lines.append(f"class diversity {chance_text((chance['images'], chance['classes']))}")
    if facts["dissection"] is not None:
        lines += dissection_lines(facts["dissection"])
    lines.append(f"visual diversity by {rulers_text(store)}")
    lines += _criteria_lines(store)
    for model in facts["models"]:
        lines += ["", *_model_lines(model)]
    if facts["notes"]:
        lines += ["", "notes:", *(f"  {printable(note, 2000)}" for note in facts["notes"])]
    if facts["skipped"]:
        lines += ["", *_skipped_lines(facts["skipped"])]
    return "\n".join(lines)


def category_choices(store: Store) -> list[list[str] | None]:
    """Return the choices of categories by which the models can be compared with people, each once.

    A choice is None for all sixteen, or lists those among which models decided (see `choices_of`). Raises StoreError.
    """
    decided = [store.cue_conflict(label) for label in store.models]
    return choices_of(decisions.categories for decisions in decided if decisions is not None)


def observers_of(store: Store) -> list[Observer]:
    """Return the models that decided for cue-conflict images, and published people for the same categories of images.

    Raises StoreError.
    """
    decided = {label: store.cue_conflict(label) for label in store.models}
    models = [observe(label, "", False, decisions) for label, decisions in decided.items() if decisions is not None]
    people = [person for person in published_beside(category_choices(store)) if person.is_people]
    people = [person for person in people if models and not saw_other_images(person, models)]
    return [*models, *people]


def preprocessing_text(facts: dict[str, Any]) -> str:
    """Return the facts of a model's preprocessing, as its store has them, on one line."""
    pieces = []
    for name, value in facts.items():
        if isinstance(value, dict):
            pieces += [f"{part} {part_value}" for part, part_value in value.items()]
        elif isinstance(value, list):
            pieces.append(f"{name} {' '.join(map(str, value))}")
        elif value is not None:
            pieces.append(f"{name} {value}")
    return printable(", ".join(pieces), 300)


def device_lines(device: Any) -> list[str]:
    """Return one line that names the device on which a store was made; an empty list for an early store.

    `device` is the attribute of the store, which early stores do not have.
    """
    if not isinstance(device, dict) or not device:
        return []
    names = ", ".join(printable(str(name), 60) for name in device.get("gpus") or ["the CPU"])
    precision, version = (printable(str(device.get(name)), 40) for name in ("precision", "torch"))
    return [f"measured on {names}, precision {precision}, PyTorch {version}"]


def _criteria_lines(store: Store) -> list[str]:
    """Return the lines of the criteria's table and of its notes; no line where only accuracies are known."""
    results = criteria(store)
    return ["", *aligned(criteria_rows(results)).splitlines(), *criteria_notes(results)] if results.has_more else []


def _faint_units(store: Store, model: str, layer: str) -> int:
    """Return how many living units of a layer never exceed the range where float16 has full precision.

    The stored activations of these units for each image are coarse or 0. Returns 0 where none are stored.
    """
    kept = any(store.layer_has(model, layer, f"activations/{kind}") for kind in ("max", "mean"))
    if not kept or "max" not in store.metric_names(model, layer):
        return 0
    largest = store.metric(model, layer, "max")
    return int(((largest > 0) & (largest < schema.FAINT)).sum())


def rulers_text(store: Store) -> str:
    """Return a text that names the networks that visual diversity was measured with."""
    names = [f"{printable(ruler.label, 40)} {printable(ruler.layer, 40)}" for ruler in rulers_of(store)]
    alike = len({tuple(_own_rulers(part.store)) for part in store.parts}) == 1
    if alike:
        return ", ".join(names) + (" (the mean)" if len(names) > 1 else "")
    return f"{', '.join(names)}: not the same in all these stores, so it does not compare between them"


def dissection_lines(dissection: dict[str, Any]) -> list[str]:
    """Return the lines about a dissection, given as the facts of `dissection_facts`."""
    skipped = f", {len(dissection['skipped']):,} skipped" if dissection["skipped"] else ""
    source, images = printable(str(dissection["source"])), printable(str(dissection["images"]))
    area = "" if dissection["iou_area"] == PUBLISHED else f", IoU area {printable(str(dissection['iou_area']), 40)}"
    return [
        f"dissected: {dissection['concepts']} concepts, {images} images ({source}){area}{skipped}",
        *(f"  {printable(str(problem))}" for problem in dissection["problems"]),
    ]


def _model_lines(model: dict[str, Any]) -> list[str]:
    accuracy = "" if model["top1"] is None else f", top-1 {model['top1']:.1%}"
    lines = [
        f"{model['label']}: {printable(model['architecture'])}, {model['parameters']:,} weights{accuracy}",
        f"  from {printable(model['source'])}, sha256 {printable(model['weights_sha256'], 24)}",
    ]
    if model["cue_conflict"] is not None:
        lines.append(f"  {bias_sentence(model['cue_conflict'])}")
    if model["attribution"] is not None:
        names = ", ".join(printable(method["name"], 40) for method in model["attribution"]["methods"])
        target = printable(model["attribution"]["target"], 40)
        lines.append(f"  attribution of {model['attribution']['images']:,} images (output: {target}): {names}")
    if model["ood"] is not None:
        lines.append(f"  {ood_sentence(model['ood'])}")
    lines.append(f"  {'layer':20}  {'module':20}  {'units':>6}  {'map':>9}  what it is")
    for layer in model["layers"]:
        size = f"{layer['map_height']} x {layer['map_width']}"
        name, module = printable(layer["name"], 40), printable(layer["module"] or "(its forward)", 40)
        ending = printable(layer["ending"], 60)
        lines.append(f"  {name:20}  {module:20}  {layer['units']:>6}  {size:>9}  {ending}".rstrip())
        if layer["faint_units"]:
            lines.append(
                f"    {layer['faint_units']:,} of its units are below {schema.FAINT:.1e} for all images: their "
                "activations are kept as float16, coarse or 0 there; metrics and top lists are exact"
            )
    return lines


def _skipped_lines(skipped: list[dict[str, str]]) -> list[str]:
    lines = ["skipped:"]
    lines += [f"  {printable(image['path'], 80)}: {printable(image['reason'])}" for image in skipped[:_SHOWN_SKIPPED]]
    if len(skipped) > _SHOWN_SKIPPED:
        lines.append("  … all of them: --json")
    return lines
