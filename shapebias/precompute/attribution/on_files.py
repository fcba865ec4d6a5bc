"""Attribution maps of a few image files, without a store."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core import imagenet
from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.explained import AttributionResult, ExplainedImage, MethodMap
from shapebias.core.attribution.methods import PROBABILITY
from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.attribution.explain import explain
from shapebias.precompute.attribution.explanation import Explanation
from shapebias.precompute.attribution.subject import NotApplicable, Subject, at_target
from shapebias.precompute.device import Device
from shapebias.precompute.images.decode import read_pixels
from shapebias.precompute.images.geometry import ImageError
from shapebias.precompute.images.image_set import ImageSet, image_keys, make_image_set
from shapebias.precompute.images.labels import match_outputs
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.images.sources.patterns import has_wildcard
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner, prepare
from shapebias.precompute.settings import LABEL, PREDICTED

MOST_FILES = 64


def find_files(names: Sequence[str]) -> list[Path]:
    """Return the image files that are named by paths, by patterns with wildcards, or by folders (all files below them).

    Raises UsageError where one does not exist or a folder has no images, and for more than `MOST_FILES`;
    ShapebiasError where a folder cannot be listed.
    """
    files = [file for name in names for file in _files(name)]
    if len(files) > MOST_FILES:
        raise UsageError(
            f"{len(files):,} images are too many: name at most {MOST_FILES}, or use `precompute --passes attribution`"
        )
    return files


def _files(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return [path / os.fsdecode(image) for image in list_images(path)[0].paths]
    if path.exists():
        return [path]
    matching = [Path(match) for match in sorted(glob.glob(name))] if has_wildcard(name) else []  # noqa: PTH207 (absolute patterns)
    if not matching:
        raise UsageError(f"no image {printable(name)}: check its path")
    return matching


@dataclass(frozen=True, kw_only=True)
class ExplainTask:
    """The image files to explain, and the methods.

    target:  which output to explain: `predicted`, the network's decision; `label`, the class that the image's folder is
             named after; or else the name or number of a class
    seed:    the seed of all random numbers; an image's own seed is made from it and the file's name
    """

    files: Sequence[Path]
    choices: Sequence[Choice]
    target: str = PREDICTED
    seed: int = 0


def explain_files(
    specs: Sequence[ModelSpec], task: ExplainTask, device: Device, progress: Reporter
) -> AttributionResult:
    """Return the maps of images, by all methods of a task, for one network after the other.

    Methods that do not apply to a network are left out for it, with a note. Before anything is explained, it raises
    UsageError where an image cannot be read or a network does not know the class, and ShapebiasError where a network
    cannot be loaded, gives no class scores or fails. Later it raises ShapebiasError where a network fails.
    """
    progress.stage("loading models")
    folders = [os.fsencode(file.absolute().parent.name) if task.target == LABEL else None for file in task.files]
    image_set = make_image_set(Path(), [os.fsencode(file) for file in task.files], folders)
    explainers = [_Explainer(prepare(load_model(spec), image_set, device, "paper"), task, image_set) for spec in specs]
    images = [image for explainer in explainers for image in explainer.explain(progress)]
    notes = [f"{explainer.label}: {note}" for explainer in explainers for note in explainer.notes]
    return AttributionResult(choices=task.choices, target=task.target, seed=task.seed, images=images, notes=notes)


@dataclass
class _Explainer:
    """A network with the task's images as it sees them, and the outputs to explain.

    `notes` are lines for the user; `explain` adds them. Making one raises the errors of `explain_files`.
    """

    runner: Runner
    task: ExplainTask
    image_set: ImageSet
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.label = self.runner.model.label
        self._subject = Subject.of(self.runner)
        self._pixels = np.stack([_read(file, self.runner) for file in self.task.files])
        self._images = self._subject.images(self._pixels)
        scores = self._subject.scores(self._images)
        self._targets = self._targets_of(scores)
        self._probabilities = at_target(scores, self._targets, PROBABILITY).tolist()
        self._seeds = image_keys([os.fsencode(file.name) for file in self.task.files], self.task.seed).tolist()

    def explain(self, progress: Reporter) -> list[ExplainedImage]:
        """Return every image of the task, in order, with its maps by all methods."""
        by_method = {choice.name: self._maps(choice, progress) for choice in self.task.choices}
        self.notes += [*self.runner.model.notes, *self._subject.notes]
        return [
            ExplainedImage(
                model=self.label,
                image=file,
                pixels=self._pixels[number],
                output=output,
                output_name=_name_of(self.runner, output),
                probability=self._probabilities[number],
                maps={name: maps[number] for name, maps in by_method.items()},
            )
            for number, (file, output) in enumerate(zip(self.task.files, self._targets.tolist(), strict=True))
        ]

    def _maps(self, choice: Choice, progress: Reporter) -> list[MethodMap]:
        """Return a method's map for every image; where the method does not apply, a problem in place of each map."""
        count = len(self._images)
        progress.stage(f"{self.label}: {choice.method.title}", count)
        together = max(1, self._subject.budget.images // max(1, choice.cost(self._subject.size).forwards))
        maps: list[MethodMap] = []
        for first in range(0, count, together):
            part = slice(first, first + together)
            images, targets, seeds = self._images[part], self._targets[part], self._seeds[part]
            try:
                explanation = explain(self._subject, choice, images, targets, seeds)
            except NotApplicable as error:
                reason = str(error)
                self.notes.append(f"{choice.name} is left out: {reason}")
                return [MethodMap(problem=reason)] * count
            maps += _method_maps(explanation)
            progress.advance(len(images))
        replaced = {attribution_map.fallback for attribution_map in maps} - {""}
        self.notes += [f"{choice.name} does not apply to this network: {fallback} replaces it" for fallback in replaced]
        return maps

    def _targets_of(self, scores: Tensor) -> Tensor:
        """Return the output to explain for each image, int64 [B], on the device of its scores [B, classes].

        Raises UsageError where the task's class, or the folder of an image, is no class of the network.
        """
        target = self.task.target
        if target == PREDICTED:
            return scores.argmax(1)
        if target != LABEL:
            return torch.full((len(scores),), _output_called(self.runner, target), device=scores.device)
        outputs = self.runner.targets(self.image_set.labels)
        for file, output in zip(self.task.files, outputs.tolist(), strict=True):
            if output < 0:
                folder = printable(file.absolute().parent.name, 60)
                raise UsageError(
                    f"--target label: {printable(str(file))} is in a folder {folder}, which is no class of "
                    f"{self.label}: name the class with --target CLASS"
                )
        return torch.from_numpy(outputs.astype(np.int64)).to(scores.device)


def _read(file: Path, runner: Runner) -> NDArray[np.uint8]:
    """Return an image as the network sees it, uint8 [crop, crop, 3]. Raises UsageError where it cannot be read."""
    try:
        return read_pixels(file, runner.geometry)
    except ImageError as error:
        raise UsageError(f"{printable(str(file))} is no image that can be explained: {error}") from error


def _method_maps(explanation: Explanation) -> list[MethodMap]:
    """Return the map of each image; a problem in place of a map with NaN or infinite values."""
    maps, fallback = explanation.maps.cpu().numpy(), explanation.fallback or ""
    gaps = np.full(len(maps), np.nan) if explanation.gap is None else explanation.gap.cpu().numpy()
    return [
        MethodMap(values=values, gap=gap, fallback=fallback)
        if np.isfinite(values).all()
        else MethodMap(fallback=fallback, problem="the network's scores are NaN or infinite")
        for values, gap in zip(maps, gaps.tolist(), strict=True)
    ]


def _output_called(runner: Runner, name: str) -> int:
    """Return the output of the class that a user names: the network's own class id, a number, or ImageNet's name or
    WordNet id.

    Raises UsageError where no output is called so, or several are.
    """
    ids, outputs = runner.model.class_ids, runner.outputs or 0
    if ids is not None and name in ids:
        return ids.index(name)
    if name.isascii() and name.isdecimal():
        output = int(name) if len(name) < 10 else outputs
    else:
        matched = match_outputs({name: 0}, [name], ids, outputs).outputs
        output = -1 if matched is None else int(matched[0])
    if not 0 <= output < outputs:
        raise UsageError(
            f"--target {printable(name, 60)} is no class of {runner.model.label}, or more than one: write predicted, "
            f"label, a class by its name or WordNet id, or its number, 0 to {outputs - 1}"
        )
    return output


def _name_of(runner: Runner, output: int) -> str:
    """Return the name of an output's class; `output N` where it is unknown."""
    ids, names = runner.model.class_ids, imagenet.class_names()
    if ids is None:
        return names[output] if runner.outputs == len(names) else f"output {output}"
    index = imagenet.index_of_wnid(ids[output])
    return ids[output] if index is None else names[index]
