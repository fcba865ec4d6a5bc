"""The decisions of observers for the stimuli of a set, and whether they are right, image by image."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapebias.core.ood.sets import condition_key, in_order, is_left_out
from shapebias.core.ood.stimuli import image_id
from shapebias.core.shape_bias.decisions import NO_DECISION
from shapebias.core.text import printable

NOT_SEEN = -1  # in place of right (1) or wrong (0): the observer was not shown the image


@dataclass(frozen=True)
class OodObserver:
    """A person or a model that decides. `source` says where its decisions come from: a store's path, or `recorded`."""

    name: str
    source: str
    is_person: bool


@dataclass(frozen=True, kw_only=True)
class SetDecisions:
    """The decisions of one observer for the stimuli of one set.

    images:              their names, with or without folders
    conditions:          the condition of each image as it was written; empty for none
    category, decision:  int32 [images], indices into `categories`: what an image shows, and what the observer decided;
                         a decision is NO_DECISION (-1) where it was for none of them
    stimuli:             how images were prepared, see `STIMULI` in `shape_bias.decisions`; empty where unknown

    Raises ValueError where these have different lengths, or an index is out of range.
    """

    categories: list[str]
    images: list[str]
    conditions: list[str]
    category: NDArray[np.int32]
    decision: NDArray[np.int32]
    stimuli: str = ""

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.conditions) == len(self.category) == len(self.decision):
            raise ValueError("there is not one condition, category and decision per image")
        for values, least in ((self.category, 0), (self.decision, NO_DECISION)):
            if len(values) and not least <= values.min() <= values.max() < len(self.categories):
                raise ValueError("a category that does not exist")

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which decisions are right, bool [images]. NO_DECISION counts as wrong, as in the published accuracies."""
        right: NDArray[np.bool_] = self.decision == self.category
        return right

    def counted(self, set_name: str) -> NDArray[np.bool_]:
        """Return which decisions are right, bool [images that count].

        The images that count are those under conditions that enter the means of the set called `set_name`; all images,
        if no condition here does.
        """
        kept = np.array([not is_left_out(set_name, condition) for condition in self.conditions], bool)
        return self.right[kept] if kept.any() else self.right

    def accuracy(self, set_name: str) -> float:
        """Return the fraction of right decisions among the images that count (see `counted`); NaN without images."""
        right = self.counted(set_name)
        return float(right.mean()) if len(right) else float("nan")


@dataclass(frozen=True, kw_only=True)
class SetTable:
    """The decisions of all observers for one set, with one numbering of its images.

    name:        the set's name
    observers:   the observers, in the order of the rows of `right`
    conditions:  the keys of the conditions (see `sets.condition_key`) in order; one empty key where images have none
    condition:   int64 [images], an index into `conditions`
    right:       int8 [observers, images]: 1 = right, 0 = wrong, NOT_SEEN (-1)
    notes:       which observers and decisions were left out, and why, one line each
    """

    name: str
    observers: list[OodObserver]
    conditions: list[str]
    condition: NDArray[np.int64]
    right: NDArray[np.int8]
    notes: list[str]

    @property
    def counted(self) -> list[int]:
        """The indices of the conditions that enter the set's means; of all conditions, if none of them does."""
        kept = [row for row, condition in enumerate(self.conditions) if not is_left_out(self.name, condition)]
        return kept or list(range(len(self.conditions)))


def make_table(name: str, decided: Mapping[OodObserver, SetDecisions]) -> SetTable:
    """Return the decisions of several observers for a set, with one numbering of the images.

    Observers saw the same image where condition, category and `image_id` are equal. If the observers name several
    conditions, an observer with an image that has none is left out. If they name only one, as people's files of the
    edge set do, and some image has none, conditions are ignored. Of an image that an observer saw several times, the
    first decision counts.
    """
    decided, notes = _with_conditions(name, decided)
    has_conditions = not any(_lacks_conditions(decisions) for decisions in decided.values())
    keys = {observer: _keys(decisions, has_conditions) for observer, decisions in decided.items()}
    all_keys = dict.fromkeys(key for of_observer in keys.values() for key in of_observer)
    number = {key: row for row, key in enumerate(all_keys)}
    conditions = in_order(name, {condition for condition, _, _ in number})
    right = np.full((len(decided), len(number)), NOT_SEEN, np.int8)
    for row, (observer, decisions) in enumerate(decided.items()):
        columns = np.array([number[key] for key in keys[observer]], np.int64)
        right[row, columns[::-1]] = decisions.right[::-1]
        if repeated := sum(times - 1 for times in Counter(keys[observer]).values()):
            who = printable(observer.name, 40)
            notes.append(f"{name}: {repeated:,} decisions of {who} are left out: it decided for these images before")
    return SetTable(
        name=name,
        observers=list(decided),
        conditions=conditions,
        condition=np.array([conditions.index(condition) for condition, _, _ in number], np.int64),
        right=right,
        notes=notes,
    )


def _with_conditions(
    name: str, decided: Mapping[OodObserver, SetDecisions]
) -> tuple[dict[OodObserver, SetDecisions], list[str]]:
    """Return the observers that can be compared, and one note for each of the others.

    If the images have several conditions, an observer with an image that has none cannot be compared.
    """
    lacking = {observer for observer, decisions in decided.items() if _lacks_conditions(decisions)}
    conditions = {condition_key(condition) for decisions in decided.values() for condition in decisions.conditions}
    conditions.discard("")
    if len(conditions) < 2:
        return dict(decided), []
    kept = {observer: decisions for observer, decisions in decided.items() if observer not in lacking}
    names = [printable(observer.name, 40) for observer in decided if observer in lacking]
    return kept, [f"{name}: {who} is left out: the conditions of its images are unknown" for who in names]


def _lacks_conditions(decided: SetDecisions) -> bool:
    """Return whether some image has no condition."""
    return not all(map(condition_key, decided.conditions))


def _keys(decided: SetDecisions, has_conditions: bool) -> list[tuple[str, str, str]]:
    """Return the condition's key, the category's name and the `image_id` of each image; without `has_conditions` all
    keys of conditions are empty.
    """
    category = [decided.categories[index] for index in decided.category.tolist()]
    condition = map(condition_key, decided.conditions) if has_conditions else [""] * len(category)
    return list(zip(condition, category, map(image_id, decided.images), strict=True))
