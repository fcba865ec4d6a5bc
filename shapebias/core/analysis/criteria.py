"""The three criteria of Nourelahi et al. 2022 (arXiv 2205.13042) for the networks of a store: accuracy, accuracy out of
distribution, and explainability; and which of the networks are a standard one and its robust twin.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shapebias.core.analysis.accuracy import CLEAN, accuracies
from shapebias.core.analysis.explainability import family_scores, scored_maps
from shapebias.core.analysis.ood import ood_decisions
from shapebias.core.attribution.methods import CAM, FAMILIES
from shapebias.core.attribution.scores import SCORES
from shapebias.core.errors import UsageError
from shapebias.core.store.reader import Store
from shapebias.core.text import printable
from shapebias.core.uncertainty.interval import UNKNOWN, Interval
from shapebias.core.uncertainty.shares import mean_share, wilson

SCORE = "insertion_max"  # this score compares networks of different confidence, and needs no objects
_SEPARATORS = re.compile(r"[-_. @+]+")
_STANDARD, _ROBUST = {"s", "standard"}, {"r", "robust"}  # words in the labels of standard and of robust networks


@dataclass(frozen=True, kw_only=True)
class NetworkCriteria:
    """The values of the criteria for a network.

    accuracy:        on the clean probe images; UNKNOWN where it was not measured
    ood:             out of distribution, the mean over the sets of stimuli; UNKNOWN where it was not measured
    explainability:  a score by family of attribution methods; without the families that were not measured
    """

    model: str
    accuracy: Interval
    ood: Interval
    explainability: dict[str, Interval]


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """The criteria of all networks of a store.

    score:    the name of the score that measures explainability
    sets:     the sets of stimuli that the accuracies out of distribution are averaged over
    methods:  for each family the methods that its score is averaged over, families in the registry's order
    missing:  what is unknown and how to get it, one line each
    """

    score: str
    sets: tuple[str, ...]
    methods: dict[str, tuple[str, ...]]
    networks: tuple[NetworkCriteria, ...]
    missing: tuple[str, ...]

    @property
    def has_more(self) -> bool:
        """Whether more than the accuracy is known for any network."""
        return any(network.ood.is_known or network.explainability for network in self.networks)

    def to_record(self) -> dict[str, Any]:
        """Return the criteria, ready for JSON."""
        networks = [
            {
                "model": network.model,
                "accuracy": network.accuracy.to_record(),
                "ood_accuracy": network.ood.to_record(),
                "explainability": {family: score.to_record() for family, score in network.explainability.items()},
            }
            for network in self.networks
        ]
        methods = {family: list(names) for family, names in self.methods.items()}
        facts = {"score": self.score, "ood_sets": list(self.sets), "methods": methods}
        return facts | {"networks": networks, "missing": list(self.missing)}


def _which_are_known(network: NetworkCriteria) -> tuple[bool, bool, bool]:
    return network.accuracy.is_known, network.ood.is_known, bool(network.explainability)


def criteria(store: Store, score: str = SCORE) -> Criteria:
    """Return the criteria of the networks of a store, with 95 % intervals.

    score: the name of one of the scores of attribution maps, which measures explainability.

    The intervals of accuracies say what other images of the same kind may give (see `wilson` and `mean_share`); those
    of explainability are a bootstrap over images. Raises StoreError, and UsageError for a score that does not exist.
    """
    if score not in SCORES:
        raise UsageError(f"no score {printable(score, 60)}: there are {', '.join(SCORES)}")
    accuracy = _accuracies(store)
    sets, ood = _out_of_distribution(store)
    families = family_scores(store, score)
    networks = tuple(
        NetworkCriteria(
            model=model,
            accuracy=accuracy.get(model, UNKNOWN),
            ood=ood.get(model, UNKNOWN),
            explainability=families.scores.get(model, {}),
        )
        for model in store.models
    )
    order = [*FAMILIES, *families.methods]
    return Criteria(
        score=score,
        sets=sets,
        methods=dict(sorted(families.methods.items(), key=lambda item: order.index(item[0]))),
        networks=networks,
        missing=(*_missing(store, networks, sets, score), *map(_unshared_text, families.apart)),
    )


def _accuracies(store: Store) -> dict[str, Interval]:
    """Return the accuracy on unchanged images, by model, without those where it is unknown.

    Where the number of images is unknown, the ends of the interval are.
    """
    nan = float("nan")
    stored = {label: model.top1 for label, model in store.models.items()}
    from_files = {label: Interval(top1, nan, nan) for label, top1 in stored.items() if top1 is not None}
    clean = [row for row in accuracies(store) if row.condition == CLEAN and row.kind == CLEAN and row.images]
    return from_files | {row.model: wilson(round(row.accuracy * row.images), row.images) for row in clean}


def _out_of_distribution(store: Store) -> tuple[tuple[str, ...], dict[str, Interval]]:
    """Return the sets of stimuli that are averaged over, and the mean accuracy by model.

    The sets are those for which every model decided that decided for any; the other models have no accuracy.
    """
    decided = {model: ood_decisions(store, model) for model in store.models}
    decided = {model: by_set for model, by_set in decided.items() if by_set}
    names = [name for by_set in list(decided.values())[:1] for name in by_set]
    sets = tuple(name for name in names if all(name in by_set for by_set in decided.values()))
    right = {model: [by_set[name].counted(name) for name in sets] for model, by_set in decided.items()}
    return sets, {
        model: mean_share([(int(of_set.sum()), len(of_set)) for of_set in of_sets]) for model, of_sets in right.items()
    }


def _missing(store: Store, networks: Sequence[NetworkCriteria], sets: Sequence[str], score: str) -> Iterable[str]:
    """Yield one line for each criterion that a network lacks: which networks, unless all do, and how to get it."""
    ways = (
        ("accuracy", "precompute it with images in folders named by class"),
        ("accuracy out of distribution", _way_to_ood(store, sets)),
        (f"explainability ({SCORES[score].title})", _way_to_score(store, score)),
    )
    for (criterion, command), are_known in zip(ways, zip(*map(_which_are_known, networks), strict=True), strict=True):
        lacking = [network.model for network, is_known in zip(networks, are_known, strict=True) if not is_known]
        if lacking:
            of_some = f" of {', '.join(printable(model, 40) for model in lacking)}" if any(are_known) else ""
            yield f"no {criterion}{of_some}: {command}"


def _way_to_ood(store: Store, sets: Sequence[str]) -> str:
    if not sets and any(ood_decisions(store, model) for model in store.models):
        return "no set of stimuli was decided by all models"
    return "precompute it with --ood NAME=IMAGES"


def _way_to_score(store: Store, score: str) -> str:
    if not scored_maps(store):
        return "precompute it with --passes attribution"
    if score.startswith(("insertion", "deletion")):
        return "precompute it with --passes attribution, and not with --attribution-steps 0"
    return "precompute it with --passes attribution and with images whose objects are known, such as by --boxes"


def _unshared_text(family: str) -> str:
    return f"no explainability by {family_title(family)} methods: the models have no such method in common"


# Pairs of a standard and a robust network


def pairs_of(store: Store) -> list[tuple[str, str]]:
    """Return the pairs of a standard network and its robust twin, as far as their labels tell.

    Both have the same architecture, and their labels differ in one word only: S or standard, or nothing, and R or
    robust (`S` and `R`; `AlexNet` and `AlexNet-R`). Where several could be the standard one, there is no pair.
    """
    kinds = {model: _kind_of(model) for model in store.models}
    pairs = []
    for robust, (is_robust, rest) in kinds.items():
        standard = [
            model
            for model, kind in kinds.items()
            if is_robust and kind == (False, rest) and _architecture(store, model) == _architecture(store, robust)
        ]
        if len(standard) == 1:
            pairs.append((standard[0], robust))
    return pairs


def _kind_of(label: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether a label says that its network is robust (`r` or `robust`), and the label's other words.

    These are in lower case, without `s` and `standard`.
    """
    words = _SEPARATORS.split(label.lower())
    rest = tuple(word for word in words if word not in _STANDARD | _ROBUST)
    return bool(_ROBUST & set(words)), rest


def _architecture(store: Store, model: str) -> str:
    return store.models[model].architecture


def parse_pairs(texts: Iterable[str], store: Store) -> list[tuple[str, str]]:
    """Return the pairs (standard, robust) of models' labels that texts `STANDARD=ROBUST` name.

    Raises UsageError for another form, and for a model that the store does not have.
    """
    pairs = []
    for text in texts:
        standard, _, robust = text.partition("=")
        if not standard or not robust or standard == robust:
            raise UsageError(f"--pair {printable(text)}: write STANDARD=ROBUST, two models, such as S=R")
        for model in (standard, robust):
            store.check_model(model)
        pairs.append((standard, robust))
    return pairs


# As text


def criteria_rows(results: Criteria) -> list[list[str]]:
    """Return the rows of a table, header first: for each network its label, and the criteria that any network has."""
    accuracy, ood, _ = (any(column) for column in zip(*map(_which_are_known, results.networks), strict=True))
    columns = {"accuracy": accuracy, "OOD accuracy": ood}
    rows = [["", *(name for name, is_there in columns.items() if is_there), *map(family_title, results.methods)]]
    for network in results.networks:
        accuracies_of = zip((network.accuracy, network.ood), columns.values(), strict=True)
        cells = [str(value) for value, is_there in accuracies_of if is_there]
        cells += [str(network.explainability.get(family, UNKNOWN)) for family in results.methods]
        rows.append([printable(network.model, 24), *cells])
    return rows


def criteria_notes(results: Criteria) -> list[str]:
    """Return lines below the table: first how its numbers were measured, then how to measure those that are missing."""
    lines = []
    if results.sets:
        lines.append(f"OOD accuracy: {ood_text(results)}")
    if results.methods:
        score = SCORES[results.score]
        better = "higher" if score.higher else "lower"
        lines.append(f"explainability: {score.title} ({better} is better), the mean over {methods_text(results)}")
    if results.has_more:
        lines.append("±: the larger half of the 95 % interval")
    return [printable(line, 2000) for line in (*lines, *results.missing)]


def ood_text(results: Criteria) -> str:
    """Return the sets that the accuracy out of distribution is for: `edge`, or `mean of 2 sets: edge, silhouette`."""
    names = ", ".join(printable(name, 40) for name in results.sets)
    return names if len(results.sets) == 1 else f"mean of {len(results.sets)} sets: {names}"


def methods_text(results: Criteria) -> str:
    """Return the methods that the families' scores are averaged over: `gradient, smoothgrad; rise; grad-cam`."""
    return "; ".join(", ".join(printable(name, 40) for name in names) for names in results.methods.values())


def family_title(family: str) -> str:
    """Return how tables write a family of methods: its name, and `CAM` in capitals."""
    return "CAM" if family == CAM else printable(family, 24)
