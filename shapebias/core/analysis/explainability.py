"""Scores of attribution maps: means and intervals for each model and method, and two models compared by image."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.attribution.localising import localised
from shapebias.core.attribution.scores import LEAST_IOU, LEAST_IOUS, SCORES
from shapebias.core.errors import UsageError
from shapebias.core.store.attribution import Attribution, MapScores
from shapebias.core.store.reader import Store
from shapebias.core.text import aligned, printable
from shapebias.core.uncertainty.interval import UNKNOWN, Interval
from shapebias.core.uncertainty.resampling import RESAMPLES, holm, resampled_columns, sign_flip_test

IN_TABLES = tuple(name for name in SCORES if name not in ("pointing_exact", "localisation_mean"))
_SIGNIFICANT = 0.05
_LEAST = {"localisation": (LEAST_IOU,), "localisation_mean": LEAST_IOUS}  # IoUs from which an object is localised

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Scores that say how well the maps of one method explain the decisions of one model.

    family:      the family of the method: see `Method`
    images:      how many images have such a map
    constant:    how many of those maps have the same value everywhere: no evidence, hence a random order of pixels
    objects:     how many of the images show an object of the explained class at a known place: only these have scores
                 such as pointing
    scores:      the mean over images of every score in the registry SCORES, by name; UNKNOWN where not measured
    thresholds:  the two thresholds of localisation, one for each half of the images, as fractions of a map's largest
                 evidence (see `localised`); empty where there are too few images
    """

    model: str
    method: str
    family: str
    images: int
    constant: int
    objects: int
    scores: dict[str, Interval]
    thresholds: tuple[float, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the fields, ready for JSON, with None for NaN.

        A score's mean has the score's name; its interval is in `SCORE_low` and `SCORE_high`.
        """
        record: dict[str, Any] = {"model": self.model, "method": self.method, "family": self.family}
        record |= {"images": self.images, "constant": self.constant, "objects": self.objects}
        for name, interval in self.scores.items():
            values = {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
            record |= {key: None if value != value else value for key, value in values.items()}
        return record | {"thresholds": list(self.thresholds)}


def explained(store: Store, models: Iterable[str] | None = None) -> list[Explained]:
    """Return how well each method explains each model (or the models named), without models that have no scores.

    The images of a model are resampled jointly for all methods and scores, with the thresholds of localisation fixed.
    Random numbers are seeded, so that the same store gives the same results. Raises StoreError, and UsageError where
    nothing was scored.
    """
    attributions = scored_maps(store, models)
    if not attributions:
        raise UsageError(
            f"{printable(str(store.path))} has no scores of attribution maps: make it again with `shapebias precompute "
            "--passes attribution`"
        )
    return [row for model, attribution in attributions.items() for row in _of_model(model, attribution)]


def scored_maps(store: Store, models: Iterable[str] | None = None) -> dict[str, Attribution]:
    """Return the maps of those models whose maps were scored, by the model's label. Raises StoreError.

    models: labels of the models to look at; None: all.
    """
    attributions = {model: store.attribution(model) for model in (store.models if models is None else models)}
    return {
        model: attribution
        for model, attribution in attributions.items()
        if attribution is not None and attribution.scores is not None
    }


def _of_model(model: str, attribution: Attribution) -> list[Explained]:
    values, thresholds = image_scores(attribution)
    together = np.concatenate([values[name] for name in SCORES]).T  # [images, scores * methods]
    means = _means(together)
    resampled = resampled_columns(together, RESAMPLES, np.random.default_rng(0)) if len(together) else together[:0]
    low, high = _quantiles(resampled)
    intervals = [Interval(*of_one) for of_one in zip(means.tolist(), low.tolist(), high.tolist(), strict=True)]
    rows = []
    for number, (name, method) in enumerate(attribution.methods.items()):
        scale = attribution.scale[number]
        rows.append(
            Explained(
                model=model,
                method=name,
                family=method.family,
                images=int((~np.isnan(scale)).sum()),
                constant=int((scale == 0).sum()),
                objects=int((~np.isnan(values["pointing"][number])).sum()),
                scores=dict(zip(SCORES, intervals[number :: len(attribution.methods)], strict=True)),
                thresholds=thresholds[number],
            )
        )
    return rows


def _means(values: Floats) -> Floats:
    is_defined = ~np.isnan(values)
    counts = is_defined.sum(0)
    sums = np.where(is_defined, values, 0.0).sum(0)
    means: Floats = np.divide(sums, counts, out=np.full(values.shape[1], np.nan), where=counts > 0)
    return means


def _quantiles(resampled: Floats) -> Floats:
    """Return the ends of the 95 % intervals of columns [resamples, columns], float64 [2, columns]; NaN are left out."""
    ends = np.full((2, resampled.shape[1]), np.nan)
    is_defined = ~np.isnan(resampled).all(0)
    if is_defined.any():
        ends[:, is_defined] = np.nanquantile(resampled[:, is_defined], [0.025, 0.975], axis=0)
    return ends


def image_scores(attribution: Attribution) -> tuple[dict[str, Floats], list[tuple[float, ...]]]:
    """Return every score of every map, float64 [methods, images] by the score's name, and thresholds of localisation.

    A score is NaN where it was not measured. The thresholds are a list by method of what `Explained` has.
    """
    scores = attribution.scores
    thresholds: list[tuple[float, ...]] = [()] * len(attribution.scale)
    if scores is not None and scores.overlap is not None:
        thresholds = _localisation(scores, LEAST_IOU)[1]
    return {name: image_score(attribution, name) for name in SCORES}, thresholds


def image_score(attribution: Attribution, name: str) -> Floats:
    """Return the score `name` of every map, float64 [methods, images]; NaN where it was not measured."""
    scores = attribution.scores
    if scores is not None and scores.overlap is not None and name in _LEAST:
        of_each: Floats = np.mean([_localisation(scores, least)[0] for least in _LEAST[name]], axis=0)
        return of_each
    if scores is not None and name in scores.values:
        return scores.values[name].astype(np.float64)
    return np.full(attribution.scale.shape, np.nan)


def _localisation(scores: MapScores, least: float) -> tuple[Floats, list[tuple[float, ...]]]:
    """Return which objects are localised with an IoU of at least `least`, and the two thresholds of each method.

    The first is float64 [methods, images]: 1, 0, or NaN for unknown. For both see `localised`; thresholds are fractions
    of a map's largest evidence here, not indices.
    """
    assert scores.overlap is not None
    results = [localised(of_method, least) for of_method in scores.overlap]
    chosen = [tuple(scores.facts.thresholds[number] for number in numbers) for _, numbers in results]
    return np.array([values for values, _ in results], np.float64).reshape(scores.overlap.shape[:2]), chosen


@dataclass(frozen=True)
class FamilyScores:
    """One score of models, averaged over families of methods.

    methods:  for each family the methods that are averaged: those that all models with methods of the family share
    scores:   the mean score by model, then by family; a model lacks the families of which it has no scored method
    apart:    families of which models have scored methods, but no method that they share
    """

    methods: dict[str, tuple[str, ...]]
    scores: dict[str, dict[str, Interval]]
    apart: tuple[str, ...]


def family_scores(store: Store, score: str) -> FamilyScores:
    """Return the score `score` for each model and family of methods, as far as it was measured. Raises StoreError.

    It is the mean over methods of their means over images. For its interval the images are resampled as in `explained`.
    """
    values = {model: _by_family(attribution, score) for model, attribution in scored_maps(store).items()}
    methods: dict[str, tuple[str, ...]] = {}
    for family in dict.fromkeys(family for by_method in values.values() for family in by_method):
        first, *others = [by_method[family] for by_method in values.values() if family in by_method]
        methods[family] = tuple(name for name in first if all(name in other for other in others))
    shared = {family: names for family, names in methods.items() if names}
    return FamilyScores(
        methods=shared,
        scores={model: _means_over_methods(by_method, shared) for model, by_method in values.items()},
        apart=tuple(family for family in methods if family not in shared),
    )


def _by_family(attribution: Attribution, score: str) -> dict[str, dict[str, Floats]]:
    """Return a score of every image, float64 [images], by family and then by method.

    NaN stands for images without it; methods of which no image has it are left out.
    """
    by_family: dict[str, dict[str, Floats]] = {}
    values = image_score(attribution, score)
    for method, of_method in zip(attribution.methods.values(), values, strict=True):
        if not np.isnan(of_method).all():
            by_family.setdefault(method.family, {})[method.name] = of_method
    return by_family


def _means_over_methods(
    values: dict[str, dict[str, Floats]], methods: dict[str, tuple[str, ...]]
) -> dict[str, Interval]:
    """Return the mean over each family's methods of their means over images, with its interval.

    values:   the scores of images by family and method
    methods:  the methods to average, by family

    Families that `values` lacks are left out. All families are resampled jointly.
    """
    families = {family: names for family, names in methods.items() if family in values}
    columns = [values[family][name] for family, names in families.items() for name in names]
    if not columns:
        return {}
    together = np.stack(columns, axis=1)
    means = _means(together)
    resampled = resampled_columns(together, RESAMPLES, np.random.default_rng(0))
    result, start = {}, 0
    for family, names in families.items():
        of_family = slice(start, start + len(names))
        low, high = _quantiles(resampled[:, of_family].mean(1, keepdims=True))[:, 0].tolist()
        result[family] = Interval(float(means[of_family].mean()), low, high)
        start += len(names)
    return result


# The comparison of two models, image by image


@dataclass(frozen=True, kw_only=True)
class ScoreDifference:
    """The difference of a method's score between two models, the second minus the first, over the images that have
    both.

    images:         how many images have both
    first, second:  the models' means over those images
    interval:       the mean difference with a 95 % percentile bootstrap interval over images
    p:              that of a two-sided test, in which the signs of the images' differences are flipped
    p_holm:         p, corrected over the score's methods (Holm)
    """

    method: str
    score: str
    images: int
    first: float
    second: float
    interval: Interval
    p: float
    p_holm: float


def score_differences(
    store: Store, first: str, second: str, scores: Sequence[str] | None = None
) -> list[ScoreDifference]:
    """Compare the scores of all methods that two models have, image by image, score by score. Raises StoreError.

    scores: names of the scores; None: those IN_TABLES. Random numbers are seeded. The result is empty where one of the
    models has no scores, and has no entry where no image has the score for both models.
    """
    pair = [store.attribution(model) for model in (first, second)]
    a, b = pair
    if a is None or b is None or a.scores is None or b.scores is None:
        return []
    rows = _same_images(store, (first, second), (a, b))
    values = [image_scores(attribution)[0] for attribution in (a, b)]
    methods = [name for name in a.methods if name in b.methods]
    numbers = [[list(attribution.methods).index(name) for name in methods] for attribution in (a, b)]
    result = []
    for score in IN_TABLES if scores is None else scores:
        sides = [
            scores_of_model[score][of_methods][:, images]
            for scores_of_model, of_methods, images in zip(values, numbers, rows, strict=True)
        ]
        family = [_difference(name, score, *both) for name, *both in zip(methods, *sides, strict=True)]
        family = [row for row in family if row.images]
        corrected = holm([row.p for row in family])
        result += [replace(row, p_holm=p) for row, p in zip(family, corrected, strict=True)]
    return result


def _same_images(
    store: Store, models: tuple[str, str], pair: tuple[Attribution, Attribution]
) -> tuple[list[int], list[int]]:
    """Return the rows, in the first and in the second of `pair`, of the images that are explained for both models.

    Images are the same where their paths are, since the models may be in different stores.
    """
    by_path = [
        {store.image_paths[image]: row for row, image in enumerate(attribution.image.tolist())} for attribution in pair
    ]
    shared = [path for path in by_path[0] if path in by_path[1]]
    return [by_path[0][path] for path in shared], [by_path[1][path] for path in shared]


def _difference(method: str, score: str, a: Floats, b: Floats) -> ScoreDifference:
    """Return the difference, b minus a, of two models' scores of the same images, float64 [images] each.

    Images where one is NaN do not count. `p_holm` is not yet corrected.
    """
    both = ~np.isnan(a) & ~np.isnan(b)
    differences = b[both] - a[both]
    if not len(differences):
        nan = float("nan")
        return ScoreDifference(
            method=method, score=score, images=0, first=nan, second=nan, interval=UNKNOWN, p=nan, p_holm=nan
        )
    random = np.random.default_rng(0)
    low, high = _quantiles(resampled_columns(differences[:, None], RESAMPLES, random))[:, 0].tolist()
    p = sign_flip_test(differences, draws=RESAMPLES, random=random).p
    return ScoreDifference(
        method=method,
        score=score,
        images=len(differences),
        first=float(a[both].mean()),
        second=float(b[both].mean()),
        interval=Interval(float(differences.mean()), low, high),
        p=p,
        p_holm=p,
    )


# As text and tables


def explained_text(rows: Sequence[Explained]) -> str:
    """Return a table with one line per method and model, the models of a method below each other, and a legend."""
    columns = [name for name in IN_TABLES if any(row.scores[name].mean == row.scores[name].mean for row in rows)]
    methods = list(dict.fromkeys(row.method for row in rows))
    lines = [["method", "model", "images", *columns]]
    for row in sorted(rows, key=lambda row: methods.index(row.method)):
        cells = [str(row.scores[name]) for name in columns]
        lines.append([printable(row.method, 40), printable(row.model, 40), str(row.images), *cells])
    return aligned(lines, left=2) + "".join(f"{line}\n" for line in _legend(rows, columns))


def _legend(rows: Sequence[Explained], columns: Sequence[str]) -> list[str]:
    better = {
        text: ", ".join(name for name in columns if SCORES[name].higher is higher)
        for text, higher in (("higher is better", True), ("lower is better", False))
    }
    lines = ["", "mean over images ± the larger half of its 95 % interval (bootstrap over images)"]
    lines.append("; ".join(f"{names}: {text}" for text, names in better.items() if names))
    counts = [f"{row.model} {row.objects} of {row.images}" for row in {row.model: row for row in rows}.values()]
    if "pointing" in columns:
        lines.append(f"images that show the object that is explained, where objects are scored: {', '.join(counts)}")
    if any(row.objects and not row.thresholds for row in rows):
        lines.append("too few images show their object for the thresholds of localisation")
    constant = [f"{row.method} of {row.model} {row.constant}" for row in rows if row.constant]
    if constant:
        lines.append(f"constant maps, which rank pixels at random: {', '.join(constant)}")
    return [printable(line, 2000) for line in lines]


def explained_csv(rows: Sequence[Explained]) -> str:
    """Return CSV with a header and one line per model and method; empty cells stand for unknown values."""
    output = io.StringIO()
    records = [row.to_record() | {"thresholds": " ".join(map(str, row.thresholds))} for row in rows]
    writer = csv.DictWriter(output, records[0].keys() if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return output.getvalue()


def differences_text(differences: Sequence[ScoreDifference], pair: tuple[str, str]) -> str:
    """Return a table of the pair's mean differences by method and score, with an explanation; empty without any."""
    if not differences:
        return ""
    scores = list(dict.fromkeys(row.score for row in differences))
    by_cell = {(row.method, row.score): row for row in differences}
    lines = [["attribution", *scores]]
    for method in dict.fromkeys(row.method for row in differences):
        lines.append([printable(method, 40), *(_change(by_cell.get((method, score))) for score in scores)])
    first, second = (printable(name, 40) for name in pair)
    counts = dict.fromkeys(str(row.images) for row in differences)
    explanation = (
        f"{second} less {first}, over the images that both have ({' or '.join(counts)}); *: p < {_SIGNIFICANT:g} by "
        "flipped signs, Holm over methods; deletion: lower is better"
    )
    return aligned(lines) + f"{explanation}\n"


def _change(row: ScoreDifference | None) -> str:
    if row is None:
        return "–"
    return f"{row.interval.mean:+.3f}{'*' if row.p_holm < _SIGNIFICANT else ' '}"
