"""A network prepared for a run: on its device, with its layers and its mapping of outputs to classes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.device import Device, Pixels
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.labels import Match, match_outputs
from shapebias.precompute.memory import OutOfMemoryError, is_out_of_memory
from shapebias.precompute.models.consistency import consistency_notes, forward_alone
from shapebias.precompute.models.hooks import Watch, WatchedLayer, first_tensor
from shapebias.precompute.models.layers import Trace, repetition_notes
from shapebias.precompute.models.load import LoadedModel, forward_error, load_model
from shapebias.precompute.models.outputs import find_scores, return_scores
from shapebias.precompute.settings import Settings
from shapebias.precompute.statistics.kernels.on_cpu import find_largest


@dataclass
class Runner:
    """A network that is ready to run on images.

    model:      the network's label, source, preprocessing and classes
    network:    the network itself, on the device
    trace:      the recorded operations of a forward
    layers:     the layers whose units are measured
    outputs:    the number of classes; None where the network gives no scores [B, classes]
    match:      the right output for each class of the images
    takes_one:  whether the network takes a batch of one image; else a single image is given twice
    at_once:    the largest number of images in a forward where several versions of images come together; halved where
                they do not fit into memory
    """

    model: LoadedModel
    device: Device
    network: nn.Module
    trace: Trace
    layers: list[WatchedLayer]
    outputs: int | None
    match: Match
    takes_one: bool = True
    at_once: int = 32

    @property
    def geometry(self) -> Geometry:
        """The resizing and cropping of images for the network."""
        return self.model.preprocessing.geometry

    def targets(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the right output of each image, int32 [images], -1 = none; `labels` are indices into the images'
        classes.
        """
        return self.match.targets(labels)

    def inputs(self, pixels: Pixels) -> Tensor:
        """Return images, uint8 [B, H, W, 3], as the network's input on the device, [B, 3, H, W], normalised."""
        return self.device.images(pixels, self.model.preprocessing)

    def forward(self, pixels: Pixels, see: Callable[[int, Tensor], Tensor | None] | None = None) -> Tensor | None:
        """Return the network's scores [B, classes], on the device.

        Of a network that gives no scores (`outputs` is None) the result, a tensor or None, means nothing.

        `see(index, output)` is called with the output [B, units, h, w] of every layer of `layers`. If it returns a
        tensor, the network continues with that in place of the output. Raises ShapebiasError where the network fails,
        OutOfMemoryError where the batch does not fit.
        """
        if len(pixels) == 1 and not self.takes_one:
            scores = self.forward(pixels[[0, 0]], None if see is None else _of_first(see))
            return None if scores is None else scores[:1]
        with self.guarded(), self.device.inference():
            if see is None:
                return first_tensor(self.network(self.inputs(pixels)))
            with Watch(self.network, self.layers, see):
                return first_tensor(self.network(self.inputs(pixels)))

    def activations(self, pixels: Pixels) -> list[NDArray[Any]]:
        """Return the network's decisions, as `decide` does, followed by the activations of every layer of `layers`,
        float32 [B, units].

        An activation is the maximum of a unit's map; NaN where one of its values is. Raises the errors of `forward`.
        """
        seen: dict[int, Tensor] = {}
        scores = self.forward(pixels, lambda index, output: seen.update({index: _largest(output)}))
        joined = torch.cat([seen[index].float() for index in range(len(self.layers))], 1).cpu().numpy()
        layers = np.split(joined, np.cumsum([layer.units for layer in self.layers])[:-1], axis=1)
        return [self.decide(scores), *layers]

    def decide(self, scores: Tensor | None) -> NDArray[np.int32]:
        """Return the output with the largest score, int32 [B]; an empty array where the network gives no scores."""
        if scores is None or self.outputs is None:
            return np.zeros(0, np.int32)
        decided: NDArray[np.int32] = scores.argmax(1).int().cpu().numpy()
        return decided

    def decide_with_probability(self, scores: Tensor | None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return what `decide` does, and the softmax probabilities of these outputs, float32 [B], in one transfer.

        Both are empty where the network gives no scores.
        """
        if scores is None or self.outputs is None:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        output = scores.argmax(1)
        probability = scores.float().softmax(1).gather(1, output[:, None])[:, 0]
        both = torch.stack([output.double(), probability.double()]).cpu().numpy()
        return both[0].astype(np.int32), both[1].astype(np.float32)

    def of_versions(self, give: Callable[[Pixels], list[NDArray[Any]]], pixels: Pixels) -> list[NDArray[Any]]:
        """Return the arrays [N, ...] that `give` returns for images uint8 [N, H, W, 3], joined.

        `give` gets at most `at_once` images; if they do not fit into memory, `at_once` is halved for good. Raises
        OutOfMemoryError where one image does not fit.
        """
        parts: list[list[NDArray[Any]]] = []
        done = 0
        while done < len(pixels):
            try:
                parts.append(give(pixels[done : done + self.at_once]))
                done += self.at_once
            except OutOfMemoryError:
                if self.at_once == 1:
                    raise
                self.at_once //= 2
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn whatever the user's network raises in the block into an error of one line. Raises ShapebiasError, and
        OutOfMemoryError where memory was too small.
        """
        try:
            yield
        except ShapebiasError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise _does_not_fit(self.model, self.device) from error
            raise forward_error(self.model, error) from error


def _largest(maps: Tensor) -> Tensor:
    """Return the largest value of every map, [B, C], for maps [B, C, h, w]; NaN where one of its values is."""
    if maps.device.type == "cpu":
        largest, finite = find_largest(maps)
        if finite.all():
            return largest
    return torch.amax(maps, (2, 3))


def _of_first(see: Callable[[int, Tensor], Tensor | None]) -> Callable[[int, Tensor], Tensor | None]:
    """Return a function for two images that passes only the maps of the first one to `see`."""

    def see_first(index: int, maps: Tensor) -> Tensor | None:
        changed = see(index, maps[:1])
        return None if changed is None else torch.cat([changed, maps[1:]])

    return see_first


def by_geometry(geometries: Sequence[Geometry]) -> dict[Geometry, tuple[int, ...]]:
    """Return the numbers of the runners that can share decoded images, by geometry; `geometries` are the runners'."""
    return {
        geometry: tuple(number for number, model_geometry in enumerate(geometries) if model_geometry == geometry)
        for geometry in dict.fromkeys(geometries)
    }


def prepare(model: LoadedModel, images: ImageSet, device: Device, layers: str, sample: Tensor | None = None) -> Runner:
    """Return a runner for a network: place it on the device, and find its layers and class scores.

    Where its outputs are random, hold NaN, or depend on the other images of a batch, the model's notes say so. From
    then on the network returns only the class scores, if it has any.

    images:  those whose classes are matched with the network's outputs
    layers:  as the option --layers names them
    sample:  two images as the network takes them, for a few forwards; None: noise

    Raises ShapebiasError where the network fails or does not fit into memory, UsageError where `layers` names none of
    its layers, several tensors could be its scores, or the number of its class names is not that of its outputs.
    """
    try:
        network = device.to(model.network)
        sample = device.images(_noise(model), model.preprocessing) if sample is None else sample.to(device.device)
        with device.exact.inference():
            trace = Trace(network, sample)
            alone = forward_alone(network, sample[:1], trace.result)
            notes = consistency_notes(network, sample, trace.result, alone)
    except Exception as error:
        raise (_does_not_fit(model, device) if is_out_of_memory(error) else forward_error(model, error)) from error
    count = len(model.class_ids or images.source_names) or None
    scores = find_scores(model.label, trace.result, count, model.output) if model.decides else None
    outputs = None if scores is None or scores.scores is None else scores.scores.shape[1]
    if scores is not None:
        return_scores(network, scores)
    trace.result = None
    try:
        chosen = trace.choose(layers)
    except ShapebiasError:
        raise
    except Exception as error:
        raise forward_error(model, error) from error
    model.notes += [*notes, *repetition_notes(chosen)]
    if model.class_ids is not None and outputs is not None and len(model.class_ids) != outputs:
        raise UsageError(f"{model.label}: {len(model.class_ids)} classes are named, but the network has {outputs}")
    match = match_outputs(images.source_names, images.class_ids, model.class_ids, outputs)
    return Runner(model, device, network, trace, chosen, outputs, match, takes_one=alone is not None)


def _noise(model: LoadedModel) -> NDArray[np.uint8]:
    """Return a dark and a bright image of noise, uint8 [2, H, W, 3], since outputs that depend on the whole batch then
    differ.
    """
    crop = model.preprocessing.geometry.crop
    noise = np.random.default_rng(0).integers(0, 128, (2, crop, crop, 3), np.uint8)
    noise[1] += 128
    return noise


def prepare_runners(settings: Settings, images: ImageSet, device: Device) -> list[Runner]:
    """Return the runners of a run, on their device; that of `--embedding`, if there is one, comes last.

    Raises ShapebiasError where a network cannot be loaded or fails.
    """
    runners = [prepare(load_model(spec), images, device, settings.layers) for spec in settings.models]
    if settings.embedding is not None:
        runners.append(prepare(load_model(settings.embedding), images, device, "paper"))
    for runner in runners:
        runner.at_once = settings.batch_size or device.images_at_once(runner.geometry.crop)
    return runners


def _does_not_fit(model: LoadedModel, device: Device) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"{model.label} does not fit into the memory of {device}: try a smaller --batch-size, or --device cpu"
    )
