"""The findings on units: their smoothness, noise, diversity, sensitivities and concepts, and the decisions that depend
on them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shapebias.core.analysis.ablation import LayerAblation, layer_ablations
from shapebias.core.analysis.chance import chance_text, class_diversity_by_chance
from shapebias.core.analysis.comparison import OUTLIER, Difference, LayerSummary, compare, outliers, sentence, summarize
from shapebias.core.analysis.dissection import Detectors, count_detectors
from shapebias.core.concepts import DETECTOR
from shapebias.core.metrics import METRICS
from shapebias.core.report.finding import ReportFinding, listed, name_of, number, percent, signed
from shapebias.core.report.scope import Scope
from shapebias.core.report.tables import Heading, Table, words
from shapebias.core.store.concepts import read_concepts, was_dissected

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KERNELS = "filter_smoothness"
_SMOOTHNESS = ["smoothness", "coherence", _KERNELS]
_NOISE = ["tv", "tv_noisy", "tv_shift"]
_DIVERSITY = ["class_diversity", "visual_diversity", "concept_diversity"]
_SENSITIVITY = ["color_sensitivity", "shape_sensitivity", "noise_sensitivity", "control_sensitivity"]
_BAND = "Lines: the median over the living units of a layer; bands: from the lower to the upper quartile."


def smoothness(scope: Scope) -> ReportFinding | None:
    """Return the finding on how smooth maps and kernels are; None where no such metric was measured."""
    return _by_depth(
        scope, key="smoothness", title="Smoothness", names=_SMOOTHNESS, caption="Smoothness against depth."
    )


def filters(scope: Scope) -> ReportFinding | None:
    """Return the finding on the first layer's kernels and their smoothness; None where no model has kernels to draw."""
    kernels = {model: filters for model in scope.models if (filters := scope.store.filters(model)) is not None}
    if not kernels:
        return None
    parts = []
    for model, filters in kernels.items():
        first = next(iter(scope.store.layers(model)))
        has_smoothness = _KERNELS in scope.store.metric_names(model, first)
        mean = (
            f", mean smoothness {number(_KERNELS, summarize(scope.store, model, first, _KERNELS).mean)}"
            if has_smoothness
            else ""
        )
        parts.append(f"{name_of(model)} {len(filters)} of {filters.shape[2]} x {filters.shape[3]} px{mean}")

    def draw() -> "Figure":
        from shapebias.core.figures.units import filter_figure

        return filter_figure(scope.store, list(kernels))

    return ReportFinding(
        key="filters",
        title="First filters",
        sentences=[f"Kernels of the first layer: {'; '.join(parts)}."],
        draw=draw,
        caption="The kernels of the first layer, each in its own range around 0, which is mid grey.",
    )


def diversity(scope: Scope) -> ReportFinding | None:
    """Return the finding on how many kinds of images drive a unit; None where that was not measured."""
    chances: dict[str, list[str]] = {}
    for model in scope.models:
        chance = class_diversity_by_chance(scope.store, model, next(iter(scope.store.layers(model))))
        if chance is not None and chance[1] == chance[1]:
            chances.setdefault(chance_text(chance), []).append(name_of(model))
    sentences = [
        f"Class diversity{f' of {listed(models)}' if len(chances) > 1 else ''} is {chance}."
        for chance, models in chances.items()
    ]
    return _by_depth(
        scope,
        key="diversity",
        title="Diversity",
        names=_DIVERSITY,
        caption="Diversity of the top images against depth.",
        more=sentences,
    )


def sensitivity(scope: Scope) -> ReportFinding | None:
    """Return the finding on how much activations fall without colour, without shape, and with noise; None without the
    sensitivity pass.
    """
    return _by_depth(
        scope,
        key="sensitivity",
        title="Sensitivity",
        names=_SENSITIVITY,
        caption="What top images lose of their activation without colour, with shuffled patches, under noise, and "
        "mirrored (the control), against depth.",
    )


def _by_depth(
    scope: Scope, *, key: str, title: str, names: list[str], caption: str, more: Sequence[str] = ()
) -> ReportFinding | None:
    """Return a finding on how the metrics `names` differ between layers and models, drawn by depth; None where none of
    them was measured.

    `what` begins the caption; `more` are sentences that follow those on the metrics.
    """
    metrics = scope.metrics(names)
    if not metrics:
        return None

    def draw() -> "Figure":
        from shapebias.core.figures.layers import depth_figure

        return depth_figure(scope.store, scope.models, metrics)

    sentences, table = _compare_models(scope, metrics)
    return ReportFinding(
        key=key, title=title, sentences=[*sentences, *more], draw=draw, caption=f"{caption} {_BAND}", tables=[table]
    )


def _compare_models(scope: Scope, metrics: list[str]) -> tuple[list[str], Table]:
    """Return sentences on metrics, and a table by layer.

    For a pair with shared layers both are about the differences of the metrics that both models have, else about each
    model by itself.
    """
    if scope.pair is None or not scope.shared:
        return _describe_model(scope, metrics)
    names_of_models = [set(scope.store.metric_names(model, scope.shared[0])) for model in scope.pair]
    in_both = [name for name in metrics if all(name in names for names in names_of_models)]
    differences, overall = compare(scope.store, *scope.pair, in_both)
    sentences = []
    for result in overall:
        of_metric = [row for row in differences if row.metric == result.metric and row.difference == row.difference]
        if result.layers and of_metric:
            most = max(of_metric, key=lambda row: abs(row.difference))
            sentences.append(f"{sentence(result, name_of(scope.pair[1]))}, {_in_words(most)}.")
    return sentences, _difference_table(scope.pair, differences)


def _in_words(row: Difference) -> str:
    """Return a phrase such as `with the largest difference of means in conv3: 0.812 against 0.634, +0.178 (95 %
    interval ...)`.
    """
    metric = row.metric
    return (
        f"with the largest difference of means in {name_of(row.layer)}: {number(metric, row.second.mean)} against "
        f"{number(metric, row.first.mean)}, {signed(metric, row.difference)} (95 % interval "
        f"{signed(metric, row.low)} to {signed(metric, row.high)})"
    )


def _difference_table(pair: tuple[str, str], differences: Sequence[Difference]) -> Table:
    rows = []
    for row in differences:
        values = (row.first.mean, row.second.mean)
        changes = (row.difference, row.low, row.high)
        numbers = [number(row.metric, value) for value in values] + [signed(row.metric, value) for value in changes]
        dead = [str(side.dead) for side in (row.first, row.second)]
        rows.append([METRICS[row.metric].in_words, name_of(row.layer), *numbers, f"{row.p_holm:.4f}", *dead])
    columns = [words("metric"), words("layer"), *(Heading(name_of(model), "mean over living units") for model in pair)]
    columns += [Heading("difference"), Heading("from", "95 %, units resampled"), Heading("to")]
    columns += [
        Heading("p", "units exchanged, Holm over layers"),
        *(Heading(f"dead, {name_of(model)}") for model in pair),
    ]
    return Table(title="Means by layer, and how they differ", columns=columns, rows=rows)


def _describe_model(scope: Scope, metrics: list[str]) -> tuple[list[str], Table]:
    """Return sentences on metrics, one for each metric and model, and a table of their means and quartiles by layer."""
    summaries = [
        summarize(scope.store, model, layer, metric)
        for metric in metrics
        for model in scope.models
        for layer in scope.store.layers(model)
        if metric in scope.store.metric_names(model, layer)
    ]
    summaries = [summary for summary in summaries if summary.units]
    sentences = []
    for metric in metrics:
        for model in scope.models:
            of_model = [summary for summary in summaries if (summary.metric, summary.model) == (metric, model)]
            if of_model:
                extremes = _describe_extremes(metric, of_model)
                sentences.append(f"The mean {METRICS[metric].in_words} of {name_of(model)} is {extremes}.")
    rows = []
    for summary in summaries:
        values = (summary.mean, summary.lower_quartile, summary.median, summary.upper_quartile)
        numbers = [number(summary.metric, value) for value in values]
        rows.append(
            [
                METRICS[summary.metric].in_words,
                name_of(summary.layer),
                name_of(summary.model),
                *numbers,
                str(summary.dead),
            ]
        )
    columns = [words("metric"), words("layer"), words("model"), Heading("mean"), Heading("lower quartile")]
    columns += [Heading("median"), Heading("upper quartile"), Heading("dead", "units that are never above 0")]
    return sentences, Table(title="Living units by layer", columns=columns, rows=rows)


def _describe_extremes(metric: str, summaries: Sequence[LayerSummary]) -> str:
    """Return a phrase such as `largest with 0.889 in conv1, smallest with 0.511 in conv4`."""
    high, low = max(summaries, key=lambda summary: summary.mean), min(summaries, key=lambda summary: summary.mean)
    largest, smallest = (number(metric, summary.mean) for summary in (high, low))
    if largest == smallest:
        where = name_of(high.layer) if len(summaries) == 1 else f"all {len(summaries)} layers"
        return f"{largest} in {where}"
    return f"largest with {largest} in {name_of(high.layer)}, smallest with {smallest} in {name_of(low.layer)}"


# Noise


def noise(scope: Scope) -> ReportFinding | None:
    """Return the finding on how noise changes total variation, and how many units are outliers; None without the noise
    pass.
    """
    if "tv_noisy" not in scope.metrics(_NOISE):
        return None

    def draw() -> "Figure":
        from shapebias.core.figures.units import variation_figure

        return variation_figure(scope.store, scope.models, scope.gallery_layers, columns=3)

    sentences, table = _compare_models(scope, scope.metrics(["tv_shift"]))
    return ReportFinding(
        key="noise",
        title="Noise",
        sentences=[*sentences, *_outliers(scope)],
        draw=draw,
        caption="Total variation of each living unit on clean and on noisy images; on the diagonal noise changes "
        f"nothing.{left_out(scope)}",
        tables=[table],
    )


def _outliers(scope: Scope) -> list[str]:
    """Return a sentence on how many units of the pair are outliers under noise, by the rule of `shapebias compare`;
    nothing without a pair.
    """
    if scope.pair is None or not scope.shared:
        return []
    reference = scope.pair[0]
    counts = [
        f"{name_of(model)} {sum(len(outliers(scope.store, model, layer, reference)) for layer in scope.shared):,}"
        for model in scope.pair
    ]
    rule = f"a change of at least {OUTLIER:.0%} of the mean total variation of {name_of(reference)} in the layer"
    return [f"Units that are outliers under noise ({rule}): {listed(counts)}."]


def left_out(scope: Scope) -> str:
    """Return a remark that figures and galleries have only some of the layers; empty where they have all."""
    few, all_layers = len(scope.gallery_layers), len(scope.layers)
    return (
        ""
        if few == all_layers
        else f" Of {all_layers} layers {few} are shown, evenly spread; {all_layers - few} are left out."
    )


# Detectors


def detectors(scope: Scope) -> ReportFinding | None:
    """Return the finding on how many units detect a concept, by category; None where no unit was dissected."""
    store = scope.store
    concepts = read_concepts(store)
    places = [
        (model, layer) for model in scope.models for layer in store.layers(model) if was_dissected(store, model, layer)
    ]
    if concepts is None or not places:
        return None
    counts = count_detectors(store, concepts, places)
    drawn = [row for row in counts if row.layer in scope.gallery_layers]

    def draw() -> "Figure":
        from shapebias.core.figures.dissection import detectors_figure

        return detectors_figure(drawn)

    return ReportFinding(
        key="detectors",
        title="Detectors",
        sentences=[
            _detected_text([row for row in counts if row.model == model])
            for model in dict.fromkeys(model for model, _ in places)
        ],
        draw=draw,
        caption=f"Detectors, units with an IoU of at least {DETECTOR:g} with a concept, and how many different "
        f"concepts they detect, by category and layer.{left_out(scope)}",
        tables=[_detector_table(counts)],
    )


def _detected_text(counts: Sequence[Detectors]) -> str:
    """Return a sentence such as `demo-r: 120 of 480 units are detectors (25.0%): 80 of color, 30 of shape and 10 of
    texture`.
    """
    totals = {category: sum(row.detectors[category] for row in counts) for category in counts[0].detectors}
    units, detecting = sum(row.units for row in counts), sum(totals.values())
    by_category = [f"{count:,} of {name_of(category)}" for category, count in totals.items() if count]
    kinds = f": {listed(by_category)}" if by_category else ""
    share = percent(detecting / units)
    return f"{name_of(counts[0].model)}: {detecting:,} of {units:,} units are detectors ({share}){kinds}."


def _detector_table(counts: Sequence[Detectors]) -> Table:
    categories = list(counts[0].detectors)
    rows = [
        [
            name_of(row.layer),
            name_of(row.model),
            *map(str, (row.units, row.undecided, sum(row.detectors.values()))),
            *(f"{row.detectors[name]} ({row.unique[name]})" for name in categories),
        ]
        for row in counts
    ]
    columns = [words("layer"), words("model"), Heading("units"), Heading("undecided"), Heading("detectors")]
    columns += [Heading(name_of(name), "detectors (different concepts)") for name in categories]
    return Table(title="Detectors by category (different concepts)", columns=columns, rows=rows)


# Ablation


def ablation(scope: Scope) -> ReportFinding | None:
    """Return the finding on the units that decisions by shape and by texture depend on; None without ablation."""
    layers = [row for row in layer_ablations(scope.store) if row.model in scope.models]
    if not layers:
        return None
    in_order = sorted(layers, key=lambda row: scope.models.index(row.model))
    drawn = [row for row in in_order if row.layer in scope.gallery_layers]

    def draw() -> "Figure":
        from shapebias.core.figures.ablation import ablation_figure

        return ablation_figure(drawn, upright=True)

    models = [model for model in scope.models if any(row.model == model for row in layers)]
    return ReportFinding(
        key="ablation",
        title="Ablation",
        sentences=[_rests_on([row for row in layers if row.model == model]) for model in models],
        draw=draw,
        caption="What a network no longer decides by shape, and by texture, when one unit is set to zero, as shares of "
        f"what it decides so. Each unit is one point; a point is larger where several units share it.{left_out(scope)}",
        tables=[_ablation_table(layers)],
    )


def _rests_on(layers: Sequence[LayerAblation]) -> str:
    model = name_of(layers[0].model)
    parts = []
    for cue, scores, shares in (
        ("shape", [row.shape for row in layers], [row.shape_share for row in layers]),
        ("texture", [row.texture for row in layers], [row.texture_share for row in layers]),
    ):
        row = max(range(len(layers)), key=lambda number: scores[number].max())
        most = layers[row].most(scores[row], 1)
        if most:
            unit, count = most[0]
            lost = f"{count} ({percent(float(shares[row][unit]))}) are lost"
            parts.append(f"decisions by {cue} rest most on {name_of(layers[row].layer)}/{unit}, without which {lost}")
    units = sum(len(row.shape) for row in layers)
    neither = round(sum(row.share_without(row.shape, row.texture) * len(row.shape) for row in layers))
    idle = f"without {neither:,} of {units:,} units ({percent(neither / units)}) no decision is lost"
    return f"{model}: {listed([*parts, idle])}."


def _ablation_table(layers: Sequence[LayerAblation]) -> Table:
    rows = []
    for row in layers:
        idle = [
            percent(row.share_without(*scores)) for scores in ((row.shape,), (row.texture,), (row.shape, row.texture))
        ]
        most = [
            ", ".join(f"{unit}: {score}" for unit, score in row.most(scores)) or "–"
            for scores in (row.shape, row.texture)
        ]
        rows.append([name_of(row.layer), name_of(row.model), str(len(row.shape)), *idle, *most])
    columns = [
        words("layer"),
        words("model"),
        Heading("units"),
        Heading("shape 0", "share of units whose shape score is 0"),
    ]
    columns += [Heading("texture 0"), Heading("both 0"), words("most for shape", "unit: score", filtered=False)]
    columns += [words("most for texture", "unit: score", filtered=False)]
    return Table(title="Ablation scores by layer", columns=columns, rows=rows)
