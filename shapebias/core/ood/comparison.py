"""The comparison of observers on sets of stimuli: accuracies by set and condition, and the error consistency of every
pair.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from shapebias.core.ood.consistency import Agreement, Numbers, agreements, mean_over
from shapebias.core.ood.decisions import NOT_SEEN, OodObserver, SetDecisions, SetTable, make_table
from shapebias.core.ood.sets import PUBLISHED
from shapebias.core.text import printable

# In place of a condition's name it stands for all conditions that count (those that enter the set's means); in place of
# a set's name, for the mean over the sets `OodComparison.common`.
MEAN = ""
PEOPLE = OodObserver("people", "recorded", is_person=True)  # the name of people as a whole


@dataclass(frozen=True, kw_only=True)
class OodAccuracy:
    """An observer's accuracy on the images of a set under a condition, as a fraction; NaN without images.

    `condition` is MEAN for all conditions that count: the accuracy is over all their images together. `set_name` is
    MEAN, too, for the unweighted mean of the sets' accuracies. PEOPLE's accuracy is over all people's decisions
    together. `images` is how many the observer saw: of PEOPLE, any of them; for the mean over sets, their sum.
    """

    set_name: str
    condition: str
    observer: OodObserver
    images: int
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The agreement of two observers on a set under a condition, or the mean of such agreements.

    If one observer is PEOPLE, it is the mean over people; if both are, over every two people. If `condition` is MEAN,
    it is the mean over the conditions that count; if `set_name` is MEAN, too, over sets. No mean is weighted.
    """

    set_name: str
    condition: str
    observer: OodObserver
    other: OodObserver
    agreement: Agreement


@dataclass(frozen=True, kw_only=True)
class SetFacts:
    """The facts about a set.

    conditions:  keys of its conditions, in order; empty where it has only one
    images:      how many different images the compared observers saw
    people:      how many of these observers are people
    """

    conditions: list[str]
    images: int
    people: int


@dataclass(frozen=True, kw_only=True)
class OodComparison:
    """The result of comparing observers.

    sets:        the facts about each set, by name, the published sets first, in their order
    common:      the sets that means are over: those for which every model decided, and people where there are any
    models:      the observers that are not people
    accuracies:  the accuracies of every observer and of PEOPLE, by set and condition; those over sets come last
    pairs:       the agreement of every pair that has images in common, in the same way
    notes:       what was left out or could not be compared, one line each
    """

    sets: dict[str, SetFacts]
    common: list[str]
    models: list[OodObserver]
    accuracies: list[OodAccuracy]
    pairs: list[Pair]
    notes: list[str]


def compare(decided: Mapping[OodObserver, Mapping[str, SetDecisions]]) -> OodComparison:
    """Compare observers set by set. `decided` has each observer's decisions by the set's name."""
    set_names = {name for by_set in decided.values() for name in by_set}
    names = [*(name for name in PUBLISHED if name in set_names), *sorted(set_names - set(PUBLISHED))]
    tables = [
        make_table(name, {who: by_set[name] for who, by_set in decided.items() if name in by_set}) for name in names
    ]
    accuracies = [row for table in tables for row in _accuracies(table)]
    pairs = [row for table in tables for row in _pairs(table)]
    models = [observer for observer in decided if not observer.is_person]
    sets = {table.name: _facts(table) for table in tables}
    with_people = any(facts.people for facts in sets.values())
    common = [
        name
        for name, facts in sets.items()
        if all(name in decided[model] for model in models) and (facts.people or not with_people)
    ]
    return OodComparison(
        sets=sets,
        common=common,
        models=models,
        accuracies=[*accuracies, *_accuracies_over_sets(accuracies, common)],
        pairs=[*(pair for pair in pairs if pair.agreement.images), *_pairs_over_sets(pairs, common)],
        notes=[*(note for table in tables for note in _notes(table)), *_differing_stimuli(pairs)],
    )


def _facts(table: SetTable) -> SetFacts:
    conditions = table.conditions if len(table.conditions) > 1 else []
    return SetFacts(conditions=conditions, images=len(table.condition), people=len(_rows(table, persons=True)))


def _rows(table: SetTable, persons: bool) -> list[int]:
    """Return the indices of the table's observers that are people, or of those that are models."""
    return [row for row, observer in enumerate(table.observers) if observer.is_person == persons]


def _accuracies(table: SetTable) -> list[OodAccuracy]:
    """Return the accuracies in a set of people as a whole and of each observer: for MEAN, then for each condition."""
    persons = _rows(table, persons=True)
    who = [(PEOPLE, persons)] if persons else []
    who += [(observer, [row]) for row, observer in enumerate(table.observers)]
    return [
        _accuracy(table, observer, table.right[rows][:, columns], condition)
        for observer, rows in who
        for condition, columns in _columns(table).items()
    ]


def _accuracy(table: SetTable, observer: OodObserver, right: NDArray[np.int8], condition: str) -> OodAccuracy:
    """Return an observer's accuracy on the images of a condition.

    `right` int8 [persons, images] has values as in `SetTable`; one row, unless the observer is PEOPLE.
    """
    seen = right[right != NOT_SEEN]
    return OodAccuracy(
        set_name=table.name,
        condition=condition,
        observer=observer,
        images=int((right != NOT_SEEN).any(0).sum()),
        accuracy=float(seen.mean()) if len(seen) else math.nan,
    )


def _columns(table: SetTable) -> dict[str, NDArray[np.bool_]]:
    """Return which images accuracies are over, bool [images], by condition.

    First comes MEAN, all images under conditions that count; then each condition, where there are several.
    """
    columns: dict[str, NDArray[np.bool_]] = {MEAN: np.isin(table.condition, table.counted)}
    if len(table.conditions) > 1:
        columns |= {condition: table.condition == number for number, condition in enumerate(table.conditions)}
    return columns


def _pairs(table: SetTable) -> list[Pair]:
    """Return the agreements of every two observers in a set, and the means over people, for MEAN and each condition."""
    if not table.observers:
        return []
    numbers = _by_condition(table)
    persons, models = _rows(table, persons=True), _rows(table, persons=False)
    among = list(combinations(persons, 2))
    pairs = [_pair(table, one, other, numbers) for one, other in among]
    if among:
        first, second = zip(*among, strict=True)
        pairs.append((PEOPLE, PEOPLE, _mean_over_people(numbers[:, list(first), list(second)])))
    for model in models:
        pairs += [_pair(table, model, person, numbers) for person in persons]
        if persons:
            pairs.append((table.observers[model], PEOPLE, _mean_over_people(numbers[:, model, persons])))
    pairs += [_pair(table, one, other, numbers) for one, other in combinations(models, 2)]
    names = [MEAN, *(table.conditions if len(table.conditions) > 1 else [])]
    return [
        Pair(set_name=table.name, condition=name, observer=one, other=other, agreement=Agreement.of(row))
        for one, other, rows in pairs
        for name, row in zip(names, rows, strict=True)
    ]


def _by_condition(table: SetTable) -> Numbers:
    """Return the agreement of every two observers, [1 + conditions, observers, observers, fields].

    Index 0 is the mean over the conditions that count. The conditions follow if there are several; else nothing does.
    """
    parts = np.stack([agreements(table.right[:, table.condition == row]) for row in range(len(table.conditions))])
    counted = parts[table.counted]
    mean = mean_over(counted, counted[..., 0].sum(0))[None]
    return np.concatenate([mean, parts]) if len(parts) > 1 else mean


def _pair(table: SetTable, one: int, other: int, numbers: Numbers) -> tuple[OodObserver, OodObserver, Numbers]:
    return table.observers[one], table.observers[other], numbers[:, one, other]


def _mean_over_people(numbers: Numbers) -> Numbers:
    """Return the mean agreement, [conditions, fields], over pairs of observers of which at least one is a person.

    `numbers` [conditions, pairs, fields] holds these pairs alone. The number of images in the result is the largest
    that any of the pairs has.
    """
    return mean_over(numbers.swapaxes(0, 1), numbers[..., 0].max(1))


def _accuracies_over_sets(accuracies: Sequence[OodAccuracy], common: Sequence[str]) -> list[OodAccuracy]:
    """Return the mean accuracies over the sets `common` of each model and of people as a whole.

    An observer that lacks one of these sets has none, and nobody has where there is only one set. A single person has
    none, since `subject-01` is another person in every set.
    """
    by_observer: dict[OodObserver, list[OodAccuracy]] = {}
    for row in accuracies:
        if row.set_name in common and row.condition == MEAN and row.images and _is_lasting(row.observer):
            by_observer.setdefault(row.observer, []).append(row)
    return [
        OodAccuracy(
            set_name=MEAN,
            condition=MEAN,
            observer=observer,
            images=sum(row.images for row in rows),
            accuracy=math.fsum(row.accuracy for row in rows) / len(rows),
        )
        for observer, rows in by_observer.items()
        if len(rows) == len(common) > 1
    ]


def _pairs_over_sets(pairs: Sequence[Pair], common: Sequence[str]) -> list[Pair]:
    """Return the mean agreement over the sets `common` of every two observers among the models and people as a whole.

    Two that have no image in common in one of these sets have none, and nobody has where there is only one set.
    """
    by_pair: dict[tuple[OodObserver, OodObserver], list[Agreement]] = {}
    for pair in pairs:
        counts = pair.set_name in common and pair.condition == MEAN and pair.agreement.images > 0
        if counts and _is_lasting(pair.observer) and _is_lasting(pair.other):
            by_pair.setdefault((pair.observer, pair.other), []).append(pair.agreement)
    rows = {who: np.array([astuple(part) for part in parts]) for who, parts in by_pair.items()}
    return [
        Pair(
            set_name=MEAN,
            condition=MEAN,
            observer=one,
            other=other,
            agreement=Agreement.of(mean_over(numbers, numbers[:, 0].sum())),
        )
        for (one, other), numbers in rows.items()
        if len(numbers) == len(common) > 1
    ]


def _is_lasting(observer: OodObserver) -> bool:
    """Return whether an observer is the same in all sets, as a single person is not."""
    return observer == PEOPLE or not observer.is_person


def _notes(table: SetTable) -> list[str]:
    """Return remarks on a set, such as images that not all observers saw."""
    shared = int((table.right != NOT_SEEN).all(0).sum())
    images = len(table.condition)
    if shared == images:
        return table.notes
    reason = f"only {shared:,} of {images:,} images were shown to all {len(table.observers)} observers"
    return [*table.notes, f"{table.name}: {reason}; two are compared by those that both saw"]


def _differing_stimuli(pairs: Sequence[Pair]) -> list[str]:
    """Return one line for each set in which two observers have no image in common."""
    apart: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.condition == MEAN and not pair.agreement.images and PEOPLE not in (pair.observer, pair.other):
            names = (printable(observer.name, 40) for observer in (pair.observer, pair.other))
            apart.setdefault(pair.set_name, []).append(" and ".join(names))
    return [
        f"{name}: {len(who):,} pairs saw no image in common and are not compared, such as {who[0]}"
        for name, who in apart.items()
    ]
