"""Shape or texture: what cue-conflict images show, what a network decides for them, and its shape bias.

A cue-conflict image has the shape of one category and the texture of another (Geirhos et al. 2019, arXiv 1811.12231).
Sets of them also hold images without a conflict, whose shape and texture are of the same category.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shapebias.core.shape_bias.bootstrap import NO_INTERVAL, Interval, crossed_interval, image_interval, sources_of
from shapebias.core.shape_bias.categories import CATEGORY
from shapebias.core.text import printable

RESAMPLES = 10_000  # of the bootstrap
SOURCES, IMAGES = "shape and texture sources", "images"  # the two ways to resample for an interval
NO_DECISION = -1
NATIVE, MODEL = STIMULI = ("native", "model")  # how stimuli are prepared: as they are, or by the network's own crop

_STIMULUS = re.compile(rf"({CATEGORY.pattern})[0-9]*-({CATEGORY.pattern})(?:-?[0-9]+)?(?:\.[A-Za-z0-9]+)?")


def short_name(name: str) -> str:
    """Return the name that identifies an image for all observers: without folders, and without what recorded decisions
    put before it, such as `0001_s5n_dnn_0_cat_00_`.
    """
    return name.rpartition("/")[2].rpartition("_")[2]


def parse_stimulus(name: str) -> tuple[str, str]:
    """Return the names of the shape and the texture in an image's name. Raises ValueError for a name of another kind.

    The name is `cat/cat1-elephant2.png` as published, `0001_s5n_dnn_0_cat_00_cat1-elephant2.png` as recorded, or
    `circle/circle-dots-00012.png` of the built-in images.

    >>> parse_stimulus("cat/cat1-elephant2.png")
    ('cat', 'elephant')
    """
    match = _STIMULUS.fullmatch(short_name(name))
    if match is None:
        raise ValueError("not named like cat1-elephant2.png")
    return match[1], match[2]


def label_stimulus(name: str, categories: Sequence[str], textures: Sequence[str] | None = None) -> tuple[int, int]:
    """Return an image's shape and texture, by its name, as indices into `categories`.

    Where textures have names of their own (those of the built-in images), `textures` has them, in the order of
    `categories`. Raises ValueError that says what is wrong with the name.
    """
    shape, texture = parse_stimulus(name)
    for category, names in ((shape, categories), (texture, textures or categories)):
        if category not in names:
            raise ValueError(f"unknown category {printable(category, 40)}")
    folder = name.rpartition("/")[0].rpartition("/")[2]
    if folder != shape and folder in categories:
        raise ValueError(f"named after {shape}, but in folder {folder}")
    return categories.index(shape), (textures or categories).index(texture)


@dataclass(frozen=True, kw_only=True)
class Stimuli:
    """The stimuli among some files.

    used:            int64 [images], the indices of the files that can be used
    shape, texture:  int32 [images], the indices of their categories; equal in images without a conflict
    unusable:        (name, reason) of every file that cannot be used
    others:          number of files that are left out, but not unusable: those of categories that do not take part
    """

    used: NDArray[np.int64]
    shape: NDArray[np.int32]
    texture: NDArray[np.int32]
    unusable: list[tuple[str, str]]
    others: int = 0

    @property
    def conflicting(self) -> NDArray[np.bool_]:
        """Which of the images used have a conflict, bool [images]: shape and texture are of different categories."""
        differ: NDArray[np.bool_] = self.shape != self.texture
        return differ


def label_stimuli(
    names: Sequence[str],
    categories: Sequence[str],
    textures: Sequence[str] | None = None,
    all_categories: Sequence[str] = (),
) -> Stimuli:
    """Return which of many files can be used, with their `label_stimulus`, and why others cannot. Raises nothing.

    `all_categories` are those of the experiment where not all take part: files with a cue of the others are only
    counted.
    """
    used, unusable, others = [], [], 0
    for row, name in enumerate(names):
        try:
            shape, texture = label_stimulus(name, categories, textures)
        except ValueError as error:
            if _is_of_others(name, categories, all_categories):
                others += 1
            else:
                unusable.append((name, str(error)))
            continue
        used.append((row, shape, texture))
    table = np.array(used, np.int64).reshape(-1, 3)
    return Stimuli(
        used=table[:, 0],
        shape=table[:, 1].astype(np.int32),
        texture=table[:, 2].astype(np.int32),
        unusable=unusable,
        others=others,
    )


def _is_of_others(name: str, categories: Sequence[str], all_categories: Sequence[str]) -> bool:
    try:
        cues = set(parse_stimulus(name))
    except ValueError:
        return False
    return cues <= set(all_categories) and not cues <= set(categories)


def decide(probabilities: NDArray[np.floating], mapping: Mapping[str, Sequence[int]]) -> NDArray[np.int32]:
    """Return for each image the category with the largest mean probability over its classes, the first of equals.

    probabilities:  float [images, classes], softmax outputs
    mapping:        for each category the indices of its classes

    The result is int32 [images], indices into the mapping's categories, NO_DECISION (-1) where a probability of the
    image is not finite. The rule is that of Geirhos et al. (2019).

    >>> decide(np.array([[0.1, 0.6, 0.3]]), {"cat": [0, 1], "dog": [2]})
    array([0], dtype=int32)
    """
    means = [probabilities[:, list(classes)].mean(1, dtype=np.float64) for classes in mapping.values()]
    decision: NDArray[np.int32] = np.argmax(means, axis=0).astype(np.int32)
    decision[~np.isfinite(probabilities).all(1)] = NO_DECISION
    return decision


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The decisions of one observer (a model or a person), or of several together, for cue-conflict images and for
    images without a conflict.

    categories:                names that the arrays index
    images:                    the images' names; an image decided by several observers is there several times
    shape, texture, decision:  int32 [images], indices into `categories`; decision NO_DECISION (-1) is none of them
    excluded:                  how many images with equal categories were left out (only early stores left them out);
                               such images never enter the shape bias
    stimuli:                   how the images were prepared, NATIVE or MODEL; empty where unknown

    Raises ValueError where these are inconsistent.
    """

    categories: list[str]
    images: list[str]
    shape: NDArray[np.int32]
    texture: NDArray[np.int32]
    decision: NDArray[np.int32]
    excluded: int = 0
    stimuli: str = ""

    def __post_init__(self) -> None:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("two categories have the same name")
        if not len(self.images) == len(self.shape) == len(self.texture) == len(self.decision):
            raise ValueError("there is not one shape, texture and decision per image")
        for values, least in ((self.shape, 0), (self.texture, 0), (self.decision, NO_DECISION)):
            if len(values) and not least <= values.min() <= values.max() < len(self.categories):
                raise ValueError("a category that does not exist")
        if self.excluded < 0:
            raise ValueError("a negative count")
        if self.stimuli not in ("", *STIMULI):
            raise ValueError("an unknown preparation of the stimuli")

    def among(self, categories: Sequence[str]) -> "Decisions":
        """Return the decisions for images whose shape and texture are both among `categories`, which they then index.

        A decision for another category becomes NO_DECISION.
        """
        new = np.full(len(self.categories) + 1, NO_DECISION, np.int32)  # new[-1], the last, is for NO_DECISION
        for index, name in enumerate(self.categories):
            if name in categories:
                new[index] = categories.index(name)
        shape, texture = new[self.shape], new[self.texture]
        kept = np.flatnonzero((shape >= 0) & (texture >= 0))
        return replace(
            self,
            categories=list(categories),
            images=[self.images[row] for row in kept.tolist()],
            shape=shape[kept],
            texture=texture[kept],
            decision=new[self.decision[kept]],
        )

    def conflicting(self) -> "Decisions":
        """Return the decisions for images with a conflict; the other images are counted in `excluded`."""
        kept = np.flatnonzero(self.shape != self.texture)
        return replace(
            self,
            images=[self.images[row] for row in kept.tolist()],
            shape=self.shape[kept],
            texture=self.texture[kept],
            decision=self.decision[kept],
            excluded=self.excluded + len(self.images) - len(kept),
        )


def pool(observers: Sequence[Decisions]) -> Decisions:
    """Return the decisions of several observers, one or more with the same categories, as those of one observer.

    An image that several saw is there several times.
    """
    return Decisions(
        categories=observers[0].categories,
        images=[name for observer in observers for name in observer.images],
        shape=np.concatenate([observer.shape for observer in observers]),
        texture=np.concatenate([observer.texture for observer in observers]),
        decision=np.concatenate([observer.decision for observer in observers]),
        excluded=sum(observer.excluded for observer in observers),
        stimuli=observers[0].stimuli if len({observer.stimuli for observer in observers}) == 1 else "",
    )


@dataclass(frozen=True)
class Counts:
    """The numbers of decisions for the shape of an image, for its texture, and for something else or nothing."""

    shape: int
    texture: int
    other: int

    @property
    def shape_bias(self) -> float:
        """The shape bias, shape / (shape + texture), in [0, 1]; NaN where both are 0.

        >>> Counts(shape=182, texture=537, other=481).bias_text
        '0.2531'
        """
        decided = self.shape + self.texture
        return self.shape / decided if decided else float("nan")

    @property
    def bias_text(self) -> str:
        """The shape bias to four digits, such as `0.2531`, or `undefined`."""
        return f"{self.shape_bias:.4f}" if self.shape + self.texture else "undefined"

    def text(self, number: str = ",") -> str:
        """Return `1,182 shape, 537 texture, 561 other`; with "d" for the format `number`, without commas in numbers."""
        counts = {"shape": self.shape, "texture": self.texture, "other": self.other}
        return ", ".join(f"{count:{number}} {kind}" for kind, count in counts.items())


def sum_counts(counts: Sequence[Counts]) -> Counts:
    """Return the sum of several counts."""
    return Counts(*(sum(getattr(count, kind) for count in counts) for kind in ("shape", "texture", "other")))


@dataclass(frozen=True)
class Score:
    """The shape bias and its counts over all images with a conflict, and counts by shape category.

    counts:          over all categories
    interval:        the 95 % interval of the shape bias; NO_INTERVAL (NaN) for none
    categories:      by the category of the shape, those that have images
    excluded:        number of images without a conflict, which do not count
    image_interval:  the 95 % interval over images; NO_INTERVAL for none
    interval_over:   what was resampled for `interval`: SOURCES where all images' names say which shape and texture they
                     were made of, else IMAGES; empty without images
    stimuli:         see `Decisions`
    """

    counts: Counts
    interval: Interval
    categories: dict[str, Counts]
    excluded: int
    image_interval: Interval = NO_INTERVAL
    interval_over: str = ""
    stimuli: str = ""


def count_decisions(decisions: Decisions) -> Counts:
    """Return the number of decisions by shape, by texture, and by neither, for images with a conflict."""
    decided = decisions.conflicting()
    shape, texture = (int((decided.decision == cue).sum()) for cue in (decided.shape, decided.texture))
    return Counts(shape, texture, len(decided.images) - shape - texture)


def score(decisions: Decisions, seed: int = 0, resamples: int = RESAMPLES) -> Score:
    """Return the shape bias of decisions, their counts in all and by shape category, and bootstrapped intervals.

    Images without a conflict do not count, and categories without an image are left out. The same `seed` gives the same
    intervals.
    """
    decisions = decisions.conflicting()
    is_shape = decisions.decision == decisions.shape
    is_texture = decisions.decision == decisions.texture
    kinds = len(decisions.categories)
    shape, texture, images = (
        np.bincount(decisions.shape[chosen], minlength=kinds).tolist()
        for chosen in (is_shape, is_texture, np.ones(len(is_shape), bool))
    )
    categories = {
        name: Counts(shape[index], texture[index], images[index] - shape[index] - texture[index])
        for index, name in enumerate(decisions.categories)
        if images[index]
    }
    counts = count_decisions(decisions)
    if not decisions.images:
        return Score(counts, NO_INTERVAL, categories, decisions.excluded, stimuli=decisions.stimuli)
    names, image = np.unique(np.array(decisions.images, object), return_inverse=True)
    by_image = np.stack([np.bincount(image, kind) for kind in (is_shape, is_texture)], 1).astype(np.int64)
    over_images = image_interval(by_image, seed=seed, resamples=resamples)
    sources = sources_of([short_name(name) for name in names])
    interval = over_images if sources is None else crossed_interval(by_image, *sources, seed=seed, resamples=resamples)
    return Score(
        counts,
        interval,
        categories,
        decisions.excluded,
        image_interval=over_images,
        interval_over=IMAGES if sources is None else SOURCES,
        stimuli=decisions.stimuli,
    )
