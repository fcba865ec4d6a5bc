"""The shape bias of models beside people and published figures: as a table, JSON and CSV.

People and models are observers. A choice of categories says on which of the 16 categories observers are compared: a
list of names, or None for all.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from shapebias.core.shape_bias.bootstrap import NO_INTERVAL
from shapebias.core.shape_bias.categories import is_part_of_sixteen
from shapebias.core.shape_bias.decisions import NATIVE, Counts, Decisions, Score, score, sum_counts
from shapebias.core.text import aligned, printable

_UNDEFINED = "–"
_PUBLISHED, _PEOPLE = "Geirhos et al. 2019", "people"
_TABLES = ("shape", "texture", "images")  # counts by shape category (rows) and texture category


@dataclass(frozen=True, kw_only=True)
class Observer:
    """A model, or people together, with the score of their decisions.

    source:         where the decisions come from: a store's path, `recorded`, or a publication; may be empty
    category_bias:  the shape bias by shape category, in [0, 1] or NaN. Published observers have it without counts:
                    their `score.categories` is empty
    """

    name: str
    source: str
    is_people: bool
    score: Score
    category_bias: dict[str, float]


def observe(name: str, source: str, is_people: bool, decisions: Decisions) -> Observer:
    """Return an observer with the score of its decisions; the other arguments are fields of `Observer`."""
    scored = score(decisions)
    category_bias = {category: counts.shape_bias for category, counts in scored.categories.items()}
    return Observer(name=name, source=source, is_people=is_people, score=scored, category_bias=category_bias)


def published() -> list[Observer]:
    """Return the published observers over all 16 categories: ten people together, and models.

    The figures were counted from the raw decisions of Geirhos et al. 2019; they have no intervals.
    """
    people = _reference()
    observers = {"people": people, **people["published_models"]}
    return [
        Observer(
            name=name,
            source=_PUBLISHED,
            is_people=name == _PEOPLE,
            score=Score(_counts(facts), NO_INTERVAL, {}, 0, stimuli=NATIVE),
            category_bias=facts.get("shape_bias_per_category", {}),
        )
        for name, facts in observers.items()
    ]


def published_among(categories: Sequence[str]) -> list[Observer]:
    """Return the published observers over only those images whose shape and texture are both among `categories`, some
    of the 16.
    """
    pairs = _reference()["pairs"]
    chosen = [pairs["categories"].index(category) for category in categories]
    observers = []
    for name, tables in pairs["observers"].items():
        shape, texture, images = (np.array(tables[kind])[np.ix_(chosen, chosen)] for kind in _TABLES)
        counts = [Counts(*row) for row in np.stack([shape, texture, images - shape - texture], 2).sum(1).tolist()]
        observers.append(
            Observer(
                name=name,
                source=f"{_PUBLISHED}, {_among_text(categories)}",
                is_people=name == _PEOPLE,
                score=Score(sum_counts(counts), NO_INTERVAL, {}, 0, stimuli=NATIVE),
                category_bias={
                    category: category_counts.shape_bias
                    for category, category_counts in zip(categories, counts, strict=True)
                },
            )
        )
    return observers


def published_beside(choices: Iterable[Sequence[str] | None]) -> list[Observer]:
    """Return the published observers for each choice of categories, one choice after the other."""
    return [observer for choice in choices for observer in (published() if choice is None else published_among(choice))]


def choices_of(categories: Iterable[Sequence[str]]) -> list[list[str] | None]:
    """Return the choices of categories by which models are to be compared with people, each once.

    `categories` has for each model the categories that it decides among. Where these are only some of the 16, they are
    the choice. For any other model, and where there is no model, the choice is None.
    """
    choices = {
        tuple(categories_of_model) if is_part_of_sixteen(categories_of_model) else None: None
        for categories_of_model in categories
    }
    return [None if choice is None else list(choice) for choice in choices or {None: None}]


def observe_among(
    name: str, source: str, is_people: bool, decisions: Decisions, choices: Iterable[Sequence[str] | None]
) -> list[Observer]:
    """Return an observer for each choice of categories, with the score of only those of its `decisions` that belong to
    the choice; its source then names the number of categories.
    """
    return [
        observe(name, source, is_people, decisions)
        if choice is None
        else observe(name, f"{source}, {_among_text(choice)}", is_people, decisions.among(choice))
        for choice in choices
    ]


def choice_text(categories: Sequence[str]) -> str:
    """Return a line that explains the rows of a table whose source ends in `7 categories`: which these are, and the
    share of decisions by shape that chance would give.
    """
    names, share = printable(", ".join(categories), 400), 1 / len(categories)
    return (
        f"{_among_text(categories)} ({names}): images of two of these; by chance {share:.1%} of decisions are by "
        "shape, as many by texture"
    )


def _among_text(categories: Sequence[str]) -> str:
    return f"{len(categories)} categories"


def _reference() -> dict[str, Any]:
    text = resources.files("shapebias.core").joinpath("reference/human_shape_bias.json").read_text("utf-8")
    reference: dict[str, Any] = json.loads(text)
    return reference


def shape_categories(observers: Iterable[Observer]) -> list[str]:
    """Return the shape categories that observers decided on, each once, without those of published observers, whose
    images may have been others.
    """
    return list(dict.fromkeys(category for observer in observers for category in observer.score.categories))


def saw_other_images(observer: Observer, observers: Iterable[Observer]) -> bool:
    """Return whether an observer's figures are published ones for other images than the `observers` saw: for none of
    them do the figures cover all shape categories.

    False for an observer whose own decisions are at hand.
    """
    scored = [other.score.categories.keys() for other in observers if other.score.categories]
    return not observer.score.categories and not any(names <= observer.category_bias.keys() for names in scored)


def bias_text(observers: Sequence[Observer]) -> str:
    """Return a text table with one line per observer: counts, shape bias and its 95 % interval, undefined ones as –."""
    rows = [["", "from", "stimuli", "shape", "texture", "other", "shape bias", "95 % interval"]]
    for observer in observers:
        counts, bounds = observer.score.counts, observer.score.interval
        interval = _UNDEFINED if math.isnan(bounds[0]) else " to ".join(map(_number, bounds))
        numbers = [f"{count:,}" for count in (counts.shape, counts.texture, counts.other)]
        names = [printable(observer.name), printable(observer.source), observer.score.stimuli or _UNDEFINED]
        rows.append([*names, *numbers, _number(counts.shape_bias), interval])
    return aligned(rows, left=3)


def categories_text(observers: Sequence[Observer]) -> str:
    """Return a text table of the shape bias with one line per shape category, and one column per observer that has it
    by category and saw the same images (see `saw_other_images`).
    """
    columns = [
        observer for observer in observers if observer.category_bias and not saw_other_images(observer, observers)
    ]
    rows = [["shape category", *(f"{printable(observer.name)}, {printable(observer.source)}" for observer in columns)]]
    for category in shape_categories(observers):
        biases = (observer.category_bias.get(category, math.nan) for observer in columns)
        rows.append([printable(category), *map(_number, biases)])
    return aligned(rows)


def bias_record(scored: Score) -> dict[str, Any]:
    """Return a score ready for JSON, None where a number is undefined and for empty texts."""
    return {
        **_counts_record(scored.counts),
        "interval": [_finite(bound) for bound in scored.interval],
        "interval_over": scored.interval_over or None,
        "image_interval": [_finite(bound) for bound in scored.image_interval],
        "stimuli": scored.stimuli or None,
        "excluded": scored.excluded,
        "categories": {category: _counts_record(counts) for category, counts in scored.categories.items()},
    }


def observer_record(observer: Observer) -> dict[str, Any]:
    """Return an observer ready for JSON: name, source, people (whether it is people) and the fields of `bias_record`.

    Where only the shape bias of a category is known, the category's record has no counts.
    """
    record = {"name": observer.name, "source": observer.source, "people": observer.is_people}
    scored = bias_record(observer.score)
    by_category = {category: {"shape_bias": _finite(bias)} for category, bias in observer.category_bias.items()}
    return record | scored | {"categories": scored["categories"] or by_category}


def bias_csv(observers: Iterable[Observer]) -> str:
    """Return a CSV text with a header and, for each observer, one row for all images (category empty) and one for each
    shape category. Unknown values are empty.
    """
    text = io.StringIO()
    columns = ("name", "source", "category", "shape", "texture", "other", "shape_bias", "low", "high")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for observer in observers:
        record = observer_record(observer)
        low, high = record["interval"]
        parts = {"": record | {"low": low, "high": high}, **record["categories"]}
        for category, facts in parts.items():
            who = {"name": printable(observer.name), "source": printable(observer.source), "category": category}
            writer.writerow(who | {key: facts[key] for key in columns[3:] if key in facts})
    return text.getvalue()


def bias_sentence(record: dict[str, Any]) -> str:
    """Return the contents of `bias_record` in one line, such as `shape bias 0.2531, 95 % interval ... to ...: 182
    shape, ...`.
    """
    counts = _counts(record)
    low, high = record["interval"]
    interval = "" if low is None else f", 95 % interval {low:.4f} to {high:.4f}"
    prepared = "" if record["stimuli"] is None else f", {record['stimuli']} stimuli"
    return f"shape bias {counts.bias_text}{interval}: {counts.text()}{prepared}"


def _counts(record: dict[str, Any]) -> Counts:
    return Counts(record["shape"], record["texture"], record["other"])


def _counts_record(counts: Counts) -> dict[str, Any]:
    numbers = {"shape": counts.shape, "texture": counts.texture, "other": counts.other}
    return numbers | {"shape_bias": _finite(counts.shape_bias)}


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float) -> str:
    return _UNDEFINED if math.isnan(value) else f"{value:.4f}"
