"""A comparison of observers as tables, JSON and CSV."""

import csv
import io
import math
from dataclasses import asdict
from typing import Any

from shapebias.core.ood.comparison import MEAN, PEOPLE, OodAccuracy, OodComparison, Pair
from shapebias.core.ood.decisions import OodObserver
from shapebias.core.ood.sets import is_left_out
from shapebias.core.text import aligned, printable

_SHARED = ("set", "condition", "counts", "observer", "from", "other", "other_from")
_NUMBERS = ("images", "accuracy", "other_accuracy", "accuracy_difference", "observed", "expected", "error_consistency")
_UNDEFINED = "–"
_NAMED = 3  # a mean over at most so many sets lists their names


def comparison_text(comparison: OodComparison, details: bool) -> str:
    """Return two tables: of accuracies, and, where observers can be compared, of their consistencies.

    The first has every condition. With `details`, the second has every condition too, and both have every single
    person; without it the second has only means over conditions and sets.
    """
    tables = [_accuracy_table(comparison, details)]
    if comparison.pairs:
        tables.append(_pair_table(comparison, details))
    return "\n".join(tables)


def _accuracy_table(comparison: OodComparison, details: bool) -> str:
    """Return a table with one line per set and condition, and one column per observer.

    Without `details` single persons are left out. The images are those of the observer that saw most.
    """
    rows = [row for row in comparison.accuracies if details or _is_lasting(row.observer)]
    by_cell = {(row.set_name, row.condition, row.observer): row for row in rows}
    observers = list(dict.fromkeys(row.observer for row in rows))
    lines = [["accuracy", "images", *(_name(observer, comparison) for observer in observers)]]
    for name, condition in dict.fromkeys((row.set_name, row.condition) for row in rows):
        cells = [by_cell.get((name, condition, observer)) for observer in observers]
        images = max(row.images for row in cells if row is not None)
        lines.append([_condition_label(name, condition, comparison), f"{images:,}", *map(_percent, cells)])
    return aligned(lines)


def _pair_table(comparison: OodComparison, details: bool) -> str:
    """Return a table with one line for every two observers under each condition of a set.

    Without `details`, there are only the means over a set's conditions and over sets, and no single persons.
    """
    columns = ("images", "accuracy difference", "observed", "expected", "error consistency")
    lines = [["consistency", "", "", *columns]]
    for pair in comparison.pairs:
        if not details and not (pair.condition == MEAN and _is_lasting(pair.observer) and _is_lasting(pair.other)):
            continue
        other = "each other" if pair.other == pair.observer else _name(pair.other, comparison)
        who = [_condition_label(pair.set_name, pair.condition, comparison), _name(pair.observer, comparison), other]
        agreed = pair.agreement
        numbers = (agreed.accuracy_difference, agreed.observed, agreed.expected, agreed.error_consistency)
        lines.append([*who, f"{agreed.images:,}", *(f"{number:.4f}" for number in numbers)])
    return aligned(lines, left=3)


def _is_lasting(observer: OodObserver) -> bool:
    """Return whether an observer is in the short tables: everyone but single persons."""
    return observer == PEOPLE or not observer.is_person


def _condition_label(name: str, condition: str, comparison: OodComparison) -> str:
    """Return the text for a set under a condition; MEAN as `name` is the mean over sets."""
    if name == MEAN:
        few = len(comparison.common) <= _NAMED and len(comparison.common) < len(comparison.sets)
        sets = ", ".join(map(printable, comparison.common)) if few else f"{len(comparison.common)} sets"
        return f"mean of {sets}"
    left_out = " (not in means)" if condition != MEAN and is_left_out(name, condition) else ""
    return f"{printable(name)} {printable(condition, 40)}".strip() + left_out


def _name(observer: OodObserver, comparison: OodComparison) -> str:
    """Return the text for an observer: people with their number if it is the same in all sets, and a model with its
    source if another has the same name.
    """
    if observer == PEOPLE:
        counts = {facts.people for facts in comparison.sets.values() if facts.people}
        return f"{observer.name} ({counts.pop()})" if len(counts) == 1 else observer.name
    alike = sum(other.name == observer.name for other in comparison.models)
    source = f" ({printable(observer.source, 40)})" if alike > 1 else ""
    return f"{printable(observer.name, 40)}{source}"


def _percent(row: OodAccuracy | None) -> str:
    return _UNDEFINED if row is None or math.isnan(row.accuracy) else f"{row.accuracy:.1%}"


def comparison_record(comparison: OodComparison, problems: list[str]) -> dict[str, Any]:
    """Return a comparison ready for JSON: every accuracy and every pair, single persons included.

    None in place of a set stands for the mean over the sets in `mean_over`, in place of a condition for all conditions
    that count, and in place of a number for NaN. `problems` are lines about data that could not be used.
    """
    return {
        "sets": {printable(name): asdict(facts) for name, facts in comparison.sets.items()},
        "mean_over": [printable(name) for name in comparison.common],
        "accuracy": [_accuracy_record(row) for row in comparison.accuracies],
        "consistency": [_pair_record(pair) for pair in comparison.pairs],
        "problems": problems,
    }


def comparison_csv(comparison: OodComparison) -> str:
    """Return CSV text: a header, one row per accuracy (`other` is empty) and one per pair.

    An empty cell stands for whatever is None in `comparison_record`.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, (*_SHARED, *_NUMBERS), restval="", lineterminator="\n")
    writer.writeheader()
    for record in (*map(_accuracy_record, comparison.accuracies), *map(_pair_record, comparison.pairs)):
        writer.writerow({name: "" if value is None else value for name, value in record.items()})
    return text.getvalue()


def _accuracy_record(row: OodAccuracy) -> dict[str, Any]:
    accuracy = None if math.isnan(row.accuracy) else row.accuracy
    return _shared_record(row) | {"images": row.images, "accuracy": accuracy}


def _pair_record(pair: Pair) -> dict[str, Any]:
    other = {"other": printable(pair.other.name), "other_from": printable(pair.other.source)}
    return _shared_record(pair) | other | asdict(pair.agreement)


def _shared_record(row: OodAccuracy | Pair) -> dict[str, Any]:
    return {
        "set": printable(row.set_name) or None,
        "condition": printable(row.condition) or None,
        "counts": not is_left_out(row.set_name, row.condition),
        "observer": printable(row.observer.name),
        "from": printable(row.observer.source),
    }
