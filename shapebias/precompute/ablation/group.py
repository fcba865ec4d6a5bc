"""What a network loses without a group of units, across layers: accuracy and shape bias before and after."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.shape_bias.decisions import Counts, decide
from shapebias.core.store.reader import Store
from shapebias.core.text import printable
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.measures.cue_conflict import label_images
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.preprocessing import stored_preprocessing
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, prepare
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings

Masks = Mapping[str, NDArray[np.bool_]]  # layer by layer the units that are set to zero, bool [units]


@dataclass(frozen=True)
class GroupResult:
    """A model with all units, and without `zeroed` of them.

    Accuracies are fractions of `labelled` images, None without such images; decisions are None without cue-conflict
    images.
    """

    model: str
    zeroed: int
    units: int
    labelled: int
    accuracy: tuple[float, float] | None
    decisions: tuple[Counts, Counts] | None


def units_to_zero(chosen: Masks, keep: bool) -> dict[str, NDArray[np.bool_]]:
    """The chosen units, or with `keep` the others in every layer that has chosen ones: a layer without any stays
    whole, as nothing would get through it."""
    return {layer: ~mask if keep else mask for layer, mask in chosen.items() if mask.any()}


def ablate_group(store: Store, spec: ModelSpec, zeroed: Masks, settings: Settings, progress: Reporter) -> GroupResult:
    """Runs the store's model `spec.label` on the settings' images, whole and without the units `zeroed`.

    Raises ShapebiasError where `spec` gives another network than the store's, or nothing can be measured.
    """
    device = choose_device(settings.device, settings.dtype)
    progress.stage("loading models")
    images, _ = find_images(settings.images, settings.limit)
    runner = _load(store, spec, images, settings, device)
    places = {layer.name: index for index, layer in enumerate(runner.layers)}
    if list(places) != list(store.layers(spec.label)):
        raise ShapebiasError(f"{spec.label} has other layers now than in {printable(str(store.path))}: make it again")
    channels = {places[name]: torch.from_numpy(np.flatnonzero(mask)).to(device.device) for name, mask in zeroed.items()}

    def silence(index: int, output: Tensor) -> Tensor | None:
        return None if index not in channels else output.index_fill(1, channels[index], 0)

    targets = runner.targets(images.labels)
    labelled = np.flatnonzero(targets >= 0)
    stream = Stream(images, settings, device, progress)
    accuracy = _accuracy(runner, stream, labelled, targets, silence) if len(labelled) else None
    decisions = None
    if settings.cue_conflict is not None:
        conflicting = Stream(find_images(settings.cue_conflict)[0], settings, device, progress)
        decisions = _shape_or_texture(runner, conflicting, settings.categories, silence)
    if accuracy is None and decisions is None:
        raise UsageError("neither labelled images nor cue-conflict images: name some with --images or --cue-conflict")
    counts = [int(mask.sum()) for mask in zeroed.values()]
    units = sum(layer.units for layer in runner.layers)
    return GroupResult(spec.label, sum(counts), units, len(labelled), accuracy, decisions)


def _load(store: Store, spec: ModelSpec, images: ImageSet, settings: Settings, device: Any) -> Runner:
    """The network of the store, with the preprocessing that it had."""
    known = store.models[spec.label]
    model = load_model(spec)
    if model.weights_sha256() != known.weights_sha256:
        raise ShapebiasError(
            f"{printable(model.source)} holds other weights now than {spec.label} in {printable(str(store.path))}: "
            f"name the right ones with --model {spec.label}=SOURCE@FILE"
        )
    model.preprocessing = stored_preprocessing(known.preprocessing)
    return prepare(model, images, device, settings.layers)


Silence = Callable[[int, Tensor], Tensor | None]


def _scores(
    runner: Runner, stream: Stream, title: str, positions: NDArray[np.int64], silence: Silence
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Batch by batch: indices into `positions`, the scores [B, classes] of the whole network and without the units."""
    for batch in stream.batches(f"{runner.model.label}: {title}", runner.geometry, positions):
        before, after = runner.forward(batch.pixels), runner.forward(batch.pixels, silence)
        assert before is not None
        assert after is not None
        yield batch.positions, before, after


def _accuracy(
    runner: Runner, stream: Stream, labelled: NDArray[np.int64], targets: NDArray[np.int32], silence: Silence
) -> tuple[float, float] | None:
    right, seen = np.zeros(2, np.int64), 0
    for rows, *scores in _scores(runner, stream, "accuracy", labelled, silence):
        wanted = targets[labelled[rows]]
        right += [int((runner.decide(each) == wanted).sum()) for each in scores]
        seen += len(rows)
    return (float(right[0] / seen), float(right[1] / seen)) if seen else None


def _shape_or_texture(
    runner: Runner, stream: Stream, file: Path | None, silence: Silence
) -> tuple[Counts, Counts] | None:
    mappings, stimuli = label_images([runner], stream.images, file)
    mapping = mappings[runner.model.label]
    found = np.zeros((2, 3), np.int64)
    for rows, *scores in _scores(runner, stream, "cue conflict", stimuli.used, silence):
        for row, each in enumerate(scores):
            decided = decide(torch.softmax(each.float(), 1).cpu().numpy(), mapping)
            shape, texture = (int((decided == cue[rows]).sum()) for cue in (stimuli.shape, stimuli.texture))
            found[row] += (shape, texture, len(rows) - shape - texture)
    return Counts(*found[0].tolist()), Counts(*found[1].tolist())
