"""The ablation pass: which decisions of a model change when the output of a single unit is set to zero."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.ablation.bfloat16 import Bfloat16Check, DecisionRows, DecisionRule, category_choice
from shapebias.precompute.ablation.cache import digest
from shapebias.precompute.ablation.memory import peak_bytes
from shapebias.precompute.ablation.next_linear import NextLinear
from shapebias.precompute.ablation.remainder import NoRestError, Rest, take_rows
from shapebias.precompute.device import Pixels
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.measures.categories import stimulus_geometry
from shapebias.precompute.measures.cue_conflict import CueConflict
from shapebias.precompute.memory import OutOfMemoryError, release
from shapebias.precompute.models.hooks import Watch, WatchedLayer, first_tensor
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.stream import Stream

_MOST_ROWS = {"cpu": 256, "cuda": 8192}  # more rows per forward are not faster
_KEPT_SHARE = 0.25  # fraction of the memory for the tensors that are kept of the images being ablated


@dataclass
class _Kept:
    """The tensors that are kept of some images while their units are ablated.

    start:   [B, ...], where forwards without a unit start: the input of the next linear operation, else the layer's
             output, or the images where the whole network is run
    active:  whether each unit is non-zero anywhere, bool [B, units]
    scores:  those of the unchanged network, [B, classes]
    linear:  the output of the next linear operation; None where none is used
    """

    start: Tensor
    active: Tensor
    scores: Tensor
    linear: Tensor | None = None


class UnitAblation:
    """Sets each unit of one layer to zero separately, with many (image, unit) rows per forward.

    Where the remainder of the network behind the layer can be split off (see `Rest`), only that is run; it starts
    behind the next linear operation where a unit's share can be subtracted (see `NextLinear`). Otherwise the whole
    network is run, with a hook that zeroes another unit in every row; `why_whole` then says why, else it is None.
    `check` uses bfloat16 where that is certain to give the same decisions. `images` is how many images are ablated
    together, `rows` how many rows a forward has at most.
    """

    def __init__(self, runner: Runner, layer: WatchedLayer, memory: int) -> None:
        """Prepare the ablation. `memory`: the bytes that tensors may use.

        Raises ShapebiasError where one row does not fit, or the layer does not have one output [B, units, h, w] for all
        images.
        """
        self.runner, self.layer = runner, layer
        self._remainder: Rest | None = None
        self._linear: NextLinear | None = None
        self.why_whole: str | None = None
        self.notes: list[str] = []  # remarks for the user
        crop = runner.geometry.crop
        noise = np.random.default_rng(0).integers(0, 256, (2, crop, crop, 3), dtype=np.uint8)
        with runner.guarded(), runner.device.exact.inference():  # checks compare the results of two ways
            batch = runner.inputs(noise)
            try:
                self._remainder = Rest(runner.network, layer, batch)
                self._linear = self._next_linear(batch, self._remainder)
            except NoRestError as error:
                self.why_whole = str(error)
        with runner.guarded(), runner.device.inference():
            kept = self._keep(batch)
            rows = torch.arange(2, device=batch.device)
            row_bytes = peak_bytes(lambda: self._scores(kept, rows, rows % layer.units)) // 2
            image_bytes = peak_bytes(lambda: self._keep(batch)) // 2
        self.images = max(1, int(memory * _KEPT_SHARE) // image_bytes)
        room, most = int(memory * (1 - _KEPT_SHARE)), _MOST_ROWS[runner.device.device.type]
        if room < row_bytes:
            needed = int(row_bytes / (1 - _KEPT_SHARE)) // 1_000_000 + 1
            raise ShapebiasError(f"{runner.model.label}: ablating {layer.name} needs at least --memory {needed}")
        self.check = Bfloat16Check(runner.network, runner.device, room // 2)
        self.rows = min((room - self.check.weight_bytes) // row_bytes, most)

    def _next_linear(self, batch: Tensor, remainder: Rest) -> NextLinear | None:
        """Return the linear operation behind the layer; None where there is none that fits.

        batch: two images as the network takes them, to try it with.
        """
        if self.runner.device.dtype != torch.float32:
            return None  # a difference of rounded numbers would have a larger error
        try:
            return NextLinear(self.runner.network, self.layer, batch, remainder)
        except NoRestError:
            return None

    def _keep(self, batch: Tensor) -> _Kept:
        """Run the whole network on a batch of its inputs [B, 3, H, W], and return what is kept of them."""
        seen: list[Tensor] = []
        with Watch(self.runner.network, [self.layer], lambda _, output: seen.append(output.clone())):
            scores = first_tensor(self.runner.network(batch))
        assert scores is not None
        active = (seen[0] != 0).any(3).any(2)
        if self._linear is not None:
            inputs = self._linear.inputs(seen[0])
            return _Kept(inputs, active, scores, self._linear.module(inputs))
        return _Kept(batch if self._remainder is None else seen[0], active, scores)

    def _scores(self, kept: _Kept, images: Tensor, units: Tensor) -> Tensor:
        """Return the scores [R, classes] for R rows, each of an image without one unit.

        images:  int64 [R], the index in `kept` of each row's image
        units:   int64 [R], each row's unit; the rows of a unit stand together
        """
        if self._linear is not None and kept.linear is not None:
            return self._linear.rest(self._linear.without(kept.start, kept.linear, images, units))
        start = take_rows(kept.start, images)
        if self._remainder is not None:
            return self._remainder(_zeroed(start, units))
        with Watch(self.runner.network, [self.layer], lambda _, output: _zeroed(output.clone(), units)):
            scores = first_tensor(self.runner.network(start))
        assert scores is not None
        return scores

    def decisions(
        self, title: str, stream: Stream, positions: NDArray[np.int64], choice: DecisionRule, *, geometry: Geometry
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]]:
        """Yield images and units, int64 [R] each, and the network's decisions without the unit, int32 [R].

        title:      the text for the user
        positions:  which of the stream's images to use; the yielded images are indices into it
        choice:     the rule that turns scores into decisions
        geometry:   how the images are prepared

        Pairs whose unit is 0 everywhere on the image are left out: zeroing it changes nothing. Raises ShapebiasError
        where the network fails or an image cannot be read any more.
        """
        self.check.begin()
        for batch in stream.again(title, geometry, positions):
            first = 0
            while first < len(batch.positions):
                some = slice(first, first + self.images)
                try:
                    image, unit, decided = self.decide_pixels(batch.sent[some], choice)
                except OutOfMemoryError as error:
                    self._take_less(error)
                    continue
                yield batch.positions[some][image], unit, decided
                first = some.stop

    def _take_less(self, error: OutOfMemoryError) -> None:
        """Continue with half as many images and rows at once. Raises OutOfMemoryError where there is only one row."""
        if self.rows == 1:
            label, name, device = self.runner.model.label, self.layer.name, self.runner.device
            raise OutOfMemoryError(f"{label}: ablating {name} does not fit into the memory of {device}") from error
        before, self.rows, self.images = self.rows, self.rows // 2, max(1, self.images // 2)
        self.notes = [f"ablation of {self.layer.name}: not enough memory for {before} rows at once, took {self.rows}"]
        release()

    def decide_pixels(
        self, pixels: Pixels, choice: DecisionRule
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Return what `decisions` yields, for images uint8 [B, H, W, 3], of which `self.images` fit into memory.

        Images are indices into `pixels`. Raises OutOfMemoryError, and ShapebiasError where the network fails.
        """
        with self.runner.guarded(), self.runner.device.inference():
            kept = self._keep(self.runner.inputs(pixels))
            unit, image = kept.active.T.nonzero().unbind(1)
            decisions = choice.decide(kept.scores)[image.cpu().numpy()]

            def scores(some: Tensor) -> Tensor:
                return self._scores(kept, image[some], unit[some])

            rows = DecisionRows(scores, choice, decisions, device=image.device, most=self.rows)
            self.check.decide(rows)
        return image.cpu().numpy(), unit.cpu().numpy(), rows.decided


def _zeroed(maps: Tensor, units: Tensor) -> Tensor:
    """Return maps [R, C, h, w] with channel units[r] of row r set to 0, in place."""
    maps[torch.arange(len(maps), device=maps.device), units] = 0
    return maps


def shape_and_texture_scores(
    ablation: UnitAblation, title: str, stream: Stream, conflict: CueConflict, *, mapping: dict[str, list[int]]
) -> dict[str, NDArray[np.float32]]:
    """Return `shape_score` and `texture_score` of the layer's units, float32 [units].

    A score counts the stream's cue-conflict images that the model decides by shape (by texture), but not without the
    unit (Chen, Agarwal & Nguyen 2020). `title` is the progress's, `mapping` has the classes of each category.
    """
    decision = conflict.decisions[ablation.runner.model.label]
    conflicting = conflict.shape != conflict.texture
    by_cue = {
        "shape_score": conflicting & (decision == conflict.shape),
        "texture_score": conflicting & (decision == conflict.texture),
    }
    rows = np.flatnonzero(by_cue["shape_score"] | by_cue["texture_score"])  # no other image can change a score
    lost = {name: np.zeros(ablation.layer.units, np.int64) for name in by_cue}
    choice = category_choice(mapping)
    geometry = stimulus_geometry(ablation.runner.geometry, conflict.stimuli)
    positions = conflict.positions[rows]
    for image, unit, decided in ablation.decisions(title, stream, positions, choice, geometry=geometry):
        changed = decided != decision[rows[image]]
        for name, counted in by_cue.items():
            lost[name] += np.bincount(unit[changed & counted[rows[image]]], minlength=ablation.layer.units)
    return {name: counts.astype(np.float32) for name, counts in lost.items()}


@dataclass(frozen=True)
class Labelled:
    """Images with a model's decisions for them and the right outputs.

    positions:  int64 [images], in their listing
    decision:   int32 [images], the index of the output that the model decides for
    target:     int32 [images], the index of the right output; -1 = none: such an image is not counted
    """

    positions: NDArray[np.int64]
    decision: NDArray[np.int32]
    target: NDArray[np.int32]

    def digest(self, image_set: ImageSet) -> str:
        """Return a digest of the images and the decisions for them."""
        return digest([image_set.paths[position] for position in self.positions], self.decision, self.target)


def accuracy_drop(
    ablation: UnitAblation, title: str, stream: Stream, labelled: Labelled
) -> dict[str, NDArray[np.float32]]:
    """Return `accuracy_drop` of the layer's units, float32 [units]: the model's top-1 accuracy minus that without the
    unit.

    `stream` has the labelled images, `title` is the progress's.
    """
    decision, target = labelled.decision, labelled.target
    rows = np.flatnonzero(target >= 0)
    lost = np.zeros(ablation.layer.units, np.float64)
    choice = DecisionRule(ablation.runner.decide, lambda scores: scores)
    positions, geometry = labelled.positions[rows], ablation.runner.geometry
    for image, unit, decided in ablation.decisions(title, stream, positions, choice, geometry=geometry):
        image_targets = target[rows[image]]
        change = (decision[rows[image]] == image_targets).astype(float) - (decided == image_targets)
        lost += np.bincount(unit, change, minlength=ablation.layer.units)
    return {"accuracy_drop": (lost / max(len(rows), 1)).astype(np.float32)}
