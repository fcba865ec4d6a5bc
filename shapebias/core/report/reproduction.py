"""The command that makes a store again, from the settings in the store."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shapebias.core.attribution.choice import Choice
from shapebias.core.concepts import PUBLISHED
from shapebias.core.errors import UsageError
from shapebias.core.shape_bias.decisions import NATIVE
from shapebias.core.store.errors import damaged
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

Words = tuple[str, ...]
IN_MEMORY = " in memory"  # the end of the `source` of a network that a Python program passed
SINGLE = {  # settings with one value: the option, and its value where the option is not given
    "images": ("--images", None),
    "labels": ("--labels", None),
    "layers": ("--layers", "paper"),
    "top": ("--top", 25),
    "limit": ("--limit", None),
    "precision": ("--precision", "auto"),
    "decode": ("--decode", "exact"),
    "activations": ("--activations", "all"),
    "seed": ("--seed", 0),
    "stylized": ("--stylized", None),
    "cue_conflict": ("--cue-conflict", None),
    "stimuli": ("--stimuli", NATIVE),
    "categories": ("--categories", None),
    "broden": ("--broden", None),
    "iou_area": ("--iou-area", PUBLISHED),
    "embedding": ("--embedding", None),
    "attribution_images": ("--attribution-images", 64),
    "attribution_target": ("--attribution-target", "predicted"),
    "attribution_steps": ("--attribution-steps", 112),
    "boxes": ("--boxes", None),
}
_NAMED = {"variants": "--variant", "ood": "--ood"}  # settings that list pairs: a name, and where its images are
_LISTED = {"noise_std": "--noise-std", "distortions": "--distortion"}


def command_of(store: Store) -> list[str] | None:
    """Return the command that made a single store, in lines that a shell understands: `shapebias precompute`, then one
    for each option.

    None where a Python program passed a network that it had in memory, or where an early store does not say how it was
    made. Raises StoreError where the store's settings make no sense.
    """
    settings = store.attributes.get("settings")
    sources = [model.source for model in store.models.values()]
    if not isinstance(settings, Mapping) or any(source.endswith(IN_MEMORY) for source in sources):
        return None
    try:
        options = [*_models(store, settings), *_single(settings), *_several(settings)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(store.path, "its settings are not those of a run", "attributes") from error
    options.append(("--store", Path(store.identity).name))
    return [shlex.join(printable(word, 4096) for word in words) for words in (("shapebias", "precompute"), *options)]


def _models(store: Store, settings: Mapping[str, Any]) -> Iterable[Words]:
    """Yield the option `--model` of each network; early stores keep only the labels and the sources."""
    specs = settings.get("models") or [f"{label}={model.source}" for label, model in store.models.items()]
    for spec in specs:
        label, _, source = spec.partition("=")
        yield "--model", source if label == source else spec


def _single(settings: Mapping[str, Any]) -> Iterable[Words]:
    for name, (option, usual) in SINGLE.items():
        value = settings.get(name)
        if value is not None and value != usual:
            yield option, str(value)


def _several(settings: Mapping[str, Any]) -> Iterable[Words]:
    if "passes" in settings:
        yield "--passes", ",".join(settings["passes"]) or "none"
    for name, option in _LISTED.items():
        for value in settings.get(name) or []:
            yield option, str(value)
    for name, option in _NAMED.items():
        for called, images in settings.get(name) or []:
            yield option, f"{called}={images}"
    for attack in settings.get("attacks") or []:
        yield "--attack", f"{attack['norm']}:{attack['epsilon']:g}"
    if settings.get("attribution"):
        yield "--attribution", ",".join(map(_method, settings["attribution"]))
    if settings.get("ablate_accuracy"):
        yield ("--ablate-accuracy",)


def _method(attributes: Mapping[str, Any]) -> str:
    try:
        return str(Choice.from_attributes(attributes))
    except UsageError:  # an attribution method of a later version
        return str(attributes["name"])
