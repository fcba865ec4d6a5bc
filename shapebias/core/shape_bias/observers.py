"""The shape bias of models beside people and published figures: as a table, JSON and CSV."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from shapebias.core.shape_bias.decisions import Counts, Decisions, Score, score
from shapebias.core.text import aligned, printable

_NONE = (math.nan, math.nan)
_UNDEFINED = "–"


@dataclass(frozen=True)
class Observer:
    """Who decided: a model, or people together. `source` says where the figures are from; `category_bias` is the shape
    bias by shape category (published figures have it without the counts)."""

    name: str
    source: str
    is_people: bool
    score: Score
    category_bias: dict[str, float]


def observe(name: str, source: str, is_people: bool, decisions: Decisions) -> Observer:
    """Scores the decisions of one observer."""
    scored = score(decisions)
    bias = {category: counts.shape_bias for category, counts in scored.categories.items()}
    return Observer(name, source, is_people, scored, bias)


def published() -> list[Observer]:
    """People (10 of them, together) and models, as published: Geirhos et al. 2019, from the raw decisions."""
    text = resources.files("shapebias.core").joinpath("reference/human_shape_bias.json").read_text("utf-8")
    facts = json.loads(text)
    found = {"people": facts, **facts["published_models"]}
    return [
        Observer(
            name,
            "Geirhos et al. 2019",
            name == "people",
            Score(Counts(each["shape"], each["texture"], each["other"]), _NONE, {}, 0),
            each.get("shape_bias_per_category", {}),
        )
        for name, each in found.items()
    ]


def shape_categories(observers: Iterable[Observer]) -> list[str]:
    """The shape categories of all whose decisions are at hand: published figures may be of other images."""
    return list(dict.fromkeys(category for each in observers for category in each.score.categories))


def saw_other_images(observer: Observer, observers: Iterable[Observer]) -> bool:
    """Whether a published observer's figures are of categories unlike those that the others decided among."""
    scored = [each.score.categories.keys() for each in observers if each.score.categories]
    return not observer.score.categories and not any(each <= observer.category_bias.keys() for each in scored)


def bias_text(observers: Sequence[Observer]) -> str:
    """A table, one line an observer."""
    rows = [["", "from", "shape", "texture", "other", "shape bias", "95 % interval"]]
    for each in observers:
        counts = each.score.counts
        interval = " to ".join(map(_number, each.score.interval)) if _has_interval(each) else _UNDEFINED
        numbers = [f"{count:,}" for count in (counts.shape, counts.texture, counts.other)]
        rows.append([printable(each.name), printable(each.source), *numbers, _number(counts.shape_bias), interval])
    return aligned(rows, left=2)


def categories_text(observers: Sequence[Observer]) -> str:
    """A table of the shape bias, one line a shape category, one column an observer that has it by category."""
    categories = shape_categories(observers)
    shown = [each for each in observers if each.category_bias and not saw_other_images(each, observers)]
    rows = [["shape category", *(f"{printable(each.name)}, {printable(each.source)}" for each in shown)]]
    for category in categories:
        biases = (each.category_bias.get(category, math.nan) for each in shown)
        rows.append([printable(category), *map(_number, biases)])
    return aligned(rows)


def bias_record(scored: Score) -> dict[str, Any]:
    """A score ready for JSON (None where a number is undefined)."""
    return {
        **_counts_record(scored.counts),
        "interval": [_finite(bound) for bound in scored.interval],
        "excluded": scored.excluded,
        "categories": {category: _counts_record(counts) for category, counts in scored.categories.items()},
    }


def observer_record(observer: Observer) -> dict[str, Any]:
    """An observer ready for JSON; where only the shape bias of a category is known, it stands alone."""
    record = {"name": observer.name, "source": observer.source, "people": observer.is_people}
    scored = bias_record(observer.score)
    known = {category: {"shape_bias": _finite(bias)} for category, bias in observer.category_bias.items()}
    return record | scored | {"categories": scored["categories"] or known}


def bias_csv(observers: Iterable[Observer]) -> str:
    """CSV, of every observer a row for all images (category empty) and one a shape category; unknown is empty."""
    text = io.StringIO()
    columns = ("name", "source", "category", "shape", "texture", "other", "shape_bias", "low", "high")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for each in observers:
        record = observer_record(each)
        low, high = record["interval"]
        parts = {"": record | {"low": low, "high": high}, **record["categories"]}
        for category, facts in parts.items():
            who = {"name": printable(each.name), "source": printable(each.source), "category": category}
            writer.writerow(who | {key: facts[key] for key in columns[3:] if key in facts})
    return text.getvalue()


def _has_interval(observer: Observer) -> bool:
    return not math.isnan(observer.score.interval[0])


def _counts_record(counts: Counts) -> dict[str, Any]:
    numbers = {"shape": counts.shape, "texture": counts.texture, "other": counts.other}
    return numbers | {"shape_bias": _finite(counts.shape_bias)}


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float) -> str:
    return _UNDEFINED if math.isnan(value) else f"{value:.4f}"
