"""What is in a store, as facts for scripts and as text for people."""

from typing import Any

from shapebias.core.store import Store
from shapebias.core.text import printable

_SHOWN_SKIPPED = 10


def store_facts(store: Store) -> dict[str, Any]:
    """Models with their layers, images, classes and skipped images, ready for JSON."""
    return {
        "store": printable(str(store.path), 4096),
        **{key: store.attributes.get(key) for key in ("version", "shapebias_version", "created", "settings")},
        "images": len(store.labels),
        "labelled": int((store.labels >= 0).sum()),
        "classes": len(store.class_names),
        "skipped": store.skipped,
        "models": [
            {
                **model.to_attributes(),
                "units": sum(layer.units for layer in store.layers(label).values()),
                "layers": [layer.to_attributes() for layer in store.layers(label).values()],
            }
            for label, model in store.models.items()
        ],
    }


def store_text(store: Store) -> str:
    """Some lines for people."""
    facts = store_facts(store)
    created, version = printable(str(facts["created"])), printable(str(facts["shapebias_version"]))
    lines = [f"{facts['store']}: version {facts['version']}, made {created} by shapebias {version}"]
    labels = f"{facts['labelled']:,} with labels" if facts["labelled"] else "no labels"
    lines.append(f"{facts['images']:,} images, {labels}, {len(store.skipped):,} skipped")
    for model in facts["models"]:
        accuracy = "" if model["top1"] is None else f", top-1 {model['top1']:.1%}"
        lines += [
            "",
            f"{model['label']}: {printable(model['architecture'])}, {model['parameters']:,} weights{accuracy}",
        ]
        lines.append(f"  from {printable(model['source'])}, sha256 {printable(model['weights_sha256'], 24)}")
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
