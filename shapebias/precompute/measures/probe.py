"""The first scan: the probe images, and their noisy versions, through every model, with all statistics."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shapebias.precompute.images.loader import Batch
from shapebias.precompute.measures.activation import ActivationPass, LayerStatistics
from shapebias.precompute.measures.noise import NoisyVariation
from shapebias.precompute.measures.thumbnails import Pictures
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.scan import Rows
from shapebias.precompute.statistics.state import Inside, Part, prefixed

EMBEDDING = "embedding"


@dataclass(frozen=True)
class Watching:
    """Measures the models at `models` (of the run's). `planned`: images of the run; `labels` int32 [images of the
    listing], -1 = none; `kinds`: which activations of each image are kept; `ruler`: the model whose last layer's means
    are kept as the images' embeddings."""

    models: tuple[int, ...]
    planned: int
    classes: int
    labels: NDArray[np.int32]
    top: int
    seed: int
    noises: tuple[str, ...]
    kinds: tuple[str, ...]
    ruler: int

    def start(self, runners: Sequence[Runner]) -> "WatchedShard":
        return WatchedShard(self, runners)

    def statistics(self, runner: Runner, device: torch.device) -> list[LayerStatistics]:
        """Empty ones of every layer."""
        return [
            LayerStatistics(layer, self.top, self.planned, self.classes, self.seed, device) for layer in runner.layers
        ]


class WatchedShard:
    """What is measured of one shard: of a scan of all images, so that positions are those in the listing."""

    def __init__(self, wanted: Watching, runners: Sequence[Runner]) -> None:
        self._wanted = wanted
        self._models = [(model, _WatchedModel(wanted, model, runners[model])) for model in wanted.models]
        self._positions = Rows()
        self._pictures = Pictures()

    def feed(self, batch: Batch) -> None:
        """Takes in a batch."""
        labels = self._wanted.labels[batch.positions].astype(np.int64)
        clean = batch.pixels[:, 0] if self._wanted.noises else batch.pixels
        for _, model in self._models:
            model.feed(clean, batch.positions, labels)
            for version, noisy in enumerate(model.noisy, 1):
                noisy.run(batch.pixels[:, version])
        self._positions.add(position=batch.positions)
        self._pictures.feed(batch)

    def part(self) -> Part:
        """`position`, pictures, and what each model gave under its number."""
        part = self._positions.part() | self._pictures.part()
        for number, model in self._models:
            part |= prefixed(str(number), model.part())
        return part


class _WatchedModel:
    def __init__(self, wanted: Watching, number: int, runner: Runner) -> None:
        self._runner, self._kinds = runner, wanted.kinds
        self._activation = ActivationPass(
            runner.network, runner.layers, runner.device, wanted.top, wanted.planned, wanted.classes, wanted.seed
        )
        self.noisy = [NoisyVariation(runner, noise) for noise in wanted.noises]
        self._is_ruler = number == wanted.ruler
        self._rows = Rows()
        self._seconds = 0.0

    def feed(self, pixels: NDArray[np.uint8], positions: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        runner = self._runner
        start = time.perf_counter()
        with runner.guarded():
            seen = self._activation.run(runner.inputs(pixels), positions, positions, labels)
            decided = runner.decide(seen.output)
        if len(decided):
            self._rows.add(decision=decided)
        if self._is_ruler:
            self._rows.add(**{EMBEDDING: seen.mean[-1]})
        for kind in self._kinds:
            values = {"max": seen.maximum, "mean": seen.mean}[kind]
            self._rows.add(**{f"{index}.{kind}": each for index, each in enumerate(values)})
        self._seconds += time.perf_counter() - start

    def part(self) -> Part:
        part = self._rows.part()
        for index, statistics in enumerate(self._activation.statistics):
            part |= prefixed(f"{index}.statistics", statistics.state())
        for number, noisy in enumerate(self.noisy):
            for index, layer in enumerate(noisy.layers):
                part |= prefixed(f"{index}.noise{number}", layer.state())
        speed = (self._seconds, self._activation.network_seconds, self._activation.network_images)
        return part | {"seconds": np.array(speed, np.float64)}


@dataclass
class Watched:
    """What a model gave over all images: statistics of every layer; the noisy variations of each noise; decision int32
    [images used]; seconds of the pass, of the network alone, and over how many images."""

    statistics: list[LayerStatistics]
    noisy: list[NoisyVariation]
    decision: NDArray[np.int32]
    seconds: NDArray[np.float64]

    @classmethod
    def merge(
        cls, wanted: Watching, model: int, runner: Runner, parts: Iterable[Mapping[str, NDArray[Any]]]
    ) -> "Watched":
        """Merges the shards' parts in order, on the CPU, wherever they were measured."""
        device = torch.device("cpu")

        def empty() -> Watched:
            noisy = [NoisyVariation(runner, noise, device) for noise in wanted.noises]
            return cls(wanted.statistics(runner, device), noisy, np.zeros(0, np.int32), np.zeros(3))

        total, one = empty(), empty()
        decisions = [total.decision]
        for whole in parts:
            part = Inside(whole, str(model))
            one._restore(part)
            total._merge(one)
            if "decision" in part:
                decisions.append(part["decision"])
        total.decision = np.concatenate(decisions)
        return total

    def _restore(self, part: Inside) -> None:
        for index, statistics in enumerate(self.statistics):
            statistics.restore(Inside(part, f"{index}.statistics"))
        for number, noisy in enumerate(self.noisy):
            for index, layer in enumerate(noisy.layers):
                layer.restore(Inside(part, f"{index}.noise{number}"))
        self.seconds = part["seconds"]

    def _merge(self, other: "Watched") -> None:
        for mine, theirs in zip(self.statistics, other.statistics, strict=True):
            mine.merge(theirs)
        for noisy, other_noisy in zip(self.noisy, other.noisy, strict=True):
            for layer, other_layer in zip(noisy.layers, other_noisy.layers, strict=True):
                layer.merge(other_layer)
        self.seconds = self.seconds + other.seconds


def embeddings(parts: Iterable[Mapping[str, NDArray[Any]]], ruler: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
    """The index of the first image, and float16 [images, size], of shard after shard."""
    first = 0
    for part in parts:
        if "position" in part:
            block = part[f"{ruler}.{EMBEDDING}"]
            yield first, block
            first += len(block)
