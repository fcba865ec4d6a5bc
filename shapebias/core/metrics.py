"""The registry of metrics of units. Table headers, help, commands, docs and reports all read it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shapebias.core.noise import NoiseLevel, split_metric
from shapebias.core.text import printable

_INF = float("inf")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number of a unit (or a name, with `is_text`).

    name, title:  what commands call it, and what the headers of tables call it
    formula:      a is the unit's activation maps over images n and positions p
    range:        the interval of possible values
    low, high:    what a small and a large value mean, in words
    source:       the paper
    is_count:     whether values are whole numbers
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
    def in_words(self) -> str:
        """The name as it stands in a sentence: `class diversity`, `TV shift`."""
        words = self.name.replace("_", " ").replace("color", "colour")
        return words.replace("tv", "TV", 1) if words.startswith("tv") else words

    @property
    def width(self) -> int:
        """The largest number of characters that `format` returns."""
        return 20 if self.is_text else 8

    def format(self, value: float | str, room: int | None = None) -> str:
        """Return `value` in at most `width` characters (a text in at most `room`, where given); a dash for NaN or an
        empty text.

        >>> METRICS["smoothness"].format(0.51234).strip(), METRICS["smoothness"].format(float("nan")).strip()
        ('0.512', '–')
        """
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
        name="smoothness",
        title="smooth",
        formula="1 - (sum over n of TV(a)) / (4 * sum of |a| over n, p); 1 for a dead unit",
        range=(0.0, 1.0),
        low="rough: neighbouring positions differ",
        high="smooth: neighbouring positions are alike",
        source="total variation relative to its bound, so that units of any scale compare",
    ),
    Metric(
        name="coherence",
        title="coherent",
        formula="1 - (sum over n of TV(a)) / (sum over n of the TV(a) to be expected with the map's values in random "
        "places: neighbouring pairs times the mean of |a[p] - a[q]| over p != q, of at least 128 random pairs a map); "
        "undefined for constant maps",
        range=(-_INF, 1.0),
        low="at 0 no spatial order, below it neighbours differ most",
        high="spatial order: neighbours are alike",
        source="total variation relative to its expectation under random permutation, so that maps of any density, "
        "offset and size compare",
    ),
    Metric(
        name="class_diversity",
        title="classes",
        formula="exp(entropy) of the true classes of the unit's top images: the effective number of classes",
        range=(1.0, _INF),
        low="its top images are of one class",
        high="its top images are of many classes",
        source="Hill number of order 1 of the top images' classes",
    ),
    Metric(
        name="visual_diversity",
        title="diversity",
        formula="mean cosine distance between the unit's top images, over all pairs, in the global-average-pooled last "
        "layer of every model of the store (the mean over the models), or of the --embedding",
        range=(0.0, 2.0),
        low="its top images look alike",
        high="its top images look different",
        source="pairwise distance of embeddings, the same rulers for all models: `info` names them",
    ),
    Metric(
        name="concept_diversity",
        title="concepts",
        formula="number of concepts with IoU >= 0.04",
        range=(0.0, _INF),
        low="detects few kinds of things",
        high="detects many kinds of things",
        source="concepts above Network Dissection's detector threshold",
        is_count=True,
    ),
    Metric(
        name="concept",
        title="concept",
        formula="the concept with the largest iou, empty where every iou is 0",
        range=(-_INF, _INF),
        low="first by name",
        high="last by name",
        source="Network Dissection (Bau et al. 2017)",
        is_text=True,
    ),
    Metric(
        name="concept_category",
        title="category",
        formula="the category of that concept: color, texture, material, part, object or scene",
        range=(-_INF, _INF),
        low="first by name",
        high="last by name",
        source="Network Dissection (Bau et al. 2017)",
        is_text=True,
    ),
    Metric(
        name="iou",
        title="IoU",
        formula="intersection / union of {a > q995, a upsampled} with the concept's pixels, over the images that carry "
        "its category; undefined where q995 is the unit's maximum, so that a > q995 nowhere (saturated or dead)",
        range=(0.0, 1.0),
        low="detects no concept (below 0.04)",
        high="fires on the concept and nothing else",
        source="intersection over union of Network Dissection (Bau et al. 2017)",
    ),
    Metric(
        name="color_sensitivity",
        title="colour",
        formula="1 - (mean activation on the unit's top images in grey) / (mean activation on them)",
        range=(-_INF, 1.0),
        low="grey images drive it as well",
        high="needs colour",
        source="activation lost without colour",
    ),
    Metric(
        name="shape_sensitivity",
        title="shape",
        formula="1 - (mean activation on the unit's top images, 4 x 4 patches shuffled) / (mean activation on them)",
        range=(-_INF, 1.0),
        low="shuffled patches drive it as well: texture or colour",
        high="needs the arrangement of parts",
        source="activation lost without global shape",
    ),
    Metric(
        name="noise_sensitivity",
        title="noise",
        formula="1 - (mean activation on the unit's top images with Gaussian noise of 0.1) / (mean activation on them)",
        range=(-_INF, 1.0),
        low="noise does not matter",
        high="noise silences it",
        source="activation lost under noise",
    ),
    Metric(
        name="control_sensitivity",
        title="control",
        formula="1 - (mean activation on the unit's top images, mirrored and moved by up to 8 px) / (mean activation "
        "on them)",
        range=(-_INF, 1.0),
        low="mirroring does not matter",
        high="any change of the image silences it",
        source="activation lost by a change that keeps colour, parts and texture: what choosing the maximum explains",
    ),
    Metric(
        name="color_excess",
        title="colour-excess",
        formula="color_sensitivity - control_sensitivity",
        range=(-_INF, _INF),
        low="loses no more than by mirroring",
        high="needs colour more than that",
        source="the sensitivity less its control",
    ),
    Metric(
        name="shape_excess",
        title="shape-excess",
        formula="shape_sensitivity - control_sensitivity",
        range=(-_INF, _INF),
        low="loses no more than by mirroring",
        high="needs the arrangement of parts more than that",
        source="the sensitivity less its control",
    ),
    Metric(
        name="noise_excess",
        title="noise-excess",
        formula="noise_sensitivity - control_sensitivity",
        range=(-_INF, _INF),
        low="loses no more than by mirroring",
        high="noise takes more than that",
        source="the sensitivity less its control",
    ),
    Metric(
        name="shape_score",
        title="shape score",
        formula="cue-conflict images that the model decides by shape, but no longer so when the unit's output is set "
        "to zero",
        range=(0.0, _INF),
        low="shape decisions do not need it",
        high="shape decisions rest on it",
        source="channel ablation (Chen, Agarwal & Nguyen 2020)",
        is_count=True,
    ),
    Metric(
        name="texture_score",
        title="texture score",
        formula="cue-conflict images that the model decides by texture, but no longer so when the unit's output is set "
        "to zero",
        range=(0.0, _INF),
        low="texture decisions do not need it",
        high="texture decisions rest on it",
        source="channel ablation (Chen, Agarwal & Nguyen 2020)",
        is_count=True,
    ),
    Metric(
        name="accuracy_drop",
        title="accuracy drop",
        formula="top-1 accuracy on the labelled images less that with the unit's output set to zero",
        range=(-1.0, 1.0),
        low="the model does without it, or better",
        high="accuracy rests on it",
        source="channel ablation (Morcos et al. 2018)",
    ),
    Metric(
        name="selectivity",
        title="selectivity",
        formula="(m1 - m2) / (m1 + m2): m1 the largest class mean of the activation (the maximum of a over p), m2 the "
        "mean of the other class means; 0 where m1 + m2 = 0; undefined where a can be negative",
        range=(-_INF, _INF),
        low="fires as strongly for every class",
        high="fires strongly for one class",
        source="as selectivity_mean, with the maximum over positions in place of the mean",
    ),
    Metric(
        name="selectivity_mean",
        title="sel-mean",
        formula="(m1 - m2) / (m1 + m2): m1 the largest class mean of the mean of a over p, m2 the mean of the other "
        "class means; 0 where m1 + m2 = 0; undefined where a can be negative",
        range=(0.0, 1.0),
        low="responds to every class alike",
        high="responds to one class",
        source="class selectivity index as published (Morcos et al. 2018, arXiv 1803.06959)",
    ),
    Metric(
        name="sparsity",
        title="sparsity",
        formula="fraction of positions n, p with a <= 0",
        range=(0.0, 1.0),
        low="dense: fires nearly everywhere",
        high="sparse: fires rarely",
        source="activation sparsity",
    ),
    Metric(
        name="max",
        title="max",
        formula="max of a over all n, p",
        range=(-_INF, _INF),
        low="weak",
        high="strong",
        source="largest activation over the probe images",
    ),
    Metric(
        name="tied",
        title="tied",
        formula="number of images whose activation equals max",
        range=(1.0, _INF),
        low="its strongest image stands alone",
        high="saturated: its top images are a choice among many",
        source="ties at the maximum, as of ReLU6 (which ends at 6), or of a dead unit",
        is_count=True,
    ),
    Metric(
        name="mean",
        title="mean",
        formula="mean of a over all n, p",
        range=(-_INF, _INF),
        low="quiet",
        high="active",
        source="first moment",
    ),
    Metric(
        name="std",
        title="std",
        formula="sqrt(mean of (a - mean)^2 over all n, p)",
        range=(0.0, _INF),
        low="steady",
        high="varied",
        source="second moment",
    ),
    Metric(
        name="q995",
        title="q995",
        formula="T with P(a > T) = 0.005 over all n, p (rank error at most 0.0005)",
        range=(-_INF, _INF),
        low="low threshold",
        high="high threshold",
        source="Network Dissection's threshold (Bau et al. 2017)",
    ),
    Metric(
        name="tv",
        title="TV",
        formula="mean over n of TV(a) = sum |a[y+1, x] - a[y, x]| + sum |a[y, x+1] - a[y, x]|",
        range=(0.0, _INF),
        low="flat maps",
        high="rough or strong maps",
        source="total variation of the activation maps (Chen, Agarwal & Nguyen 2020)",
    ),
    Metric(
        name="tv_noisy",
        title="TV-noisy",
        formula="tv on the same images plus Gaussian pixel noise (standard deviation 0.1 for pixels in [0, 1], "
        "clipped)",
        range=(0.0, _INF),
        low="flat maps",
        high="rough or strong maps",
        source="total variation under noise (Chen, Agarwal & Nguyen 2020)",
    ),
    Metric(
        name="tv_shift",
        title="TV-shift",
        formula="tv_noisy - tv",
        range=(-_INF, _INF),
        low="noise flattens its maps",
        high="noise roughens its maps",
        source="how noise changes the total variation (Chen, Agarwal & Nguyen 2020)",
    ),
    Metric(
        name="filter_smoothness",
        title="filter-smooth",
        formula="smoothness of the unit's kernel w, over its spatial axes and all its inputs; undefined for 1 x 1 "
        "kernels",
        range=(0.0, 1.0),
        low="rough kernel",
        high="smooth kernel",
        source="total variation of the kernel relative to its bound",
    ),
)


class _Registry(dict[str, Metric]):
    """Metrics by name. `NAME@STRENGTH` is the metric NAME under noise of another strength, such as `tv_noisy@0.2`.

    Such names can be looked up, but are not listed or counted.
    """

    def __missing__(self, name: str) -> Metric:
        base_and_strength = _base_and_strength(name)
        if base_and_strength is None:
            raise KeyError(name)
        metric, strength = self[base_and_strength[0]], base_and_strength[1]
        return replace(
            metric, name=name, title=f"{metric.title}@{strength}", formula=f"{metric.formula}; {strength} here"
        )


METRICS = _Registry({metric.name: metric for metric in _ALL})


def _base_and_strength(name: str) -> tuple[str, NoiseLevel] | None:
    """Return the name of the registered metric and the noise level in a name such as `tv_noisy@0.2`; None where it
    names no metric.
    """
    try:
        base, noise = split_metric(name)
    except ValueError:
        return None
    return (base, noise) if base in METRICS else None


def in_order(names: Iterable[str]) -> list[str]:
    """Return those of `names` that are metrics, once each, in the registry's order."""
    rank = {name: index for index, name in enumerate(METRICS)}
    bases = {
        name: base_and_strength[0] for name in names if (base_and_strength := _base_and_strength(name)) is not None
    }
    return sorted(bases, key=lambda name: (rank[bases[name]], name))
