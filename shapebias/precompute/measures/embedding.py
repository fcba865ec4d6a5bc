"""Embeddings of images by a network that serves only to measure visual diversity: the means of its last layer's
maps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.parts import Part
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import Rows
from shapebias.precompute.scanning.upload import DeviceBatch

_EMBEDDING = "embedding"


@dataclass(frozen=True)
class EmbeddingMeasure:
    """Measures the embeddings of images by the run's last network."""

    def start(self, runners: Sequence[Runner]) -> "EmbeddingShard":
        """Return an empty measurement for one shard."""
        return EmbeddingShard(runners[-1])

    def embeddings(self, parts: Iterable[Mapping[str, NDArray[Any]]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield for each part the index of its first image in the scan, and its embeddings, float32 [images, size].

        Every image of the scan must have been used.
        """
        first = 0
        for part in parts:
            yield first, part[_EMBEDDING]
            first += len(part[_EMBEDDING])


class EmbeddingShard:
    """The measurements of one shard."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        last = len(self._runner.layers) - 1
        seen: list[Tensor] = []

        def see(index: int, output: Tensor) -> None:
            if index == last:
                seen.append(output.float().mean((2, 3)))

        self._runner.forward(batch.sent, see)
        self._rows.add({_EMBEDDING: seen[-1].cpu().numpy()})

    def part(self) -> Part:
        """Return the embeddings, float32 [images, size]."""
        return self._rows.part()
