"""Two models of a store side by side: accuracy, shape bias, and every metric layer by layer, with intervals and
permutation tests."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.accuracy import Accuracy, accuracies
from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS
from shapebias.core.shape_bias.decisions import Score, score
from shapebias.core.shape_bias.observers import bias_record
from shapebias.core.store.reader import Store
from shapebias.core.text import aligned, printable

RESAMPLES = 2000
OUTLIER = 0.2  # of the layer's mean clean TV, as in the code of Chen, Agarwal & Nguyen
_AT_ONCE = 4_000_000  # values a block of resamples holds

# What it means that a metric is larger; of others "larger in METRIC".
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

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Overall:
    """A metric over all layers: in how many of `layers` the second model has the larger mean, the mean difference in
    units of the layers' standard deviations, and the p of a permutation test within layers."""

    metric: str
    layers: int
    larger: int
    effect: float
    p: float


# What is compared


def pair_of(store: Store, first: str | None, second: str | None) -> tuple[str, str]:
    """Return the models to compare: those named, else the first two of the store. Raises UsageError without two."""
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
    """Return the layers that both models have, by name. Raises UsageError where there is none."""
    layers = [layer for layer in store.layers(first) if layer in store.layers(second)]
    if not layers:
        raise UsageError(f"{first} and {second} have no layers of one name: their layers cannot be compared")
    return layers


# A layer of one model


def dead_units(store: Store, model: str, layer: str) -> NDArray[np.bool_]:
    """Return which units are never above 0, bool [units]."""
    dead: NDArray[np.bool_] = store.metric(model, layer, "max") <= 0
    return dead


def living(store: Store, model: str, layer: str, metric: str) -> Floats:
    """Return a metric of the units that are not dead and have a value, float64 [those units]."""
    values = store.metric(model, layer, metric).astype(np.float64)
    return values[np.isfinite(values) & ~dead_units(store, model, layer)]


def summarize(store: Store, model: str, layer: str, metric: str) -> LayerSummary:
    """Return mean, median and quartiles of a metric in a layer."""
    values = living(store, model, layer, metric)
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else [np.nan] * 3
    return LayerSummary(
        model=model,
        layer=layer,
        metric=metric,
        units=len(values),
        dead=int(dead_units(store, model, layer).sum()),
        mean=float(values.mean()) if len(values) else float("nan"),
        median=float(median),
        lower_quartile=float(lower),
        upper_quartile=float(upper),
    )


def outliers(store: Store, model: str, layer: str) -> NDArray[np.int64]:
    """Return the units whose |tv_shift| is at least 20 % of the layer's mean clean TV; none without the noise pass."""
    if "tv_shift" not in store.metric_names(model, layer):
        return np.zeros(0, np.int64)
    shift, clean = store.metric(model, layer, "tv_shift"), living(store, model, layer, "tv")
    if not len(clean):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.abs(shift) >= OUTLIER * clean.mean())


# Two models, layer by layer and over all layers


def compare(
    store: Store, first: str, second: str, metrics: list[str] | None = None
) -> tuple[list[Difference], list[Overall]]:
    """Compare every metric that both models have (or those named) in every layer that both have, and over all layers.

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
        tests = [
            _LayerTest(store, (first, second), layer, metric)
            for layer in layers
            if all(metric in store.metric_names(model, layer) for model in (first, second))
        ]
        differences += [test.difference for test in tests]
        overall.append(_overall(metric, tests))
    return differences, overall


class _LayerTest:
    """The difference of a metric in a layer, its effect in standard deviations, and the effects where units are
    exchanged between the models at random."""

    def __init__(self, store: Store, pair: tuple[str, str], layer: str, metric: str) -> None:
        a, b = (living(store, model, layer, metric) for model in pair)
        first, second = (summarize(store, model, layer, metric) for model in pair)
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
        self.difference = Difference(
            layer=layer,
            metric=metric,
            first=first,
            second=second,
            difference=difference,
            low=float(low),
            high=float(high),
            p=p,
        )


def _overall(metric: str, tests: list[_LayerTest]) -> Overall:
    known = [test for test in tests if not np.isnan(test.effect)]
    if not known:
        return Overall(metric=metric, layers=0, larger=0, effect=float("nan"), p=float("nan"))
    effect = float(np.mean([test.effect for test in known]))
    effects = np.mean([test.effects for test in known], axis=0)
    larger = sum(test.difference.difference > 0 for test in known)
    return Overall(metric=metric, layers=len(known), larger=larger, effect=effect, p=_p_value(effect, effects))


def _resampled(values: Floats, random: np.random.Generator) -> Floats:
    """Return the means of RESAMPLES samples with replacement."""
    means = [
        values[random.integers(0, len(values), (count, len(values)))].mean(1) for count in _block_sizes(len(values))
    ]
    return np.concatenate(means)


def _permuted(a: Floats, b: Floats, random: np.random.Generator) -> Floats:
    """Return the differences of means when units are dealt anew to the two models, RESAMPLES times."""
    both = np.concatenate([a, b])
    differences = []
    for count in _block_sizes(len(both)):
        dealt = random.permuted(np.broadcast_to(both, (count, len(both))), axis=1)
        differences.append(dealt[:, len(a) :].mean(1) - dealt[:, : len(a)].mean(1))
    return np.concatenate(differences)


def _block_sizes(values: int) -> list[int]:
    """Return how many of RESAMPLES samples of so many values are drawn at once, block by block."""
    most = max(1, _AT_ONCE // max(values, 1))
    return [min(most, RESAMPLES - start) for start in range(0, RESAMPLES, most)]


def _p_value(observed: float, permuted: Floats) -> float:
    """Return the two-sided p of a permutation test. The observed difference counts too (Phipson & Smyth 2010); ties by
    rounding count as extreme."""
    extreme = np.abs(permuted) >= abs(observed) * (1 - 1e-12)
    return float((1 + extreme.sum()) / (1 + len(permuted)))


# All of it, as JSON and as text


def comparison(
    store: Store, first: str, second: str, *, metrics: list[str] | None = None, all_right: bool = False
) -> dict[str, Any]:
    """Return everything that two models of a store can be compared by, as JSON. Raises UsageError and StoreError."""
    differences, overall = compare(store, first, second, metrics)
    pair = (first, second)
    return {
        "models": list(pair),
        "accuracy": [record(accuracy) for accuracy in _accuracies_of(store, pair, all_right)],
        "only_images_that_all_models_get_right": all_right,
        "shape_bias": {model: shape_bias_record(store, model) for model in pair},
        "overall": [record(result) for result in overall],
        "layers": [record(difference) for difference in differences],
        "outliers": {
            model: {layer: outliers(store, model, layer).tolist() for layer in shared_layers(store, first, second)}
            for model in pair
        },
    }


def comparison_text(
    store: Store, first: str, second: str, *, metrics: list[str] | None = None, all_right: bool = False
) -> str:
    """Return what `comparison` does as tables and sentences."""
    differences, overall = compare(store, first, second, metrics)
    pair = (first, second)
    scores = {model: _shape_bias(store, model) for model in pair}
    parts = [
        _accuracy_table(_accuracies_of(store, pair, all_right), pair, all_right),
        _lines(_bias_line(model, scored) for model, scored in scores.items() if scored is not None),
        _layer_table(differences, pair),
        _lines(sentence(result, second) for result in overall if result.layers),
    ]
    return "\n".join(part for part in parts if part)


def shape_bias_record(store: Store, model: str) -> dict[str, Any] | None:
    """Return a model's shape bias, its interval and its decisions as JSON; None where it was not asked."""
    scored = _shape_bias(store, model)
    return None if scored is None else bias_record(scored)


def _shape_bias(store: Store, model: str) -> Score | None:
    decisions = store.cue_conflict(model)
    return None if decisions is None else score(decisions)


def _accuracies_of(store: Store, pair: tuple[str, str], all_right: bool) -> list[Accuracy]:
    return [accuracy for accuracy in accuracies(store, all_right) if accuracy.model in pair]


def record(value: Any) -> dict[str, Any]:
    """Return a dataclass as JSON: NaN is None."""
    return {key: _without_nan(inner) for key, inner in asdict(value).items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and value != value else value


def sentence(overall: Overall, second: str) -> str:
    """Return such as `demo-r is smoother in 2 of 5 layers; over all +0.31 standard deviations (p = 0.003)`."""
    words = _WORDS.get(overall.metric, f"larger in {overall.metric}")
    p = "p < 0.001" if overall.p < 0.001 else f"p = {overall.p:.3f}"
    return (
        f"{second} is {words} in {overall.larger} of {overall.layers} layers; "
        f"over all {overall.effect:+.2f} standard deviations ({p})"
    )


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _bias_line(model: str, scored: Score) -> str:
    return f"{model}: shape bias {scored.counts.bias_text} ({scored.counts.text('d')})"


def _accuracy_table(known: list[Accuracy], pair: tuple[str, str], all_right: bool) -> str:
    """Return a line a condition, a column a model; nothing where no accuracy is known."""
    if not known:
        return ""
    by_condition: dict[str, dict[str, Accuracy]] = {}
    for accuracy in known:
        by_condition.setdefault(accuracy.condition, {})[accuracy.model] = accuracy
    rows = [["accuracy", *pair, "images"]]
    for condition, by_model in by_condition.items():
        counts = dict.fromkeys(str(by_model[model].images) for model in pair if model in by_model)
        rows.append([condition, *(_percent(by_model.get(model)) for model in pair), "/".join(counts)])
    restricted = "of the images that all models of the store get right\n" if all_right else ""
    return restricted + aligned(rows)


def _percent(accuracy: Accuracy | None) -> str:
    return "–" if accuracy is None or accuracy.accuracy != accuracy.accuracy else f"{accuracy.accuracy:.1%}"


def _layer_table(differences: list[Difference], pair: tuple[str, str]) -> str:
    """Return a line a metric and layer."""
    rows = [["metric", "layer", *pair, "difference", "95 % interval", "p", "dead"]]
    for row in differences:
        show = METRICS[row.metric].format
        p = "–" if row.p != row.p else f"{row.p:.4f}"
        interval = f"{show(row.low)} to {show(row.high)}"
        numbers = [show(row.first.mean), show(row.second.mean), show(row.difference), interval, p]
        rows.append([METRICS[row.metric].title, row.layer, *numbers, f"{row.first.dead}/{row.second.dead}"])
    return aligned(rows, left=2)
