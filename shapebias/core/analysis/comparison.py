"""Two models of a store side by side: every metric layer by layer, with intervals and permutation tests."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.accuracy import Accuracy, accuracies
from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS
from shapebias.core.shape_bias.decisions import score
from shapebias.core.shape_bias.observers import bias_record
from shapebias.core.store.reader import Store
from shapebias.core.text import aligned, printable

RESAMPLES = 2000
OUTLIER = 0.2  # of the layer's mean clean TV, as in the code of Chen, Agarwal & Nguyen
_AT_ONCE = 4_000_000  # values a block of resamples holds

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerSummary:
    """A metric over the living units of a layer (float; NaN without any): those with a value that are not dead.

    `dead` counts units that are never above 0; they are left out.
    """

    model: str
    layer: str
    metric: str
    units: int
    dead: int
    mean: float
    median: float
    lower_quartile: float
    upper_quartile: float


@dataclass(frozen=True)
class Difference:
    """How a metric differs between two models in a layer: the second model's mean less the first's.

    low, high: 95 % percentile bootstrap interval, units resampled in each model. p: two-sided permutation test of the
    difference of means, units exchanged between the models; at least 1 / (RESAMPLES + 1).
    """

    layer: str
    metric: str
    first: LayerSummary
    second: LayerSummary
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Overall:
    """A metric over all layers: in how many of `layers` the second model has the larger mean, the mean difference in
    units of the layers' standard deviations, and the p of a permutation test within layers."""

    metric: str
    layers: int
    larger: int
    effect: float
    p: float


def dead_units(store: Store, model: str, layer: str) -> NDArray[np.bool_]:
    """Which units are never above 0, bool [units]."""
    dead: NDArray[np.bool_] = store.metric(model, layer, "max") <= 0
    return dead


def outliers(store: Store, model: str, layer: str) -> NDArray[np.int64]:
    """The units whose |tv_shift| is at least 20 % of the layer's mean clean TV; none without the noise pass."""
    if "tv_shift" not in store.metric_names(model, layer):
        return np.zeros(0, np.int64)
    shift, clean = store.metric(model, layer, "tv_shift"), living(store, model, layer, "tv")
    if not len(clean):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.abs(shift) >= OUTLIER * clean.mean())


def living(store: Store, model: str, layer: str, metric: str) -> Floats:
    """A metric of the units that are not dead and have a value, float64 [those units]."""
    values = store.metric(model, layer, metric).astype(np.float64)
    return values[np.isfinite(values) & ~dead_units(store, model, layer)]


def summarize(store: Store, model: str, layer: str, metric: str) -> LayerSummary:
    """Mean, median and quartiles of a metric in a layer."""
    values = living(store, model, layer, metric)
    dead = int(dead_units(store, model, layer).sum())
    if not len(values):
        return LayerSummary(model, layer, metric, 0, dead, *[float("nan")] * 4)
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
    return LayerSummary(
        model, layer, metric, len(values), dead, float(values.mean()), float(median), float(lower), float(upper)
    )


def pair_of(store: Store, first: str | None, second: str | None) -> tuple[str, str]:
    """The models to compare: those named, else the first two of the store. Raises UsageError without two."""
    names = list(store.models)
    for name in (first, second):
        if name is not None:
            store.check_model(name)
    if first is None or second is None:
        if len(names) < 2:
            raise UsageError(f"{printable(str(store.path))} holds one model: compare needs two, precompute with both")
        first = first or next(name for name in names if name != second)
        second = second or next(name for name in names if name != first)
    if first == second:
        raise UsageError(f"{first} is compared with itself: name two models")
    return first, second


def shared_layers(store: Store, first: str, second: str) -> list[str]:
    """The layers that both models have, by name. Raises UsageError where there is none."""
    layers = [layer for layer in store.layers(first) if layer in store.layers(second)]
    if not layers:
        raise UsageError(f"{first} and {second} have no layers of one name: their layers cannot be compared")
    return layers


def compare(
    store: Store, first: str, second: str, metrics: list[str] | None = None
) -> tuple[list[Difference], list[Overall]]:
    """Every metric that both models have (or those named) in every layer that both have, and over all layers.

    Seeded: the same store gives the same numbers. Raises UsageError for a metric that is not there.
    """
    layers = shared_layers(store, first, second)
    stored = [set(store.metric_names(model, layer)) for model in (first, second) for layer in layers]
    known = [name for name in store.metric_names(first, layers[0]) if any(name in names for names in stored)]
    for name in metrics or []:
        if name not in known:
            raise UsageError(f"{printable(name)} is not a metric of both models: there are {', '.join(known)}")
    differences, overall = [], []
    for metric in metrics or known:
        rows = []
        for layer in layers:
            if all(metric in store.metric_names(model, layer) for model in (first, second)):
                rows.append(_Permuted(store, layer, metric, first, second))
        differences += [row.difference for row in rows]
        overall.append(_overall(metric, rows))
    return differences, overall


class _Permuted:
    """The difference of a metric in a layer, and the same for units exchanged at random, in standard deviations."""

    def __init__(self, store: Store, layer: str, metric: str, first: str, second: str) -> None:
        a, b = (living(store, model, layer, metric) for model in (first, second))
        one, two = (summarize(store, model, layer, metric) for model in (first, second))
        random = np.random.default_rng(0)
        self.effect, self.effects = float("nan"), np.full(RESAMPLES, np.nan)
        low = high = p = difference = float("nan")
        if len(a) and len(b):
            difference = float(b.mean() - a.mean())
            low, high = np.quantile(_resampled(b, random) - _resampled(a, random), [0.025, 0.975])
            permuted = _permuted(a, b, random)
            p = _p_value(difference, permuted)
            spread = float(np.concatenate([a, b]).std())
            if spread > 0:
                self.effect, self.effects = difference / spread, permuted / spread
        self.difference = Difference(layer, metric, one, two, difference, float(low), float(high), p)


def _overall(metric: str, rows: list[_Permuted]) -> Overall:
    known = [row for row in rows if not np.isnan(row.effect)]
    if not known:
        return Overall(metric, 0, 0, float("nan"), float("nan"))
    effect = float(np.mean([row.effect for row in known]))
    effects = np.mean([row.effects for row in known], axis=0)
    larger = sum(row.difference.difference > 0 for row in known)
    return Overall(metric, len(known), larger, effect, _p_value(effect, effects))


def _resampled(values: Floats, random: np.random.Generator) -> Floats:
    """The means of RESAMPLES samples with replacement."""
    means = []
    for count in _blocks(len(values)):
        means.append(values[random.integers(0, len(values), (count, len(values)))].mean(1))
    return np.concatenate(means)


def _permuted(a: Floats, b: Floats, random: np.random.Generator) -> Floats:
    """The differences of means when units are dealt anew to the two models, RESAMPLES times."""
    both = np.concatenate([a, b])
    found = []
    for count in _blocks(len(both)):
        dealt = random.permuted(np.broadcast_to(both, (count, len(both))), axis=1)
        found.append(dealt[:, len(a) :].mean(1) - dealt[:, : len(a)].mean(1))
    return np.concatenate(found)


def _blocks(size: int) -> list[int]:
    most = max(1, _AT_ONCE // max(size, 1))
    return [min(most, RESAMPLES - start) for start in range(0, RESAMPLES, most)]


def _p_value(observed: float, permuted: Floats) -> float:
    """Counts the observed one too (Phipson & Smyth 2010); ties by rounding count as extreme."""
    extreme = np.abs(permuted) >= abs(observed) * (1 - 1e-12)
    return float((1 + extreme.sum()) / (1 + len(permuted)))


def record(value: Any) -> dict[str, Any]:
    """A dataclass of this module as JSON: NaN is None."""
    return {key: _plain(each) for key, each in asdict(value).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and value != value else value


_WORDS = {
    "smoothness": "smoother",
    "filter_smoothness": "smoother in its filters",
    "class_diversity": "more diverse in classes",
    "visual_diversity": "more diverse to the eye",
    "color_sensitivity": "more dependent on colour",
    "shape_sensitivity": "more dependent on shape",
    "noise_sensitivity": "more dependent on clean pixels",
    "tv_shift": "roughened more by noise",
    "sparsity": "sparser",
    "selectivity": "more selective",
}


def comparison(store: Store, first: str, second: str, metrics: list[str] | None, all_right: bool) -> dict[str, Any]:
    """Everything that two models of a store can be compared by, as JSON. Raises UsageError and StoreError."""
    differences, overall = compare(store, first, second, metrics)
    return {
        "models": [first, second],
        "accuracy": [record(each) for each in _of(accuracies(store, all_right), first, second)],
        "only_images_that_all_models_get_right": all_right,
        "shape_bias": {model: _bias(store, model) for model in (first, second)},
        "overall": [record(each) for each in overall],
        "layers": [record(each) for each in differences],
        "outliers": {
            model: {layer: outliers(store, model, layer).tolist() for layer in shared_layers(store, first, second)}
            for model in (first, second)
        },
    }


def comparison_text(store: Store, first: str, second: str, metrics: list[str] | None, all_right: bool) -> str:
    """The same as tables and sentences."""
    differences, overall = compare(store, first, second, metrics)
    parts = [_accuracy_table(_of(accuracies(store, all_right), first, second), first, second, all_right)]
    biases = [(model, _bias(store, model)) for model in (first, second)]
    lines = [_bias_line(model, bias) for model, bias in biases if bias is not None]
    parts.append("".join(f"{line}\n" for line in lines))
    parts.append(_layer_table(differences, first, second))
    parts.append("".join(f"{sentence(each, second)}\n" for each in overall if each.layers))
    return "\n".join(part for part in parts if part)


def sentence(overall: Overall, second: str) -> str:
    """`demo-r is smoother in 2 of 5 layers; over all +0.31 standard deviations (p = 0.003)`."""
    words = _WORDS.get(overall.metric, f"larger in {overall.metric}")
    p = "p < 0.001" if overall.p < 0.001 else f"p = {overall.p:.3f}"
    return (
        f"{second} is {words} in {overall.larger} of {overall.layers} layers; "
        f"over all {overall.effect:+.2f} standard deviations ({p})"
    )


def _of(found: list[Accuracy], first: str, second: str) -> list[Accuracy]:
    return [each for each in found if each.model in (first, second)]


def _bias(store: Store, model: str) -> dict[str, Any] | None:
    decisions = store.cue_conflict(model)
    return None if decisions is None else bias_record(score(decisions))


def _bias_line(model: str, bias: dict[str, Any]) -> str:
    shown = "undefined" if bias["shape_bias"] is None else f"{bias['shape_bias']:.4f}"
    return f"{model}: shape bias {shown} ({bias['shape']} shape, {bias['texture']} texture, {bias['other']} other)"


def _accuracy_table(found: list[Accuracy], first: str, second: str, all_right: bool) -> str:
    if not found:
        return ""
    conditions = list(dict.fromkeys(each.condition for each in found))
    by = {(each.model, each.condition): each for each in found}
    rows = [["accuracy", first, second, "images"]]
    for condition in conditions:
        pair = [by.get((model, condition)) for model in (first, second)]
        counts = dict.fromkeys(str(each.images) for each in pair if each is not None)
        rows.append([condition, *("–" if each is None else _percent(each) for each in pair), "/".join(counts)])
    restricted = "of the images that all models of the store get right\n" if all_right else ""
    return restricted + aligned(rows)


def _percent(each: Accuracy) -> str:
    return "–" if each.accuracy != each.accuracy else f"{each.accuracy:.1%}"


def _layer_table(differences: list[Difference], first: str, second: str) -> str:
    rows = [["metric", "layer", first, second, "difference", "95 % interval", "p", "dead"]]
    for each in differences:
        show = METRICS[each.metric].format
        p = "–" if each.p != each.p else f"{each.p:.4f}"
        interval = f"{show(each.low)} to {show(each.high)}"
        numbers = [show(each.first.mean), show(each.second.mean), show(each.difference), interval, p]
        rows.append([METRICS[each.metric].title, each.layer, *numbers, f"{each.first.dead}/{each.second.dead}"])
    return aligned(rows, left=2)
