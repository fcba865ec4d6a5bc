"""The claims of Chen, Agarwal & Nguyen (2020) one by one, and whether two networks of a store show them."""

import math
from dataclasses import dataclass
from enum import StrEnum

from shapebias.core.analysis.comparison import outliers, shared_layers, summarize
from shapebias.core.analysis.dissection import count_detectors
from shapebias.core.paper import DEMO_PAIR, PHOTO_PAIR
from shapebias.core.shape_bias.decisions import score
from shapebias.core.store.concepts import read_concepts, was_dissected
from shapebias.core.store.reader import Store
from shapebias.core.text import aligned

_LOW_LEVEL = {"color", "texture"}  # the categories of concepts that are no part, object, scene or material
_MAIN = ("shape", "maps", "kinds", "concepts")  # names of the claims of the story


class ClaimVerdict(StrEnum):
    """The verdict on whether two networks show a claim."""

    SHOWN = "shown"
    IN_PART = "in part"
    NOT_SHOWN = "not shown"
    REVERSED = "reversed"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper about robust networks, and whether two networks show it.

    name:     a short name, such as `maps`
    finding:  the claim as words that follow `a robust network`: `has smoother maps`
    measured: the two networks' result in words; of two numbers, the robust network's comes first
    verdict:  whether that result shows the claim
    """

    name: str
    finding: str
    measured: str
    verdict: ClaimVerdict


def story(store: Store) -> list[str]:
    """Return a heading and one line for each of the four main claims that the store can answer.

    The list is empty unless the store's models are exactly a built-in pair, and where it can answer fewer than three.
    Raises StoreError.
    """
    by_source = {description.source: label for label, description in store.models.items()}
    pair = next((pair for pair in (DEMO_PAIR, PHOTO_PAIR) if set(pair) == set(by_source)), None)
    claims = [] if pair is None else claims_of(store, by_source[pair[0]], by_source[pair[1]])
    main = [claim for claim in claims if claim.name in _MAIN]
    if pair is None or len(main) < len(_MAIN) - 1:
        return []
    rows = [["Chen, Agarwal & Nguyen 2020: a robust network …", f"{pair[1]} beside {pair[0]}", ""]]
    rows += [[claim.finding, claim.measured, claim.verdict] for claim in main]
    return aligned(rows, left=3).splitlines()


def claims_of(store: Store, standard: str, robust: str) -> list[Claim]:
    """Return the claims for which the store has the measurements of both networks.

    standard, robust:  labels of the store's models

    Raises UsageError where the two have no layer of one name, and StoreError where the store is damaged.
    """
    pair = (store, standard, robust)
    claims = [
        _goes_by_shape(*pair),
        _by_layer(*pair, name="filters", metric="filter_smoothness", sign=1, finding="has smoother filters"),
        _by_layer(*pair, name="maps", metric="smoothness", sign=1, finding="has smoother maps"),
        _withstands_noise(*pair),
        _by_layer(
            *pair,
            name="kinds",
            metric="visual_diversity",
            sign=-1,
            finding="has units that answer to fewer kinds of images",
        ),
        _detects_lower_levels(*pair),
    ]
    return [claim for claim in claims if claim is not None]


def _goes_by_shape(store: Store, standard: str, robust: str) -> Claim | None:
    """Return the claim that the shape bias is larger, None where one is unknown.

    It is shown or reversed only where the 95 % intervals of the two shape biases are apart.
    """
    decisions = [store.cue_conflict(model) for model in (standard, robust)]
    first, second = (None if decided is None else score(decided) for decided in decisions)
    if first is None or second is None or math.isnan(first.counts.shape_bias + second.counts.shape_bias):
        return None
    verdict = ClaimVerdict.NOT_SHOWN
    if second.interval[0] > first.interval[1]:
        verdict = ClaimVerdict.SHOWN
    elif second.interval[1] < first.interval[0]:
        verdict = ClaimVerdict.REVERSED
    measured = f"{second.counts.shape_bias:.0%} of decisions by shape, not texture; {first.counts.shape_bias:.0%}"
    return Claim("shape", "goes by shape where shape and texture disagree", measured, verdict)


def _by_layer(
    store: Store, standard: str, robust: str, *, name: str, metric: str, sign: int, finding: str
) -> Claim | None:
    """Return the claim that the mean of a metric over units differs in every layer, None where no layer has the metric.

    `sign` is 1 if the robust network's mean should be larger, -1 if smaller; `name` and `finding` are the claim's.
    """
    layers = [
        layer
        for layer in shared_layers(store, standard, robust)
        if metric in store.metric_names(standard, layer) and metric in store.metric_names(robust, layer)
    ]
    if not layers:
        return None
    differences = [
        summarize(store, robust, layer, metric).mean - summarize(store, standard, layer, metric).mean
        for layer in layers
    ]
    count = sum(sign * difference > 0 for difference in differences)
    verdict = _verdict(count, sum(sign * difference < 0 for difference in differences), len(layers))
    return Claim(name, finding, f"in {count} of {len(layers)} layers", verdict)


def _withstands_noise(store: Store, standard: str, robust: str) -> Claim | None:
    """Return the claim that every layer has fewer units whose total variation is changed much by noise.

    These units are `outliers`, as in the paper. None without the noise pass.
    """
    layers = [
        layer
        for layer in shared_layers(store, standard, robust)
        if all("tv_shift" in store.metric_names(model, layer) for model in (standard, robust))
    ]
    if not layers:
        return None
    first, second = ([len(outliers(store, model, layer, standard)) for layer in layers] for model in (standard, robust))
    count = sum(more > fewer for more, fewer in zip(first, second, strict=True))
    opposite = sum(fewer < more for fewer, more in zip(first, second, strict=True))
    measured = f"in {count} of {len(layers)} layers; {sum(second)} units instead of {sum(first)}"
    return Claim("noise", "has fewer units that noise roughens", measured, _verdict(count, opposite, len(layers)))


def _verdict(count: int, opposite: int, layers: int) -> ClaimVerdict:
    """Return the verdict on a claim that holds in `count` layers of `layers`, and its opposite in `opposite`."""
    if count == layers:
        return ClaimVerdict.SHOWN
    if opposite == layers:
        return ClaimVerdict.REVERSED
    return ClaimVerdict.IN_PART if count else ClaimVerdict.NOT_SHOWN


def _detects_lower_levels(store: Store, standard: str, robust: str) -> Claim | None:
    """Return the claim that a larger fraction of the detectors, of all layers together, detect a colour or a texture.

    None where a layer was not dissected, other categories of concepts were not looked for, or a network has no
    detector.
    """
    concepts = read_concepts(store)
    layers = shared_layers(store, standard, robust)
    if (
        concepts is None
        or set(concepts.categories) <= _LOW_LEVEL
        or not all(was_dissected(store, model, layer) for model in (standard, robust) for layer in layers)
    ):
        return None
    shares = []
    for model in (standard, robust):
        counted = count_detectors(store, concepts, [(model, layer) for layer in layers])
        low = sum(layer.detectors.get(category, 0) for layer in counted for category in _LOW_LEVEL)
        shares.append((low, sum(sum(layer.detectors.values()) for layer in counted)))
    if not all(total for _, total in shares):
        return None
    first, second = (low / total for low, total in shares)
    verdict = (
        ClaimVerdict.SHOWN if second > first else ClaimVerdict.REVERSED if second < first else ClaimVerdict.NOT_SHOWN
    )
    measured = f"{second:.0%} of detectors are of colours and textures; {first:.0%}"
    return Claim("concepts", "detects lower-level concepts", measured, verdict)
