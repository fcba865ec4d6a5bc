"""What is in a store, as facts for scripts and as text for people."""

from typing import Any

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.comparison import record, summarize
from shapebias.core.analysis.dissection import dissection_facts
from shapebias.core.shape_bias.decisions import score
from shapebias.core.shape_bias.observers import bias_record
from shapebias.core.store.reader import Store
from shapebias.core.store.remote import read_metrics_ahead
from shapebias.core.text import printable

_SHOWN_SKIPPED = 10


def store_facts(store: Store) -> dict[str, Any]:
    """Models with their layers and accuracies, images, classes and skipped images, ready for JSON."""
    read_metrics_ahead(store, [(label, name) for label in store.models for name in store.layers(label)])
    accuracy = accuracies(store)
    return {
        "store": printable(str(store.path), 4096),
        **{key: store.attributes.get(key) for key in ("version", "shapebias_version", "created", "settings")},
        "images": len(store.labels),
        "labelled": int((store.labels >= 0).sum()),
        "classes": len(store.class_names),
        "skipped": store.skipped,
        "dissection": dissection_facts(store),
        "models": [
            {
                **model.to_attributes(),
                "units": sum(layer.units for layer in store.layers(label).values()),
                "accuracy": [record(each) for each in accuracy if each.model == label],
                "layers": [
                    {**layer.to_attributes(), "summary": _summaries(store, label, name)}
                    for name, layer in store.layers(label).items()
                ],
                "cue_conflict": _cue_conflict(store, label),
            }
            for label, model in store.models.items()
        ],
    }


def _summaries(store: Store, model: str, layer: str) -> dict[str, dict[str, Any]]:
    """Mean, median and quartiles of every metric over a layer's living units, by the metric's name."""
    return {name: record(summarize(store, model, layer, name)) for name in store.metric_names(model, layer)}


def _cue_conflict(store: Store, model: str) -> dict[str, Any] | None:
    decisions = store.cue_conflict(model)
    return None if decisions is None else bias_record(score(decisions))


def store_text(store: Store) -> str:
    """Some lines for people."""
    facts = store_facts(store)
    created, version = printable(str(facts["created"])), printable(str(facts["shapebias_version"]))
    lines = [f"{facts['store']}: version {facts['version']}, made {created} by shapebias {version}"]
    labels = f"{facts['labelled']:,} with labels" if facts["labelled"] else "no labels"
    lines.append(f"{facts['images']:,} images, {labels}, {len(store.skipped):,} skipped")
    dissection = facts["dissection"]
    if dissection is not None:
        skipped = f", {len(dissection['skipped']):,} skipped" if dissection["skipped"] else ""
        source, images = printable(str(dissection["source"])), printable(str(dissection["images"]))
        lines.append(f"dissected: {dissection['concepts']} concepts, {images} images ({source}){skipped}")
        lines += [f"  {printable(str(each))}" for each in dissection["problems"]]
    for model in facts["models"]:
        accuracy = "" if model["top1"] is None else f", top-1 {model['top1']:.1%}"
        lines += [
            "",
            f"{model['label']}: {printable(model['architecture'])}, {model['parameters']:,} weights{accuracy}",
        ]
        lines.append(f"  from {printable(model['source'])}, sha256 {printable(model['weights_sha256'], 24)}")
        if model["cue_conflict"] is not None:
            lines.append(f"  {_bias_text(model['cue_conflict'])}")
        lines.append(f"  {'layer':20}  {'module':20}  {'units':>6}  {'map':>9}")
        for layer in model["layers"]:
            size = f"{layer['map_height']} x {layer['map_width']}"
            name, module = printable(layer["name"], 40), printable(layer["module"], 40)
            lines.append(f"  {name:20}  {module:20}  {layer['units']:>6}  {size:>9}")
    if store.skipped:
        lines += ["", "skipped:"]
        lines += [
            f"  {printable(str(each['path']), 80)}: {printable(str(each['reason']))}"
            for each in store.skipped[:_SHOWN_SKIPPED]
        ]
        if len(store.skipped) > _SHOWN_SKIPPED:
            lines.append("  … all of them: --json")
    return "\n".join(lines)


def _bias_text(record: dict[str, Any]) -> str:
    counts = ", ".join(f"{record[kind]:,} {kind}" for kind in ("shape", "texture", "other"))
    if record["shape_bias"] is None:
        return f"shape bias undefined: {counts}"
    low, high = record["interval"]
    return f"shape bias {record['shape_bias']:.4f}, 95 % interval {low:.4f} to {high:.4f}: {counts}"
