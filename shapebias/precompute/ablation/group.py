"""The effect of setting a group of units to zero, across layers: accuracy and shape bias before and after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.shape_bias.decisions import Counts, decide
from shapebias.core.store.reader import Store
from shapebias.core.text import printable
from shapebias.precompute.device import Pixels, choose_device
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.inputs import list_images
from shapebias.precompute.measures.categories import stimulus_geometry
from shapebias.precompute.measures.cue_conflict import label_images
from shapebias.precompute.memory import in_parts
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.gpu_decoding import check_decoding
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings
from shapebias.precompute.stored import stored_runner

Masks = Mapping[str, NDArray[np.bool_]]  # by layer: which units are set to zero, bool [units]


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """The results of the model with the label `model`: with all units, and with `zeroed` of its `units` set to zero.

    accuracy:   before and after, fractions of `labelled` images; None where there are no such images
    decisions:  before and after, the numbers of images that are decided by shape, by texture, and otherwise; None where
                there are no cue-conflict images
    """

    model: str
    zeroed: int
    units: int
    labelled: int
    accuracy: tuple[float, float] | None
    decisions: tuple[Counts, Counts] | None


def units_to_zero(chosen: Masks, keep: bool) -> dict[str, NDArray[np.bool_]]:
    """Return the units to set to zero, by layer: the chosen ones; or with `keep` the others.

    Layers without chosen units are left out. So with `keep` they stay unchanged, since otherwise nothing would pass
    through them.
    """
    return {layer: ~mask if keep else mask for layer, mask in chosen.items() if mask.any()}


def ablate_group(store: Store, spec: ModelSpec, zeroed: Masks, settings: Settings, progress: Reporter) -> GroupResult:
    """Run a model of a store on the images of `settings` twice: unchanged, and with the units `zeroed` set to zero.

    `spec` says where the model's network is now; its label is the model's name in the store. Raises ShapebiasError
    where that network has other weights or other layers than the store's, and UsageError where there are neither
    labelled images nor cue-conflict images. Errors of loading networks and listing images pass through.
    """
    device = choose_device(settings.device, settings.precision)
    check_decoding(settings.decode, device)
    progress.stage("loading models")
    image_set, _ = list_images(settings, progress)
    store_text = printable(str(store.path))
    stored_text = f"now than {spec.label} in {store_text}"
    runner = stored_runner(store, spec, image_set, device, layers=settings.layers, stored_text=stored_text)
    if [layer.name for layer in runner.layers] != list(store.layers(spec.label)):
        raise ShapebiasError(f"{spec.label} has other layers now than in {store_text}: make the store again")
    comparison = _Comparison(runner, zeroed)
    targets = runner.targets(image_set.labels)
    labelled = np.flatnonzero(targets >= 0)
    stream = Stream(image_set, settings, device, progress)
    accuracy = comparison.accuracy(stream, labelled, targets) if len(labelled) else None
    decisions = None
    if settings.cue_conflict is not None:
        conflicting = Stream(find_images(settings.cue_conflict, progress=progress)[0], settings, device, progress)
        decisions = comparison.shape_or_texture(conflicting, settings.categories)
    if accuracy is None and decisions is None:
        raise UsageError("neither labelled images nor cue-conflict images: name some with --images or --cue-conflict")
    return GroupResult(
        model=spec.label,
        zeroed=sum(int(mask.sum()) for mask in zeroed.values()),
        units=sum(layer.units for layer in runner.layers),
        labelled=len(labelled),
        accuracy=accuracy,
        decisions=decisions,
    )


class _Comparison:
    """A network as it is (before), and with some units set to zero (after)."""

    def __init__(self, runner: Runner, zeroed: Masks) -> None:
        self._runner = runner
        names = [layer.name for layer in runner.layers]
        self._channels = {
            names.index(name): torch.from_numpy(np.flatnonzero(mask)).to(runner.device.device)
            for name, mask in zeroed.items()
        }

    def _silence(self, index: int, output: Tensor) -> Tensor | None:
        """Return the output of the layer at `index` with its chosen channels set to 0; None where none is chosen."""
        return None if index not in self._channels else output.index_fill(1, self._channels[index], 0)

    def _scores(
        self, stream: Stream, title: str, positions: NDArray[np.int64], geometry: Geometry
    ) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Yield for each batch the images' indices into `positions`, int64 [B], and the scores [B, classes] with and
        without the units.

        `positions` are those of the images in the stream's listing.
        """
        runner = self._runner
        for batch in stream.batches(f"{runner.model.label}: {title}", geometry, positions):
            first = 0
            for before, after in in_parts(self._with_and_without, batch.sent):
                yield batch.positions[first : first + len(before)], before, after
                first += len(before)

    def _with_and_without(self, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """Return the scores [B, classes] with and without the units, for images uint8 [B, H, W, 3]."""
        before, after = self._runner.forward(pixels), self._runner.forward(pixels, self._silence)
        assert before is not None
        assert after is not None
        return before, after

    def accuracy(
        self, stream: Stream, labelled: NDArray[np.int64], targets: NDArray[np.int32]
    ) -> tuple[float, float] | None:
        """Return the accuracy before and after; None where no image could be used.

        labelled int64: positions of the images in the listing; targets int32 [images of the listing].
        """
        right, seen = np.zeros(2, np.int64), 0
        for rows, *scores in self._scores(stream, "accuracy", labelled, self._runner.geometry):
            labels = targets[labelled[rows]]
            right += [int((self._runner.decide(side) == labels).sum()) for side in scores]
            seen += len(rows)
        return (float(right[0] / seen), float(right[1] / seen)) if seen else None

    def shape_or_texture(self, stream: Stream, file: Path | None) -> tuple[Counts, Counts]:
        """Return how many cue-conflict images are decided by shape, by texture, and otherwise, before and after.

        `file` says which classes make a category; None: see `category_mapping`. Images are prepared as the stream's
        settings say; those without a conflict are left out. Raises the errors of `label_images`.
        """
        mappings, stimuli = label_images([self._runner], stream.image_set, file)
        mapping = mappings[self._runner.model.label]
        counts, conflicting = np.zeros((2, 3), np.int64), stimuli.conflicting
        cues = (stimuli.shape[conflicting], stimuli.texture[conflicting])
        geometry = stimulus_geometry(self._runner.geometry, stream.settings.stimuli)
        for rows, *scores in self._scores(stream, "cue conflict", stimuli.used[conflicting], geometry):
            for side, side_scores in enumerate(scores):
                decided = decide(torch.softmax(side_scores.float(), 1).cpu().numpy(), mapping)
                shape, texture = (int((decided == cue[rows]).sum()) for cue in cues)
                counts[side] += (shape, texture, len(rows) - shape - texture)
        return Counts(*counts[0].tolist()), Counts(*counts[1].tolist())
