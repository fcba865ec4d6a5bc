"""The differences between two stores, and their bounds."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.setup import Record
from shapebias.core.metrics import METRICS
from shapebias.core.store.reader import Store
from tests.support.store_arrays import arrays_of

_RELATIVE_TO = dict.fromkeys(("max", "mean", "std", "q995"), "max") | dict.fromkeys(
    ("tv", "tv_noisy", "tv_shift"), "tv"
)
_LEAST = 1e-3  # of the layer's largest: a unit that stays below it is as good as dead
_IN_STEPS = ("sparsity", "iou")  # shares of positions and pixels: those at the border may change sides
_STEPS = 10.0  # times as far apart as other shares they may be
_COUNTED = ("tied", "concept_diversity", "shape_score", "texture_score", "accuracy_drop")
_OF_TOP_IMAGES = ("class_diversity", "visual_diversity")  # beside sensitivities and their excess


DISTORTIONS = ("grey", "noise")  # of the runs that are compared
_DECISIONS = ("decision", "cue_conflict/decision", *(f"distortions/{name}" for name in DISTORTIONS))
_ATTACKS = ("adversarial/right",)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The largest differences allowed between two stores.

    largest, median:  bounds on the largest and the median of each metric's differences over all units. Differences of
                      activations are relative to the unit's maximum, those of total variations to the unit's own;
                      those of sparsity and IoU are divided by ten
    shares:           the least shares that must be equal, by kind: of top images (whatever their order in a list), of
                      decisions, of units' metrics that are counts, and of the images' results under attacks
    complete:         whether every metric and decision must be in both stores
    """

    largest: float = np.inf
    median: float
    shares: dict[str, float]
    complete: bool = False


# Attacks begin at the same points, but an image at the border of withstanding one may be rounded across it.
_EQUAL = {"top images": 0.999, "decisions": 1.0, "counts": 0.99, "attacks": 0.9}
BOUNDS = {
    "highest": Bounds(largest=1e-4, median=1e-4, shares=_EQUAL, complete=True),
    "tf32": Bounds(median=1e-3, shares={"top images": 0.99}),
    "bf16": Bounds(median=1e-2, shares={"top images": 0.94}),
}


@dataclass(frozen=True)
class Distance:
    """The differences between two stores, as `Bounds` defines them.

    metrics:  the differences of all units, float64 [units of all layers], by the metric's name
    shares:   the share that is equal, by the kinds of `Bounds.shares`
    """

    metrics: dict[str, NDArray[np.float64]]
    shares: dict[str, float]

    def worst(self, kind: str) -> tuple[float, str]:
        """Return the largest `max` or `median` (`kind`) over units that any metric's differences have, and its name.

        Returns 0 and "none" without metrics.
        """
        quantile = {"max": 1.0, "median": 0.5}[kind]
        return max(
            ((float(np.quantile(some, quantile, method="higher")), name) for name, some in self.metrics.items()),
            default=(0.0, "none"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the distance in a few numbers."""
        differences = {kind: "{:.1e} ({})".format(*self.worst(kind)) for kind in ("max", "median")}
        return differences | {name: round(share, 5) for name, share in self.shares.items()}


def distance(store: Store, expected: Store) -> Distance:
    """Return how far a store is from another of the same networks, layers and images, in what both have.

    A value that is NaN in only one of them is infinitely far off. Metrics that follow from a unit's top images are
    compared only for units with the same top images in both.
    """
    metrics: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    equal: defaultdict[str, list[NDArray[Any]]] = defaultdict(list)
    for path in _paths(store) & _paths(expected):
        kind = "attacks" if path.endswith(_ATTACKS) else "decisions"
        equal[kind].append((store.read(path) == expected.read(path)).ravel())
    for model, layer in _layers(expected):
        common = _shared_top_images(store, expected, model, layer)
        equal["top images"].append(common)
        metrics["values of top images"].append(_top_values_apart(store, expected, model, layer))
        for name in _numbers(store, model, layer) & _numbers(expected, model, layer):
            values, wanted = store.metric(model, layer, name), expected.metric(model, layer, name)
            if name in _COUNTED:
                equal["counts"].append(_same(values, wanted))
                continue
            apart = _apart(values, wanted) / _scale(expected, model, layer, name)
            metrics[name].append(apart[common == 1] if _follows_top_images(name) else apart)
    joined = {name: np.concatenate(some) for name, some in metrics.items()}
    return Distance(
        {name: some for name, some in joined.items() if len(some)},
        {name: float(np.concatenate(some).mean()) for name, some in equal.items()},
    )


def check_distance(record: Record, name: str, *, store: Store, expected: Store, bounds: Bounds) -> None:
    """Record how far a store is from another, and as violations what is outside `bounds`."""
    apart = distance(store, expected)
    record.measured[name] = apart.to_json()
    if bounds.complete:
        missing = _contents(expected) ^ _contents(store)
        record.check(not missing, f"{name}: only one of the two has {', '.join(sorted(missing)[:4])}")
    for kind, bound in (("max", bounds.largest), ("median", bounds.median)):
        value, metric = apart.worst(kind)
        record.check(value <= bound, f"{name}: {metric} differs by {value:.1e} ({kind} over units), not {bound:g}")
    for what, bound in bounds.shares.items():
        share = apart.shares.get(what, 1.0)
        record.check(share >= bound, f"{name}: {share:.2%} of {what} are the same, not {bound:.1%}")


def differing(store: Store, expected: Store) -> list[str]:
    """Return the paths of arrays that are not the same, bit for bit, in two stores of one file system."""
    arrays, wanted = arrays_of(Path(store.path)), arrays_of(Path(expected.path))
    return sorted(path for path in arrays.keys() | wanted.keys() if arrays.get(path) != wanted.get(path))


def _numbers(store: Store, model: str, layer: str) -> set[str]:
    """Return the names of a layer's metrics that are numbers."""
    return {name for name in store.metric_names(model, layer) if not METRICS[name].is_text}


def _layers(store: Store) -> list[tuple[str, str]]:
    """Return the models and layers of a store."""
    return [(model, layer) for model in store.models for layer in store.layers(model)]


def _paths(store: Store) -> set[str]:
    """Return the paths of all decisions in a store, those under attacks included."""
    paths = [f"models/{model}/{kind}" for model in store.models for kind in (*_DECISIONS, *_ATTACKS)]
    return set(filter(store.has, paths))


def _contents(store: Store) -> set[str]:
    """Return the names of all metrics and decisions in a store."""
    metrics = {f"{model}/{layer} {name}" for model, layer in _layers(store) for name in _numbers(store, model, layer)}
    return metrics | _paths(store)


def _shared_top_images(store: Store, expected: Store, model: str, layer: str) -> NDArray[np.float64]:
    """Return the share of each unit's top images that both stores have, float64 [units]."""
    lists = (one.top_lists(model, layer, "image") for one in (store, expected))
    return np.array(
        [len(np.intersect1d(one, other)) / len(np.unique(other)) for one, other in zip(*lists, strict=True)]
    )


def _top_values_apart(store: Store, expected: Store, model: str, layer: str) -> NDArray[np.float64]:
    """Return how far the values of each unit's top list are apart on average, relative to the unit's max."""
    values, wanted = (one.top_lists(model, layer, "value") for one in (store, expected))
    apart: NDArray[np.float64] = _apart(values, wanted).mean(1) / _scale(expected, model, layer, "max")
    return apart


def _follows_top_images(name: str) -> bool:
    return name in _OF_TOP_IMAGES or name.endswith(("_sensitivity", "_excess"))


def _scale(expected: Store, model: str, layer: str, name: str) -> NDArray[np.float64] | float:
    """Return what a metric's differences are divided by: one number for all units, or float64 [units]."""
    relative_to = _RELATIVE_TO.get(name.partition("@")[0])
    if relative_to is None:
        return _STEPS if name in _IN_STEPS else 1.0
    usual = np.abs(expected.metric(model, layer, relative_to).astype(np.float64))
    return np.maximum(usual, max(_LEAST * usual.max(), np.finfo(np.float32).tiny))


def _apart(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return |actual - expected|; 0 where both are equal or both NaN, infinite where one of them is NaN."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(actual.astype(np.float64) - expected)
    return np.where(_same(actual, expected), 0.0, np.nan_to_num(apart, nan=np.inf, posinf=np.inf))


def _same(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    return same
