"""The findings on what networks decide: by shape or texture, how accurately under every condition and out of
distribution, and beside published networks.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from shapebias.core.analysis.accuracy import Accuracy, accuracies
from shapebias.core.analysis.describe import observers_of
from shapebias.core.analysis.ood import mean_accuracy, ood_accuracies, ood_decisions
from shapebias.core.ood.comparison import MEAN, compare
from shapebias.core.ood.decisions import OodObserver as Decider
from shapebias.core.report.finding import ReportFinding, listed, name_of, percent, percent_interval
from shapebias.core.report.scope import Scope
from shapebias.core.report.tables import Heading, Table, words
from shapebias.core.shape_bias.observers import Observer, shape_categories
from shapebias.core.uncertainty.shares import wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEW = 3  # up to so many conditions of a kind have one sentence each; of more conditions only the extremes are named
_KINDS = {"distortion": "distortions", "attack": "attacks", "variant": "variants of the images"}
_MEAN_OF_SETS = "mean of all sets"

Fractions = Mapping[str, float]  # the accuracy of each the name of a category or condition


# Shape or texture


def shape_bias(scope: Scope) -> ReportFinding | None:
    """Return the finding on how often models and people decide by shape where shape and texture conflict.

    None where the store has no such decisions.
    """
    rank = {name: number for number, name in enumerate(scope.every_model)}
    observers = sorted(
        observers_of(scope.store), key=lambda observer: len(rank) if observer.is_people else rank[observer.name]
    )
    if not observers:
        return None
    shares = [
        f"{name_of(observer.name)} {percent(score.counts.shape_bias)}{percent_interval(*score.interval)}"
        for observer, score in ((observer, observer.score) for observer in observers)
    ]
    sentences = [
        f"Shape bias, the share of decisions by shape among those by shape or texture: {listed(shares)}.",
        *_by_category(scope, observers),
    ]
    over = listed(
        list(dict.fromkeys(observer.score.interval_over for observer in observers if observer.score.interval_over))
    )
    people = [f"people as in {observer.source}" for observer in observers if observer.is_people]
    caption = (
        "Shape bias by the category of the shape, for images whose shape and texture are of different categories. "
        f"Lines and bands: over all these images, with the 95 % interval over {over or 'images'}"
    )

    def draw() -> "Figure":
        from shapebias.core.figures.shape_bias import shape_bias_figure

        return shape_bias_figure(observers)

    return ReportFinding(
        key="shape-bias",
        title="Shape or texture",
        sentences=sentences,
        draw=draw,
        caption=f"{'; '.join([caption, *people])}.",
        tables=[_decisions_table(observers), _category_table(observers)],
    )


def _by_category(scope: Scope, observers: Sequence[Observer]) -> list[str]:
    """Return a sentence on the categories in which the pair's second model has the larger shape bias, and on the one
    where the two differ most; for a single model, on the categories with the lowest and the highest shape bias.

    It is the only item of the list, which is empty where too little is known.
    """
    bias_by_category = {observer.name: observer.category_bias for observer in observers}
    categories = shape_categories(observers)
    if scope.pair is None:
        biases = {name: value for name, value in bias_by_category[observers[0].name].items() if not math.isnan(value)}
        return [f"Of the shapes it is {_describe_extremes(biases)}."] if len(biases) > 1 else []
    first, second = scope.pair
    if not {first, second} <= bias_by_category.keys():
        return []
    differences = {
        name: bias_by_category[second][name] - bias_by_category[first][name]
        for name in categories
        if name in bias_by_category[first]
    }
    differences = {name: value for name, value in differences.items() if not math.isnan(value)}
    if not differences:
        return []
    most = max(differences, key=lambda name: abs(differences[name]))
    larger = sum(value > 0 for value in differences.values())
    shares = f"{percent(bias_by_category[first][most])} against {percent(bias_by_category[second][most])}"
    return [
        f"{name_of(second)} has the larger shape bias in {larger} of {len(differences)} categories; the two differ "
        f"most for {name_of(most)}: {shares}."
    ]


def _describe_extremes(values: Fractions) -> str:
    """Return a phrase such as `lowest for car (4.0%) and highest for knife (56.0%)`."""
    low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    return (
        f"lowest for {name_of(low)} ({percent(values[low])}) and highest for {name_of(high)} ({percent(values[high])})"
    )


def _decisions_table(observers: Sequence[Observer]) -> Table:
    rows = []
    for observer in observers:
        counts, (low, high) = observer.score.counts, observer.score.interval
        numbers = [f"{count:,}" for count in (counts.shape, counts.texture, counts.other)]
        bias = [percent(value) for value in (counts.shape_bias, low, high)]
        rows.append([name_of(observer.name), observer.source, observer.score.stimuli, *numbers, *bias])
    titles = ("by shape", "by texture", "other", "shape bias", "from", "to")
    columns = [words("who"), words("source"), words("stimuli"), *map(Heading, titles)]
    return Table(title="Decisions where shape and texture disagree", columns=columns, rows=rows)


def _category_table(observers: Sequence[Observer]) -> Table:
    columns = [words("shape", filtered=False), *(Heading(name_of(observer.name)) for observer in observers)]
    rows = [
        [name_of(category), *(percent(observer.category_bias.get(category, math.nan)) for observer in observers)]
        for category in shape_categories(observers)
    ]
    return Table(title="Shape bias by the category of the shape", columns=columns, rows=rows)


# Accuracy


def accuracy(scope: Scope) -> ReportFinding | None:
    """Return the finding on the accuracies under every condition; None where none is known."""
    rows = sorted(
        (row for row in accuracies(scope.store) if row.images), key=lambda row: scope.every_model.index(row.model)
    )
    clean = [row for row in rows if row.kind == "clean"]
    if not rows:
        return None
    sentences = [f"Top-1 accuracy on the images as they are: {_describe_models(clean)}."] if clean else []
    for kind, title in _KINDS.items():
        sentences += _describe_kind(scope, title, [row for row in rows if row.kind == kind])
    kinds = [title for kind, title in _KINDS.items() if any(row.kind == kind for row in rows)]
    under = f" and under {listed(kinds)}" if kinds else ""
    conditions = list(dict.fromkeys(row.condition for row in rows))
    fractions = {(row.model, row.condition): row.accuracy for row in rows}
    models = list(dict.fromkeys(row.model for row in rows))

    def draw() -> "Figure":
        from shapebias.core.figures.units import bar_figure

        return bar_figure(fractions, models, conditions, "Top-1 accuracy")

    return ReportFinding(
        key="accuracy",
        title="Accuracy",
        sentences=sentences,
        draw=draw,
        caption=f"Top-1 accuracy on the images as they are{under}, one bar per model.",
        tables=[_accuracy_table(rows)],
    )


def _describe_models(rows: Iterable[Accuracy]) -> str:
    parts = [f"{name_of(row.model)} {percent(row.accuracy)}{percent_interval(*_ends_of(row))}" for row in rows]
    return listed(parts) if parts else "none"


def _ends_of(row: Accuracy) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy over its images."""
    interval = wilson(round(row.accuracy * row.images), row.images)
    return interval.low, interval.high


def _describe_kind(scope: Scope, title: str, rows: list[Accuracy]) -> list[str]:
    """Return sentences about the conditions of `rows`, which are all of one kind: one for each of a few conditions, or
    one about the extremes of many. `title` names the kind in the plural.
    """
    conditions: dict[str, list[Accuracy]] = {}
    for row in rows:
        conditions.setdefault(row.condition, []).append(row)
    if len(conditions) <= _FEW:
        return [
            f"{rows[0].kind.capitalize()} {name_of(condition)}: {_describe_models(group)}."
            for condition, group in conditions.items()
        ]
    return _extremes(scope, title, {(row.model, row.condition): row.accuracy for row in rows}, list(conditions))


def _extremes(
    scope: Scope, title: str, fractions: Mapping[tuple[str, str], float], conditions: Sequence[str]
) -> list[str]:
    """Return a sentence on the conditions where the pair's second model is most ahead of the first and most behind it;
    for a single model, on those with the lowest and the highest accuracy.

    `fractions` are accuracies by (model, condition); `title` names the conditions. The sentence is the only item of the
    list, which is empty where no condition is known.
    """
    if scope.pair is None:
        (model,) = scope.models
        by_condition = {name: fractions[model, name] for name in conditions if (model, name) in fractions}
        return (
            [f"Of {len(by_condition)} {title} the accuracy is {_describe_extremes(by_condition)}."]
            if by_condition
            else []
        )
    first, second = scope.pair
    both = [name for name in conditions if {(first, name), (second, name)} <= fractions.keys()]
    if not both:
        return []
    ahead = max(both, key=lambda name: fractions[second, name] - fractions[first, name])
    behind = min(both, key=lambda name: fractions[second, name] - fractions[first, name])
    larger = sum(fractions[second, name] > fractions[first, name] for name in both)
    ends = [("most ahead", ahead)] * (larger > 0) + [("most behind", behind)] * (larger < len(both))
    ends_text = [
        f"{word} under {name_of(name)} ({percent(fractions[second, name])} against {percent(fractions[first, name])})"
        for word, name in ends
    ]
    return [f"{name_of(second)} has the higher accuracy under {larger} of {len(both)} {title}: {listed(ends_text)}."]


def _accuracy_table(of_models: Sequence[Accuracy]) -> Table:
    rows = [
        [
            row.kind,
            name_of(row.condition),
            name_of(row.model),
            *(percent(value) for value in (row.accuracy, *_ends_of(row))),
            f"{row.images:,}",
        ]
        for row in of_models
    ]
    columns = [words("kind"), words("condition", filtered=False), words("model")]
    columns += [
        Heading("accuracy"),
        Heading("from", "95 % interval over images"),
        Heading("to"),
        Heading("images"),
    ]
    return Table(title="Accuracy under every condition", columns=columns, rows=rows)


# Out of distribution


def out_of_distribution(scope: Scope) -> ReportFinding | None:
    """Return the finding on the accuracies for sets of stimuli, and on whether the pair errs alike; None where no model
    decided for such sets.
    """
    store = scope.store
    by_model = {model: ood_accuracies(store, model) for model in scope.every_model}
    by_model = {model: rows for model, rows in by_model.items() if rows}
    if not by_model:
        return None
    sets = list(dict.fromkeys(row.set_name for rows in by_model.values() for row in rows))
    fractions = {(model, row.set_name): row.accuracy for model, rows in by_model.items() for row in rows}
    means = {(model, _MEAN_OF_SETS): mean_accuracy(rows) for model, rows in by_model.items()} if len(sets) > 1 else {}
    mean = listed([f"{name_of(model)} {percent(mean_accuracy(rows))}" for model, rows in by_model.items()])
    sentences = [f"Accuracy among categories, the mean over {len(sets)} sets of stimuli: {mean}."]
    sentences += _extremes(scope, "sets", fractions, sets) if len(sets) > 1 else []

    def draw() -> "Figure":
        from shapebias.core.figures.units import bar_figure

        return bar_figure(fractions | means, list(by_model), [*sets, *([_MEAN_OF_SETS] if means else [])], "Accuracy")

    return ReportFinding(
        key="ood",
        title="Out of distribution",
        sentences=[*sentences, *_describe_consistency(scope)],
        draw=draw,
        caption="Accuracy among the categories of each set of stimuli, one bar per model.",
        tables=[_set_table(fractions | means, list(by_model), [*sets, *([_MEAN_OF_SETS] if means else [])])],
    )


def _describe_consistency(scope: Scope) -> list[str]:
    """Return a sentence on how similarly the pair errs, as in `shapebias ood`; nothing without a pair."""
    if scope.pair is None:
        return []
    decided = {Decider(model, "", is_person=False): ood_decisions(scope.store, model) for model in scope.pair}
    pairs = [pair for pair in compare(decided).pairs if pair.condition == MEAN]
    over_sets = [pair for pair in pairs if pair.set_name == MEAN] or pairs[:1]
    return [
        f"{name_of(pair.observer.name)} and {name_of(pair.other.name)} err alike with an error consistency (Cohen's "
        f"kappa) of {pair.agreement.error_consistency:.3f} over {pair.agreement.images:,} images; 0 is chance."
        for pair in over_sets
    ]


def _set_table(fractions: Mapping[tuple[str, str], float], models: Sequence[str], sets: Sequence[str]) -> Table:
    columns = [words("set", filtered=False), *(Heading(name_of(model)) for model in models)]
    rows = [[name_of(name), *(percent(fractions.get((model, name), math.nan)) for model in models)] for name in sets]
    return Table(title="Accuracy by set of stimuli", columns=columns, rows=rows)


def strength(scope: Scope) -> ReportFinding | None:
    """Return the finding that places the models among published networks of adversarial training of several strengths;
    None where none of their measures are in the store.
    """
    from shapebias.core.analysis.robustness import SHAPE_BIAS, networks_of, published_networks

    networks = sorted(networks_of(scope.store, {}), key=lambda network: scope.every_model.index(network.name))
    if not networks:
        return None
    torchvision, trained = published_networks()
    biases = [network.measures[SHAPE_BIAS] for network in trained]
    sentences = [
        f"{name_of(network.name)} has a shape bias of {percent(network.measures[SHAPE_BIAS])}; published ResNet-50 "
        f"have {percent(torchvision.measures[SHAPE_BIAS])}, those of adversarial training {percent(min(biases))} to "
        f"{percent(max(biases))}."
        for network in networks
        if SHAPE_BIAS in network.measures
    ]

    def draw() -> "Figure":
        from shapebias.core.figures.robustness import robustness_figure

        return robustness_figure(networks)

    return ReportFinding(
        key="strength",
        title="Beside published networks",
        sentences=sentences or ["Accuracies beside those of 16 published ResNet-50: see the figure."],
        draw=draw,
        caption="Published ResNet-50 (grey; Gavrikov & Keuper 2024) by the strength of their adversarial training, and "
        "the models of this store as lines across.",
    )
