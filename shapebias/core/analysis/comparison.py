"""Compares two models of a store: accuracy, shape bias, and every metric layer by layer."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.accuracy import Accuracy, accuracies
from shapebias.core.analysis.explainability import differences_text, score_differences
from shapebias.core.attribution.scores import SCORES
from shapebias.core.errors import UsageError
from shapebias.core.metrics import METRICS, in_order
from shapebias.core.shape_bias.decisions import Score, score
from shapebias.core.shape_bias.observers import bias_record
from shapebias.core.store.reader import Store
from shapebias.core.text import aligned, printable
from shapebias.core.uncertainty.resampling import RESAMPLES, exchange_test, holm, resampled_means

OUTLIER = 0.2  # fraction of the reference model's mean clean TV in the layer, as in the code of Chen, Agarwal & Nguyen

ONE_NETWORK = (
    "The spread is over the units of these two networks (95 %); what their training does is a question about several "
    "networks of each kind: --group"
)

# The words for a larger value of a metric; for a metric that is not here they are "larger in" and its name.
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
    """A metric's distribution over the `units` units of a layer that have a value and are not `dead`; NaN for none."""

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
    """The difference of a metric between two models in a layer: the second model's mean minus the first's.

    low, high:  the 95 % percentile bootstrap interval; units are resampled in each model
    p, p_holm:  of a two-sided test that exchanges units between models; p_holm is corrected over the metric's layers

    They are about these two networks only: networks that differ only in their seed can differ significantly, too.
    """

    layer: str
    metric: str
    first: LayerSummary
    second: LayerSummary
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class Overall:
    """The difference of a metric between two models over all layers.

    layers:  how many layers are compared: those where both have values that are not all the same
    larger:  in how many of them the second model has the larger mean
    effect:  the mean over them of the second mean minus the first, in standard deviations of both models' units
    """

    metric: str
    layers: int
    larger: int
    effect: float


# The models and layers to compare


def pair_of(store: Store, first: str | None, second: str | None) -> tuple[str, str]:
    """Return the models to compare; None is the store's first other one. Raises UsageError unless it has two such."""
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
        raise UsageError(f"{first} is compared with itself: name two different models")
    return first, second


def shared_layers(store: Store, first: str, second: str) -> list[str]:
    """Return the names of the layers that both models have, in the first one's order. Raises UsageError without any."""
    layers = [layer for layer in store.layers(first) if layer in store.layers(second)]
    if not layers:
        raise UsageError(f"{first} and {second} have no layer names in common: their layers cannot be compared")
    return layers


# One layer of one model


def dead_units(store: Store, model: str, layer: str) -> NDArray[np.bool_]:
    """Return which units are dead, bool [units]: their activation is above 0 for no probe image."""
    dead: NDArray[np.bool_] = store.metric(model, layer, "max") <= 0
    return dead


def living(store: Store, model: str, layer: str, metric: str) -> Floats:
    """Return the finite values of a metric for the units of a layer that are not dead, float64 [those units]."""
    values = store.metric(model, layer, metric).astype(np.float64)
    return values[np.isfinite(values) & ~dead_units(store, model, layer)]


def summarize(store: Store, model: str, layer: str, metric: str) -> LayerSummary:
    """Return the number of units, mean, median and quartiles of a metric over the living units of a layer."""
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


def outliers(store: Store, model: str, layer: str, reference: str) -> NDArray[np.int64]:
    """Return the indices of units whose |tv_shift| is at least 20 % of the `reference` model's mean TV in the layer.

    That mean is over living units and clean images, as in the code of Chen, Agarwal & Nguyen. Empty where unknown.
    """
    if "tv_shift" not in store.metric_names(model, layer):
        return np.zeros(0, np.int64)
    shift, clean = store.metric(model, layer, "tv_shift"), living(store, reference, layer, "tv")
    if not len(clean):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.abs(shift) >= OUTLIER * clean.mean())


# Two models, layer by layer and over all layers


def compare(
    store: Store, first: str, second: str, metrics: list[str] | None = None
) -> tuple[list[Difference], list[Overall]]:
    """Return the differences by metric and shared layer, and by metric over all these layers; with a fixed seed.

    Without names, metrics are all that both models have in a shared layer. Raises UsageError for any other metric.
    """
    layers = shared_layers(store, first, second)
    in_both = (set(store.metric_names(first, layer)) & set(store.metric_names(second, layer)) for layer in layers)
    available = in_order(set().union(*in_both))
    for name in metrics or []:
        if name not in available:
            raise UsageError(f"{printable(name)} is not a metric of both models: there are {', '.join(available)}")
    differences, overall = [], []
    for metric in available if metrics is None else metrics:
        measured = [
            layer for layer in layers if all(metric in store.metric_names(model, layer) for model in (first, second))
        ]
        by_layer = [_difference(store, (first, second), layer, metric) for layer in measured]
        corrected = holm([difference.p for difference in by_layer])
        differences += [replace(difference, p_holm=p) for difference, p in zip(by_layer, corrected, strict=True)]
        overall.append(_overall(store, metric, by_layer))
    return differences, overall


def _difference(store: Store, pair: tuple[str, str], layer: str, metric: str) -> Difference:
    """Return the difference of a metric between a pair of models in a layer; `p_holm` is not yet corrected."""
    a, b = (living(store, model, layer, metric) for model in pair)
    first, second = (summarize(store, model, layer, metric) for model in pair)
    random = np.random.default_rng(0)
    low = high = difference = float("nan")
    if len(a) and len(b):
        difference = float(b.mean() - a.mean())
        resampled = resampled_means(b, RESAMPLES, random) - resampled_means(a, RESAMPLES, random)
        low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    p = exchange_test(a, b, draws=RESAMPLES, random=random).p
    return Difference(
        layer=layer,
        metric=metric,
        first=first,
        second=second,
        difference=difference,
        low=low,
        high=high,
        p=p,
        p_holm=p,
    )


def _overall(store: Store, metric: str, differences: list[Difference]) -> Overall:
    effects = []
    for row in differences:
        units = [living(store, side.model, row.layer, metric) for side in (row.first, row.second)]
        spread = float(np.concatenate(units).std()) if all(map(len, units)) else 0.0
        if spread > 0:
            effects.append(row.difference / spread)
    larger = sum(effect > 0 for effect in effects)
    effect = float(np.mean(effects)) if effects else float("nan")
    return Overall(metric=metric, layers=len(effects), larger=larger, effect=effect)


# The whole comparison, as JSON and as text


def comparison(
    store: Store,
    first: str,
    second: str,
    *,
    metrics: list[str] | None = None,
    all_right: bool = False,
    reference: str | None = None,
) -> dict[str, Any]:
    """Return the whole comparison, ready for JSON; `metrics` may name scores of maps, too. Raises UsageError and
    StoreError. For `all_right` see `accuracies`, for `reference` (None: `first`) see `outliers`.
    """
    of_units, of_maps = _split(metrics)
    differences, overall = compare(store, first, second, of_units)
    pair, standard = (first, second), _reference(store, first, reference)
    return {
        "models": list(pair),
        "accuracy": [record(accuracy) for accuracy in _accuracies_of(store, pair, all_right)],
        "only_images_that_all_models_get_right": all_right,
        "shape_bias": {model: shape_bias_record(store, model) for model in pair},
        "tests_over": "units",
        "overall": [record(result) for result in overall],
        "layers": [record(difference) for difference in differences],
        "explainability": [record(difference) for difference in score_differences(store, first, second, of_maps)],
        "outlier_reference": standard,
        "outliers": {
            model: {layer: units.tolist() for layer, units in _outliers_of(store, pair, model, standard).items()}
            for model in pair
        },
    }


def comparison_text(
    store: Store,
    first: str,
    second: str,
    *,
    metrics: list[str] | None = None,
    all_right: bool = False,
    reference: str | None = None,
) -> str:
    """Return the contents of `comparison`, which has the same arguments and errors, as tables and sentences."""
    of_units, of_maps = _split(metrics)
    differences, overall = compare(store, first, second, of_units)
    pair, standard = (first, second), _reference(store, first, reference)
    scores = {model: _shape_bias(store, model) for model in pair}
    parts = [
        _accuracy_table(_accuracies_of(store, pair, all_right), pair, all_right),
        _lines(_bias_line(model, scored) for model, scored in scores.items() if scored is not None),
        _layer_table(differences, pair) if differences else "",
        _lines([*(sentence(result, second) for result in overall if result.layers), ONE_NETWORK]) if overall else "",
        _lines(_outlier_lines(store, pair, standard)) if metrics is None or "tv_shift" in metrics else "",
        differences_text(score_differences(store, first, second, of_maps), pair),
    ]
    return "\n".join(part for part in parts if part)


def _split(metrics: list[str] | None) -> tuple[list[str] | None, list[str] | None]:
    """Return which names are metrics of units, and which scores of attribution maps; both None (all) for None."""
    if metrics is None:
        return None, None
    return [name for name in metrics if name not in SCORES], [name for name in metrics if name in SCORES]


def _reference(store: Store, first: str, reference: str | None) -> str:
    if reference is not None:
        store.check_model(reference)
    return reference or first


def _outliers_of(store: Store, pair: tuple[str, str], model: str, reference: str) -> dict[str, NDArray[np.int64]]:
    """Return a model's `outliers`, by layer, in the layers that both of the pair and the reference have."""
    layers = [layer for layer in shared_layers(store, *pair) if layer in store.layers(reference)]
    return {layer: outliers(store, model, layer, reference) for layer in layers}


def _outlier_lines(store: Store, pair: tuple[str, str], reference: str) -> list[str]:
    """Return one line with the number of `outliers` of each of the pair; no line without the noise pass."""
    layers = shared_layers(store, *pair)
    if not any("tv_shift" in store.metric_names(model, layer) for model in pair for layer in layers):
        return []
    counts = (f"{model} {sum(map(len, _outliers_of(store, pair, model, reference).values())):,}" for model in pair)
    rule = f"|TV-shift| at least {OUTLIER:.0%} of the mean TV of {reference} in the layer"
    return [f"units that are outliers under noise ({rule}): {', '.join(counts)}"]


def shape_bias_record(store: Store, model: str) -> dict[str, Any] | None:
    """Return a model's shape bias, its interval and numbers of decisions, ready for JSON; None without decisions."""
    scored = _shape_bias(store, model)
    return None if scored is None else bias_record(scored)


def _shape_bias(store: Store, model: str) -> Score | None:
    decisions = store.cue_conflict(model)
    return None if decisions is None else score(decisions)


def _accuracies_of(store: Store, pair: tuple[str, str], all_right: bool) -> list[Accuracy]:
    return [accuracy for accuracy in accuracies(store, all_right) if accuracy.model in pair]


def record(value: Any) -> dict[str, Any]:
    """Return a dataclass and those in its fields as dictionaries for JSON, with None for NaN (but not in tuples)."""
    return {key: _without_nan(inner) for key, inner in asdict(value).items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value


def sentence(overall: Overall, second: str) -> str:
    """Return a line such as `demo-r is smoother in 2 of 5 layers; over all +0.31 standard deviations of their units`,
    where demo-r is `second`.
    """
    return (
        f"{second} is {larger_in_words(overall.metric)} in {overall.larger} of {overall.layers} layers; "
        f"over all {overall.effect:+.2f} standard deviations of their units"
    )


def larger_in_words(metric: str) -> str:
    """Return the words for a larger value of a metric, such as `smoother`."""
    return _WORDS.get(metric, f"larger in {METRICS[metric].in_words}")


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _bias_line(model: str, scored: Score) -> str:
    prepared = f", {scored.stimuli} stimuli" if scored.stimuli else ""
    return f"{model}: shape bias {scored.counts.bias_text} ({scored.counts.text('d')}{prepared})"


def _accuracy_table(accuracies_of_pair: list[Accuracy], pair: tuple[str, str], all_right: bool) -> str:
    """Return a table with one line per condition and one column per model; empty where no accuracy is known."""
    if not accuracies_of_pair:
        return ""
    by_condition: dict[str, dict[str, Accuracy]] = {}
    for accuracy in accuracies_of_pair:
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
    """Return a table with one line for each metric and layer: means, their difference with its interval, dead units."""
    rows = [["metric", "layer", *pair, "difference", "spread over units", "dead"]]
    for row in differences:
        show = METRICS[row.metric].format
        spread = f"{show(row.low)} to {show(row.high)}"
        numbers = [show(row.first.mean), show(row.second.mean), show(row.difference), spread]
        rows.append([METRICS[row.metric].title, row.layer, *numbers, f"{row.first.dead}/{row.second.dead}"])
    return aligned(rows, left=2)
