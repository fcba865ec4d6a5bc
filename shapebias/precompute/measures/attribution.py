"""The attribution pass: the maps of attribution methods for some of the probe images, shard by shard."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.method import Method
from shapebias.core.store import schema
from shapebias.core.store.schema import SCORES
from shapebias.precompute.attribution.explain import explain
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.subject import NotApplicable, Subject
from shapebias.precompute.images.versions import CLEAN, SILHOUETTE
from shapebias.precompute.parts import Part
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import POSITION, Rows, rows_by_image
from shapebias.precompute.scanning.scan import Parts
from shapebias.precompute.scanning.upload import DeviceBatch
from shapebias.precompute.scoring.scoring import BatchScores, Scoring
from shapebias.precompute.stopwatch import Stopwatch

VERSIONS = (CLEAN, SILHOUETTE)  # the versions of every image that the pass needs
_BLACK = 128  # pixels of a silhouette darker than this belong to the object
_PROBABILITY, _METHOD_FACTS = "probability", "said"  # names of arrays that every part has
_MAPS, _SCALE, _GAP = "maps", "scale", "gap"  # kinds of arrays that each method has


def _array_name(method: str, kind: str) -> str:
    """Return the name in a part of a method's array of this kind."""
    return f"{method}.{kind}"


@dataclass
class MethodFacts:
    """Facts about the attribution methods of a model. All but the notes are by the method's name.

    left_out:  the reason why the method was left out
    fallback:  the name of the method that was run in its place
    seconds:   how many seconds the method took; those of the scores are under the name SCORES
    notes:     lines for the user
    """

    left_out: dict[str, str] = field(default_factory=dict)
    fallback: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_array(self) -> NDArray[np.uint8]:
        """Return all facts as one array, JSON in bytes, to be kept in a part."""
        return np.frombuffer(json.dumps(asdict(self)).encode(), np.uint8)

    @classmethod
    def merged(cls, parts: Iterable[Mapping[str, NDArray[Any]]]) -> "MethodFacts":
        """Return the facts of several parts together.

        Seconds are added up, and notes joined, each once. Of a method's other facts, those of the first part are taken.
        """
        result = cls()
        for part in parts:
            facts = cls(**json.loads(bytes(part[_METHOD_FACTS])))
            result.left_out = facts.left_out | result.left_out
            result.fallback = facts.fallback | result.fallback
            for method, seconds in facts.seconds.items():
                result.seconds[method] = result.seconds.get(method, 0.0) + seconds
            result.notes = list(dict.fromkeys([*result.notes, *facts.notes]))
        return result


@dataclass(frozen=True)
class AttributionMeasure:
    """Measures a model's maps by some methods. The images of the scan come in VERSIONS.

    model:    the model's number in the run
    choices:  the methods, with their settings
    targets:  int32 [images of the scan], the outputs to explain
    seeds:    int64 [images of the scan], for the random numbers of methods
    scoring:  how the maps are scored
    """

    model: int
    choices: tuple[Choice, ...]
    targets: NDArray[np.int32]
    seeds: NDArray[np.int64]
    scoring: Scoring

    def start(self, runners: Sequence[Runner]) -> "AttributionShard":
        """Return an empty measurement for one shard."""
        return AttributionShard(self, runners[self.model])

    def merge(self, parts: Parts, rows: NDArray[np.int64], count: int) -> "Attributed":
        """Return the merged results.

        The images of the scan are at `rows` of the `count` images that the store explains.

        A method that does not apply to the network according to any shard is left out.
        """
        method_facts = MethodFacts.merged(parts)
        choices = [choice for choice in self.choices if choice.name not in method_facts.left_out]
        kinds = (_SCALE, _GAP, *self.scoring.names)
        names = [_PROBABILITY, *(_array_name(choice.name, kind) for kind in kinds for choice in choices)]
        _, arrays = rows_by_image(parts, len(rows), names)

        def of_all(values: NDArray[Any], missing: float) -> NDArray[Any]:
            every = np.full((count, *values.shape[1:]), missing, values.dtype)
            every[rows] = values
            return every

        def of_methods(kind: str) -> NDArray[np.float32]:
            by_method = [of_all(arrays[_array_name(choice.name, kind)], np.nan) for choice in choices]
            return np.stack(by_method) if by_method else np.zeros((0, count), np.float32)

        return Attributed(
            methods=[_facts(choice, parts, method_facts) for choice in choices],
            target=of_all(self.targets, -1),
            probability=of_all(arrays[_PROBABILITY], np.nan),
            scale=of_methods(_SCALE),
            gap=of_methods(_GAP),
            scores={name: of_methods(name) for name in self.scoring.names},
            method_facts=method_facts,
            rows=rows,
            parts=parts,
        )


def _facts(choice: Choice, parts: Parts, method_facts: MethodFacts) -> schema.AttributedMethod:
    _, height, width = next(part[_array_name(choice.name, _MAPS)].shape for part in parts)
    return schema.AttributedMethod(
        **choice.to_attributes(),
        family=choice.method.family,
        signed=choice.method.signed,
        height=height,
        width=width,
        fallback=method_facts.fallback.get(choice.name, ""),
    )


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """The attribution maps of a model in the shapes of the store's schema, for all images that the store explains.

    target:        int32 [images], the explained outputs, -1 where there is none
    probability:   float32 [images], of the explained outputs; NaN where there is none
    scale, gap:    float32 [methods, images]: see `scaled` and `Explanation`; NaN where they are not measured
    scores:        the scores of the maps, by name: float32 [methods, images], `overlap` [methods, images, thresholds]
    method_facts:  see `MethodFacts`
    rows:          int64, which of the images have an output to explain: these are the images of the scan
    parts:         the parts of the scan, which hold the maps
    """

    methods: Sequence[schema.AttributedMethod]
    target: NDArray[np.int32]
    probability: NDArray[np.float32]
    scale: NDArray[np.float32]
    gap: NDArray[np.float32]
    scores: dict[str, NDArray[np.float32]]
    method_facts: MethodFacts
    rows: NDArray[np.int64]
    parts: Parts

    def maps(self, method: schema.AttributedMethod) -> Iterator[NDArray[np.float16]]:
        """Yield a method's maps as they are stored, in blocks float16 [n, h, w], for all images in order.

        The maps of images without an output to explain are 0. A block may be empty.
        """
        done = 0
        for part in self.parts:
            for row, values in zip(
                self.rows[part[POSITION]].tolist(), part[_array_name(method.name, _MAPS)], strict=True
            ):
                yield np.zeros((row - done, method.height, method.width), np.float16)
                yield values[None]
                done = row + 1
        yield np.zeros((len(self.target) - done, method.height, method.width), np.float16)


class AttributionShard:
    """The measurements of one shard."""

    def __init__(self, measure: AttributionMeasure, runner: Runner) -> None:
        self._measure, self._subject = measure, Subject.of(runner)
        self._rows, self._method_facts = Rows(), MethodFacts()
        watched = (*(choice.name for choice in measure.choices), SCORES)
        self._watches = {name: Stopwatch(self._subject.device.device) for name in watched}

    def feed(self, batch: DeviceBatch) -> None:
        """Measure a batch."""
        device = self._subject.device
        images = self._subject.images(batch.sent[:, VERSIONS.index(CLEAN)])
        targets = device.upload(self._measure.targets[batch.positions].astype(np.int64))
        seeds = self._measure.seeds[batch.positions].tolist()
        probability = self._subject.probabilities(images, targets).cpu().numpy()
        self._rows.add({POSITION: batch.positions, _PROBABILITY: probability})
        with self._watches[SCORES].running():
            silhouettes = batch.pixels[:, VERSIONS.index(SILHOUETTE), ..., 0]
            question, masks = Question(images, targets, seeds), silhouettes < _BLACK
            scores = self._measure.scoring.start(self._subject, question, batch.positions, masks)
        for choice in self._measure.choices:
            if choice.name in self._method_facts.left_out:
                continue
            try:
                with self._watches[choice.name].running():
                    explanation = explain(self._subject, choice, images, targets, seeds)
            except NotApplicable as error:
                self._method_facts.left_out[choice.name] = str(error)
            else:
                self._keep(choice.method, explanation, scores)

    def _keep(self, method: Method, explanation: Explanation, scores: BatchScores) -> None:
        """Keep a method's maps, in float16, and the scores of these; the scores of a map of NaN are NaN."""
        maps, scale = scaled(explanation.maps)
        gap = torch.full_like(scale, torch.nan) if explanation.gap is None else explanation.gap
        tensors = {_MAPS: maps, _SCALE: scale, _GAP: gap.float()}
        arrays = {kind: values.cpu().numpy() for kind, values in tensors.items()}
        with self._watches[SCORES].running():
            scored = scores(method, maps)
        for values in scored.values():
            values[np.isnan(arrays[_SCALE])] = np.nan
        self._rows.add({_array_name(method.name, kind): values for kind, values in (arrays | scored).items()})
        if explanation.fallback is not None:
            self._method_facts.fallback[method.name] = explanation.fallback

    def part(self) -> Part:
        """Return what is kept of every image, row by row, and the facts about methods."""
        self._method_facts.seconds = {method: watch.seconds for method, watch in self._watches.items()}
        self._method_facts.notes = list(self._subject.notes)
        return self._rows.part() | {_METHOD_FACTS: self._method_facts.to_array()}


def scaled(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return maps [B, h, w] as they are stored, float16 in [-1, 1], and their scales, float32 [B]: the largest |value|
    of each.

    A map that is 0 everywhere has scale 0. One that is NaN everywhere has scale NaN and is stored as 0.
    """
    scale = maps.float().abs().amax((1, 2))
    divided = maps / torch.where(scale > 0, scale, 1.0)[:, None, None]
    return divided.nan_to_num(0).half(), scale
