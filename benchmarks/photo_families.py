"""The part of docs/photo-pair.md on families: networks like photo-s and photo-r that differ in their seeds only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pair_training import table
from benchmarks.photo_attribution import attribution_claims, attribution_section
from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.dissection import count_detectors
from shapebias.core.analysis.groups import OVERALL, GroupDifference, compare_groups, parse_groups
from shapebias.core.analysis.ood import ood_accuracies
from shapebias.core.metrics import METRICS
from shapebias.core.paper import PHOTO_PAIR
from shapebias.core.paper.claims import ClaimVerdict, claims_of
from shapebias.core.shape_bias.decisions import pool, score
from shapebias.core.store.concepts import read_concepts
from shapebias.core.store.joined import open_stores
from shapebias.core.store.reader import Store
from shapebias.core.uncertainty.resampling import RESAMPLES, exchange_test

TESTED = (
    "smoothness",
    "coherence",
    "filter_smoothness",
    "tv",
    "tv_shift",
    "class_diversity",
    "visual_diversity",
    "selectivity",
    "shape_sensitivity",
    "color_sensitivity",
    "noise_sensitivity",
    "control_sensitivity",
)


def members(folder: Path) -> list[tuple[Path, Path]]:
    """Return the files of the pairs of other seeds, which `shapebias train --seeds` names NAME-1.safetensors and on."""
    standard, robust = PHOTO_PAIR
    pairs = [
        (path, path.with_name(path.name.replace(standard, robust, 1)))
        for path in sorted(folder.glob(f"{standard}-[1-9]*.safetensors"))
    ]
    return [pair for pair in pairs if pair[1].exists()]


@dataclass(frozen=True)
class Families:
    """Standard and robust networks of several seeds.

    store:        what was measured of all of them
    groups:       the labels of the standard ones, and of the robust ones, by seed
    attribution:  a store of how well attribution maps explain them; None: not measured
    """

    store: Store
    groups: tuple[list[str], list[str]]
    attribution: Store | None


def open_families(stores: Sequence[Path], attribution: Store | None) -> Families:
    """Return the families whose `stores` have one pair each, a standard network first."""
    store = open_stores([str(path) for path in stores])
    labels = list(store.models)
    return Families(store, (labels[::2], labels[1::2]), attribution)


def family_section(families: Families) -> list[str]:
    """Return the lines of the section on families."""
    store, (standard, robust) = families.store, families.groups
    count = len(standard)
    return [
        f"## {count} standard and {count} robust networks",
        "",
        f"`photo-s` and `photo-r` have seed 0. The pairs of {count - 1} more seeds (`--seeds`: other first weights, "
        "another order of the images) say which of their differences are more than chance. Means of each kind, with "
        "the lowest and the highest network:",
        "",
        *_accuracy_table(store, (standard, robust)),
        *_shape(store, (standard, robust)),
        *_claims(store, list(zip(standard, robust, strict=True))),
        *_tests(store, (standard, robust)),
        *_detectors(store, (standard, robust)),
        *([] if families.attribution is None else attribution_section(families.attribution, (standard, robust))),
    ]


def family_claims(families: Families) -> list[str]:
    """Return one line for each claim that only networks of several seeds can answer."""
    lines = _colour_claim(families.store, families.groups)
    if families.attribution is not None:
        lines += attribution_claims(families.attribution, families.groups)
    return lines


def _spread(values: Iterable[float], form: str = ".1%") -> str:
    numbers = sorted(values)
    return f"{sum(numbers) / len(numbers):{form}} ({numbers[0]:{form}} to {numbers[-1]:{form}})"


def _accuracy_table(store: Store, groups: tuple[list[str], list[str]]) -> list[str]:
    by_network = {(row.model, row.condition): row.accuracy for row in accuracies(store)}
    for model in store.models:
        by_network |= {(model, row.set_name): row.accuracy for row in ood_accuracies(store, model)}
    conditions = dict.fromkeys(condition for _, condition in by_network)
    rows = [
        [condition, *(_spread(by_network[model, condition] for model in models) for models in groups)]
        for condition in conditions
        if all((model, condition) in by_network for models in groups for model in models)
    ]
    return table(["accuracy", "standard", "robust"], rows)


def _shape(store: Store, groups: tuple[list[str], list[str]]) -> list[str]:
    """Return the shape bias of all decisions of each kind of network; nothing where they saw no such images."""
    cells = []
    for models in groups:
        decisions = [known for known in map(store.cue_conflict, models) if known is not None]
        if not decisions:
            return []
        pooled = score(pool(decisions))
        low, high = pooled.interval
        cells.append(
            f"{pooled.counts.shape_bias:.3f} ({low:.3f} to {high:.3f}; {pooled.counts.shape} by shape, "
            f"{pooled.counts.texture} by texture)"
        )
    return [
        f"Shape bias of the decisions of each kind taken together, with its interval over images: {cells[0]} for the "
        f"standard ones, {cells[1]} for the robust ones.",
        "",
    ]


def _claims(store: Store, pairs: list[tuple[str, str]]) -> list[str]:
    by_pair = [{claim.name: claim for claim in claims_of(store, *pair)} for pair in pairs]
    rows = [
        [claim.finding, *(f"{by_name[name].measured}: **{by_name[name].verdict}**" for by_name in by_pair)]
        for name, claim in by_pair[0].items()
        if all(name in by_name for by_name in by_pair)
    ]
    return ["The claims, pair by pair. A robust network ...", "", *table(["...", *(pair[1] for pair in pairs)], rows)]


def _tests(store: Store, groups: tuple[list[str], list[str]]) -> list[str]:
    """Return the metrics by layer and over all layers, tested over networks."""
    texts = [f"{name}={','.join(models)}" for name, models in zip(("S", "R"), groups, strict=True)]
    known = store.metric_names(groups[0][0], next(iter(store.layers(groups[0][0]))))
    rows = compare_groups(store, parse_groups(store, texts), [name for name in TESTED if name in known])
    cells = {(row.metric, row.layer): _cell(row) for row in rows}
    metrics = dict.fromkeys(row.metric for row in rows)
    layers = [layer for layer in dict.fromkeys(row.layer for row in rows) if layer != OVERALL]
    overall = {row.metric: row for row in rows if row.layer == OVERALL}
    body = [[METRICS[metric].title, *(cells[metric, layer] for layer in layers)] for metric in metrics]
    summary = [
        [METRICS[metric].title, f"{row.difference:+.2f}", f"{row.p:.2f}", f"{row.p_holm:.2f}"]
        for metric, row in overall.items()
    ]
    smallest = next(iter(overall.values())).smallest
    return [
        "By layer, the mean over networks of their medians over units, S and R; bold where every robust network lies "
        "on the same side of every standard one:",
        "",
        *table(["", *layers], body),
        "Over all layers, R minus S in standard deviations of units, with an exact permutation test over networks "
        f"(`shapebias compare --group`). So few networks can give no p below {smallest:.2f}, which is reached where "
        "the two kinds do not overlap:",
        "",
        *table(["", "difference", "p", "p (Holm)"], summary),
    ]


def _cell(row: GroupDifference) -> str:
    low, high = (sorted(values.values()) for values in row.values)
    if not low or not high:
        return "–"
    show = METRICS[row.metric].format
    text = ", ".join(show(mean) for mean in row.means)
    return f"**{text}**" if low[-1] < high[0] or high[-1] < low[0] else text


def _detector_counts(store: Store, groups: tuple[list[str], list[str]]) -> dict[str, list[int]]:
    """Return the numbers of detectors in each layer by network; empty where the networks were not dissected."""
    concepts = read_concepts(store)
    if concepts is None:
        return {}
    return {
        model: [
            sum(layer.detectors.values())
            for layer in count_detectors(store, concepts, [(model, layer) for layer in store.layers(model)])
        ]
        for models in groups
        for model in models
    }


def _colour_claim(store: Store, groups: tuple[list[str], list[str]]) -> list[str]:
    """Return whether robust networks have more detectors of colours, by a test over networks of their numbers."""
    counts = _detector_counts(store, groups)
    if not counts:
        return []
    standard, robust = ([sum(counts[model]) for model in models] for models in groups)
    random = np.random.default_rng(0)
    tested = exchange_test(np.array(standard, float), np.array(robust, float), draws=RESAMPLES, random=random)
    verdict = ClaimVerdict.NOT_SHOWN
    if min(robust) > max(standard):
        verdict = ClaimVerdict.SHOWN
    elif max(robust) < min(standard):
        verdict = ClaimVerdict.REVERSED
    return [
        f"- That it has more detectors of colours: **{verdict}**. {_spread(robust, '.1f')} units of a robust network "
        f"detect one, {_spread(standard, '.1f')} of a standard one; p {tested.p:.2f} over networks, of at least "
        f"{tested.smallest:.2f}. Colours are the only concepts that are labelled in these photos: that it detects "
        "lower-level concepts *instead of* parts and objects is not measured ([dissection.md](dissection.md))."
    ]


def _detectors(store: Store, groups: tuple[list[str], list[str]]) -> list[str]:
    counts = _detector_counts(store, groups)
    if not counts:
        return []
    layers = list(store.layers(groups[0][0]))
    rows = [
        [layer, *(_spread((counts[model][position] for model in models), ".1f") for models in groups)]
        for position, layer in enumerate(layers)
    ]
    rows.append(["all", *(_spread((sum(counts[model]) for model in models), ".1f") for models in groups)])
    return ["Detectors of the eleven colours:", "", *table(["layer", "standard", "robust"], rows)]
