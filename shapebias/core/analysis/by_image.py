"""One image: each model's decision for it, and the units of every layer that fire most on it."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shapebias.core import imagenet
from shapebias.core.analysis.accuracy import clean_decisions
from shapebias.core.errors import UsageError
from shapebias.core.pictures.tiles import Photo
from shapebias.core.shape_bias.decisions import NO_DECISION
from shapebias.core.store import schema
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import aligned, printable


class ImageName(NamedTuple):
    """An image by its path in its set (surrogates stand for bytes that are not UTF-8).

    `about` is its class, empty where it has none, or for a cue-conflict image `cat shape, elephant texture`.
    """

    path: str
    about: str
    is_cue_conflict: bool


def probe_image(store: Store, number: int) -> ImageName:
    """Return the name of a probe image by its number. Raises StoreError."""
    return ImageName(store.image_name(number), store.class_of(number), False)


class ImageList:
    """The images of a store: the probe images in their order, then the cue-conflict images.

    An image that several joined stores have, by its path, is listed once.
    """

    def __init__(self, store: Store) -> None:
        """Read the images' names. Raises StoreError."""
        names: dict[tuple[bool, str], ImageName] = {}
        for part in store.parts:
            classes = part.store.class_names
            for path, label in zip(map(os.fsdecode, part.store.image_paths), part.store.labels.tolist(), strict=True):
                about = classes[label] if 0 <= label < len(classes) else ""
                names.setdefault((False, path), ImageName(path, about, False))
        for model in store.models:
            decisions = store.cue_conflict(model)
            if decisions is not None:
                kinds = zip(decisions.images, decisions.shape.tolist(), decisions.texture.tolist(), strict=True)
                for path, shape, texture in kinds:
                    about = f"{decisions.categories[shape]} shape, {decisions.categories[texture]} texture"
                    names.setdefault((True, path), ImageName(path, about, True))
        self.names = list(names.values())

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _texts(self) -> list[str]:
        return [f"{name.path} {name.about}".casefold() for name in self.names]

    def find(self, text: str) -> NDArray[np.int64]:
        """Return the positions in `names` of the images whose path or class (or shape and texture) contains `text`.

        Upper and lower case are alike. Where there is no such image, those are returned that contain each word of
        `text`. The result is int64 [matching images].
        """
        query = text.casefold().strip()
        positions = [position for position, image in enumerate(self._texts) if query in image]
        words = query.split()
        if not positions and len(words) > 1:
            positions = [position for position, image in enumerate(self._texts) if all(word in image for word in words)]
        return np.array(positions, np.int64)

    def position(self, text: str) -> int:
        """Return the position in `names` of the image that `text` means.

        That is the image with this path, else the probe image with this number (from 0), else the only image whose path
        contains the text. Raises UsageError where there is no such image or several; the message lists two of them.
        """
        paths = [name.path for name in self.names]
        if text in paths:
            return paths.index(text)
        probe = sum(not name.is_cue_conflict for name in self.names)
        if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < probe:
            return int(text)
        positions = [position for position, path in enumerate(paths) if text and text in path]
        if len(positions) == 1:
            return positions[0]
        if positions:
            first, second = (printable(paths[position], 60) for position in positions[:2])
            matches = f"{len(positions)} images contain {printable(text)}, such as {first} and {second}"
            raise UsageError(f"{matches}: write a longer part of the path")
        raise UsageError(f"no image {printable(text)}: write its path, a part of it, or a number up to {probe - 1}")


class Verdict(StrEnum):
    """The verdict on a decision: right or wrong; for an image of two categories, by shape, by texture or neither."""

    RIGHT = "right"
    WRONG = "wrong"
    SHAPE = "shape"
    TEXTURE = "texture"
    NEITHER = "neither"


@dataclass(frozen=True)
class Decision:
    """The class or category that a model decides for. `verdict` is None where the right answer is unknown.

    `probability` is the softmax probability of the class; None for categories, and in stores made before it was kept.
    """

    name: str
    verdict: Verdict | None
    probability: float | None = None


@dataclass(frozen=True)
class Firing:
    """A unit's activation (the maximum of its map) for an image.

    `relative` is its ratio to the unit's largest activation over all probe images, in (0, 1].
    """

    unit: Unit
    activation: float
    relative: float

    def to_record(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {"unit": str(self.unit), "activation": self.activation, "relative": self.relative}


@dataclass(frozen=True)
class OnImage:
    """The results of one model for an image.

    decision:  the model's decision; None where it is not stored
    layers:    by layer the units that fire on the image, strongest first
    missing:   one line for each thing that the store lacks, with the reason
    photo:     the image as the model saw it, where the picture is stored
    """

    model: str
    decision: Decision | None = None
    layers: dict[str, list[Firing]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    photo: Photo | None = None


def on_image(
    store: Store, image: ImageName, model: str | None = None, layer: str | None = None, limit: int = 5
) -> list[OnImage]:
    """Return the results of each model for an image: its decision, and at most `limit` units per layer.

    model, layer:  the only model and layer wanted, None: all; a layer by its name or its module's path

    Units are ranked by activation / max, where max is the unit's own maximum over the probe images, so that layers can
    be compared; of equal ones (saturated units) the one with the smaller mean / max comes first. Units whose activation
    is not above 0, or was clipped to float16's range, are left out. For a cue-conflict image there are no units. Raises
    StoreError, and UsageError where the store has no such model or layer.
    """
    if model is not None:
        store.check_model(model)
    labels = [model] if model is not None else list(store.models)
    if layer is not None and not any(layer in store.layers(label) for label in labels):
        layer = store.check_layer(labels[0], layer)
    if image.is_cue_conflict:
        return [_on_cue_conflict(store, image.path, label) for label in labels]
    return [_on_probe(store, image.path, label, layer=layer, limit=limit) for label in labels]


def decisions_on(store: Store, image: ImageName) -> dict[str, Decision]:
    """Return the decisions for an image, by model; models without one are left out. Raises StoreError."""
    decisions = {}
    for model in store.models:
        if image.is_cue_conflict:
            decision = _on_cue_conflict(store, image.path, model).decision
        else:
            row = _row(store, image.path, model)
            decision = None if row is None else _decision(*store.owner(model), row)
        if decision is not None:
            decisions[model] = decision
    return decisions


def _on_cue_conflict(store: Store, path: str, model: str) -> OnImage:
    decisions = store.cue_conflict(model)
    missing = ["no units and no picture: a store keeps both for probe images only"]
    if decisions is None or path not in decisions.images:
        return OnImage(model, missing=["no decision: the model was not shown this image", *missing])
    row = decisions.images.index(path)
    decision = int(decisions.decision[row])
    if decision == NO_DECISION:
        return OnImage(model, missing=["no decision: its scores were NaN or infinite", *missing])
    shape, texture = int(decisions.shape[row]), int(decisions.texture[row])
    if shape == texture:
        verdict = Verdict.RIGHT if decision == shape else Verdict.WRONG
    else:
        verdict = {texture: Verdict.TEXTURE, shape: Verdict.SHAPE}.get(decision, Verdict.NEITHER)
    return OnImage(model, Decision(decisions.categories[decision], verdict), missing=missing)


def _row(store: Store, path: str, model: str) -> int | None:
    """Return the index of a probe image among a model's images; None where the model did not see it."""
    try:
        return store.image_paths_of(model).index(os.fsencode(path))
    except ValueError:
        return None


def _on_probe(store: Store, path: str, model: str, *, layer: str | None, limit: int) -> OnImage:
    row = _row(store, path, model)
    if row is None:
        return OnImage(model, missing=["the model was not shown this image"])
    owner, label = store.owner(model)
    photo = Photo(model, row) if owner.find_thumbnail(label, row) is not None else None
    result = OnImage(model, _decision(owner, label, row), photo=photo)
    if result.decision is None:
        result.missing.append("no decision: the model gives no class scores")
    if photo is None:
        result.missing.append("no picture: a store keeps pictures of images in top lists only")
    layers = [name for name in store.layers(model) if layer in (None, name)]
    for name in layers:
        if store.layer_has(model, name, "activations/max"):
            result.layers[name] = _firing(store, model, name, row=row, limit=limit)
    if not result.layers:
        result.missing.append("no units: the store was made with --activations none" if layers else f"no layer {layer}")
    return result


def _firing(store: Store, model: str, layer: str, *, row: int, limit: int) -> list[Firing]:
    values = store.layer_read(model, layer, "activations/max", row).astype(np.float64)
    with np.errstate(over="ignore"):  # rounded to float16 like the activations, so that the largest ratio is 1
        largest = store.metric(model, layer, "max").astype(np.float16).astype(np.float64)
    relative = np.zeros(len(values))
    np.divide(values, largest, out=relative, where=(largest > 0) & (values > 0) & (values < schema.CLIPPED))
    usual = store.metric(model, layer, "mean") / np.where(largest > 0, largest, 1.0)
    ranked = np.lexsort((usual, -relative))[:limit].tolist()
    return [
        Firing(Unit(model, layer, index), float(values[index]), min(float(relative[index]), 1.0))
        for index in ranked
        if relative[index] > 0
    ]


def _decision(store: Store, model: str, row: int) -> Decision | None:
    decision, target = clean_decisions(store, model)
    if not len(decision):
        return None
    output, right = int(decision[row]), int(target[row])
    verdict = None if right < 0 else Verdict.RIGHT if output == right else Verdict.WRONG
    return Decision(_output_name(store, target, output), verdict, _probability(store, model, row))


def _probability(store: Store, model: str, row: int) -> float | None:
    """Return the softmax probability of the decision for an image, None where the store does not have it."""
    path = f"models/{model}/probability"
    if not store.has(path):
        return None
    probability = float(store.read(path, shape=[len(store.labels)])[row])
    return None if math.isnan(probability) else probability


def output_name(store: Store, model: str, output: int) -> str:
    """Return the name of the class of a model's output, or `output N` where the store does not know it.

    Raises StoreError where the store is damaged.
    """
    owner, label = store.owner(model)
    return _output_name(owner, clean_decisions(owner, label)[1], output)


def _output_name(store: Store, target: NDArray[np.int32], output: int) -> str:
    """Return the name of the class of an output, `output N` where it is unknown.

    target: int32 [images], the right output of each probe image. A store knows the class of an output from an image
    with this right output, and where the outputs are ImageNet's, from ImageNet's names.
    """
    for row in np.flatnonzero(target == output)[:1].tolist():
        if store.class_of(row):
            return store.class_of(row)
    names = imagenet.class_names()
    return names[output] if 0 <= output < len(names) and _is_imagenet(store, target) else f"output {output}"


def _is_imagenet(store: Store, target: NDArray[np.int32]) -> bool:
    """Return whether a model's outputs are ImageNet's classes; False where no image shows it.

    target: int32 [images], the right output for each probe image, -1 where it is unknown, to be compared with the
    image's class in the store
    """
    wnids, ids = imagenet.wnids(), store.attributes_of(schema.PROBE).get("class_ids", [])
    outputs, rows = np.unique(target, return_index=True)
    pairs = [pair for pair in zip(outputs.tolist(), store.labels[rows].tolist(), strict=True) if min(pair) >= 0]
    return bool(pairs) and all(
        output < len(wnids) and label < len(ids) and ids[label] == wnids[output] for output, label in pairs
    )


def image_record(image: ImageName, results: Sequence[OnImage]) -> dict[str, Any]:
    """Return the results of models for an image, ready for JSON: decision, verdict, units by layer, what is missing."""
    kind = {"shape_and_texture": image.about} if image.is_cue_conflict else {"class": image.about or None}
    facts = {"image": image.path, "kind": "cue-conflict" if image.is_cue_conflict else "probe", **kind}
    return facts | {"models": [_model_record(result) for result in results]}


def _model_record(result: OnImage) -> dict[str, Any]:
    return {
        "model": result.model,
        "decision": result.decision.name if result.decision else None,
        "verdict": result.decision.verdict if result.decision else None,
        "probability": result.decision.probability if result.decision else None,
        "layers": {layer: [firing.to_record() for firing in units] for layer, units in result.layers.items()},
        "missing": result.missing,
    }


def decision_text(decision: Decision) -> str:
    """Return a decision as text, with the verdict and the probability where known: `circle (right, 0.93)`."""
    probability = "" if decision.probability is None else f"{decision.probability:.2f}"
    facts = ", ".join(filter(None, (decision.verdict, probability)))
    return printable(decision.name, 40) + (f" ({facts})" if facts else "")


def image_text(image: ImageName, results: Sequence[OnImage]) -> str:
    """Return the contents of `image_record` as text."""
    lines = [printable(image.path) + (f"  ({printable(image.about, 100)})" if image.about else "")]
    rows = [["unit", "activation", "of its max"]]
    for result in results:
        decided = [f"predicts {decision_text(result.decision)}"] if result.decision else []
        lines += [f"{printable(result.model)}: {line}" for line in [*decided, *result.missing]]
        for units in result.layers.values():
            rows += [[printable(str(unit.unit)), f"{unit.activation:.4g}", f"{unit.relative:.3f}"] for unit in units]
    return "".join(f"{line}\n" for line in lines) + (aligned(rows) if len(rows) > 1 else "")
