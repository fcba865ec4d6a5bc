"""The one registry of per-unit metrics. Table headers, help, commands, docs and reports all read it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from shapebias.core.text import printable

_INF = float("inf")
_STRENGTH = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Metric:
    """One number (or, with `is_text`, name) a unit has: what it is called, how it is computed, how it is read.

    `low` and `high` say in words what a small and a large value mean; `range` is the interval of possible values;
    `formula` uses a for the unit's activation maps over images n and positions p.
    """

    name: str
    title: str
    formula: str
    range: tuple[float, float]
    low: str
    high: str
    source: str
    is_text: bool = False
    is_count: bool = False

    @property
    def width(self) -> int:
        """The most characters that `format` gives."""
        return 20 if self.is_text else 8

    def format(self, value: float | str, room: int | None = None) -> str:
        """`value` in at most `width` characters (a text in at most `room`, where that is given), a dash where it is
        undefined (NaN, or an empty text)."""
        if isinstance(value, str):
            return printable(value, room or self.width) or "–"
        if value != value:
            return "–"
        magnitude = abs(value)
        if self.is_count and magnitude < 10_000_000 and float(value).is_integer():
            return f"{value:.0f}"
        if magnitude == 0 or 0.01 <= magnitude < 100 or self.range == (0.0, 1.0):
            return f"{value:.3f}"
        if 0.0001 <= magnitude < 0.01:
            return f"{value:.4f}"
        if 100 <= magnitude < 100_000:
            return f"{value:.1f}" if magnitude < 1000 else f"{value:.0f}"
        return f"{value:.1e}"


_ALL = (
    Metric(
        "smoothness",
        "smooth",
        "1 - (sum over n of TV(a)) / (4 * sum of |a| over n, p); 1 for a dead unit",
        (0.0, 1.0),
        "rough: neighbouring positions differ",
        "smooth: neighbouring positions are alike",
        "total variation relative to its bound, so that units of any scale compare",
    ),
    Metric(
        "class_diversity",
        "classes",
        "exp(entropy) of the true classes of the unit's top images: the effective number of classes",
        (1.0, _INF),
        "its top images are of one class",
        "its top images are of many classes",
        "Hill number of order 1 of the top images' classes",
    ),
    Metric(
        "visual_diversity",
        "diversity",
        "mean cosine distance between the unit's top images, over all pairs, in the global-average-pooled last layer "
        "of the store's first model",
        (0.0, 2.0),
        "its top images look alike",
        "its top images look different",
        "pairwise distance of embeddings, one embedding for all models",
    ),
    Metric(
        "concept_diversity",
        "concepts",
        "number of concepts with IoU >= 0.04",
        (0.0, _INF),
        "detects few kinds of things",
        "detects many kinds of things",
        "concepts above Network Dissection's detector threshold",
        is_count=True,
    ),
    Metric(
        "concept",
        "concept",
        "the concept with the largest iou, empty where every iou is 0",
        (-_INF, _INF),
        "first by name",
        "last by name",
        "Network Dissection (Bau et al. 2017)",
        is_text=True,
    ),
    Metric(
        "concept_category",
        "category",
        "the category of that concept: color, texture, material, part, object or scene",
        (-_INF, _INF),
        "first by name",
        "last by name",
        "Network Dissection (Bau et al. 2017)",
        is_text=True,
    ),
    Metric(
        "iou",
        "IoU",
        "intersection / union of {a > q995, a upsampled} with the concept's pixels, over the images that carry its "
        "category",
        (0.0, 1.0),
        "detects no concept (below 0.04)",
        "fires on the concept and nothing else",
        "intersection over union of Network Dissection (Bau et al. 2017)",
    ),
    Metric(
        "color_sensitivity",
        "colour",
        "1 - (mean activation on the unit's top images in grey) / (mean activation on them)",
        (-_INF, 1.0),
        "grey images drive it as well",
        "needs colour",
        "activation lost without colour",
    ),
    Metric(
        "shape_sensitivity",
        "shape",
        "1 - (mean activation on the unit's top images, 4 x 4 patches shuffled) / (mean activation on them)",
        (-_INF, 1.0),
        "shuffled patches drive it as well: texture or colour",
        "needs the arrangement of parts",
        "activation lost without global shape",
    ),
    Metric(
        "noise_sensitivity",
        "noise",
        "1 - (mean activation on the unit's top images with Gaussian noise of 0.1) / (mean activation on them)",
        (-_INF, 1.0),
        "noise does not matter",
        "noise silences it",
        "activation lost under noise",
    ),
    Metric(
        "shape_score",
        "shape score",
        "cue-conflict images that the model decides by shape, but no longer so when the unit's output is set to zero",
        (0.0, _INF),
        "shape decisions do not need it",
        "shape decisions rest on it",
        "channel ablation (Chen, Agarwal & Nguyen 2020)",
        is_count=True,
    ),
    Metric(
        "texture_score",
        "texture score",
        "cue-conflict images that the model decides by texture, but no longer so when the unit's output is set to zero",
        (0.0, _INF),
        "texture decisions do not need it",
        "texture decisions rest on it",
        "channel ablation (Chen, Agarwal & Nguyen 2020)",
        is_count=True,
    ),
    Metric(
        "accuracy_drop",
        "accuracy drop",
        "top-1 accuracy on the labelled images less that with the unit's output set to zero",
        (-1.0, 1.0),
        "the model does without it, or better",
        "accuracy rests on it",
        "channel ablation (Morcos et al. 2018)",
    ),
    Metric(
        "selectivity",
        "selectivity",
        "(m1 - m2) / (m1 + m2): m1 the largest class mean of the activation, m2 the mean of the other class means; "
        "0 where m1 + m2 = 0; 0 to 1 unless activations are negative",
        (-_INF, _INF),
        "responds to every class alike",
        "responds to one class",
        "class selectivity index (Morcos et al. 2018)",
    ),
    Metric(
        "sparsity",
        "sparsity",
        "fraction of positions n, p with a <= 0",
        (0.0, 1.0),
        "dense: fires nearly everywhere",
        "sparse: fires rarely",
        "activation sparsity",
    ),
    Metric(
        "max",
        "max",
        "max of a over all n, p",
        (-_INF, _INF),
        "weak",
        "strong",
        "largest activation over the probe images",
    ),
    Metric("mean", "mean", "mean of a over all n, p", (-_INF, _INF), "quiet", "active", "first moment"),
    Metric(
        "std",
        "std",
        "sqrt(mean of (a - mean)^2 over all n, p)",
        (0.0, _INF),
        "steady",
        "varied",
        "second moment",
    ),
    Metric(
        "q995",
        "q995",
        "T with P(a > T) = 0.005 over all n, p (rank error at most 0.0005)",
        (-_INF, _INF),
        "low threshold",
        "high threshold",
        "Network Dissection's threshold (Bau et al. 2017)",
    ),
    Metric(
        "tv",
        "TV",
        "mean over n of TV(a) = sum |a[y+1, x] - a[y, x]| + sum |a[y, x+1] - a[y, x]|",
        (0.0, _INF),
        "flat maps",
        "rough or strong maps",
        "total variation of the activation maps (Chen, Agarwal & Nguyen 2020)",
    ),
    Metric(
        "tv_noisy",
        "TV-noisy",
        "tv on the same images plus Gaussian pixel noise (standard deviation 0.1 for pixels in [0, 1], clipped)",
        (0.0, _INF),
        "flat maps",
        "rough or strong maps",
        "total variation under noise (Chen, Agarwal & Nguyen 2020)",
    ),
    Metric(
        "tv_shift",
        "TV-shift",
        "tv_noisy - tv",
        (-_INF, _INF),
        "noise flattens its maps",
        "noise roughens its maps",
        "how noise changes the total variation (Chen, Agarwal & Nguyen 2020)",
    ),
    Metric(
        "filter_smoothness",
        "filter-smooth",
        "smoothness of the unit's kernel w, over its spatial axes and all its inputs; undefined for 1 x 1 kernels",
        (0.0, 1.0),
        "rough kernel",
        "smooth kernel",
        "total variation of the kernel relative to its bound",
    ),
)


class _Registry(dict[str, Metric]):
    """Metrics by name. `NAME@STRENGTH` is the metric NAME under noise of another strength, such as `tv_noisy@0.2`."""

    def __missing__(self, name: str) -> Metric:
        base, _, strength = name.partition("@")
        if base not in self or not _STRENGTH.fullmatch(strength):
            raise KeyError(name)
        metric = self[base]
        return replace(
            metric, name=name, title=f"{metric.title}@{strength}", formula=f"{metric.formula}; {strength} here"
        )


METRICS = _Registry({metric.name: metric for metric in _ALL})


def in_order(names: Iterable[str]) -> list[str]:
    """Those of `names` that are metrics, once each, in the registry's order."""
    rank = {name: index for index, name in enumerate(METRICS)}
    bases = {name: name.partition("@") for name in names}
    known = [name for name, (base, at, rest) in bases.items() if base in rank and (not at or _STRENGTH.fullmatch(rest))]
    return sorted(known, key=lambda name: (rank[bases[name][0]], name))
