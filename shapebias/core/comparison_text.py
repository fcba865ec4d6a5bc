"""A comparison of two models for people: accuracies, shape bias, and what differs between their units."""

from typing import Any

from shapebias.core.accuracy import Accuracy, accuracies
from shapebias.core.compare import Difference, Overall, compare, outliers, record, shared_layers
from shapebias.core.cue_conflict import score
from shapebias.core.metrics import METRICS
from shapebias.core.shape_bias import bias_record
from shapebias.core.store import Store
from shapebias.core.text import aligned

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
