"""The comparison as tables, JSON and CSV: the same numbers in all."""

import csv
import io

import numpy as np
import pytest

from shapebias.core.ood.comparison import OodComparison, compare
from shapebias.core.ood.decisions import OodObserver, SetDecisions
from shapebias.core.ood.report import comparison_csv, comparison_record, comparison_text

CATEGORIES = ["cat", "dog"]
IMAGES = [f"{category}/{number}.png" for category in CATEGORIES for number in range(4)]


def decided(*right: int, conditions: list[str] | None = None) -> SetDecisions:
    category = np.repeat([0, 1], 4).astype(np.int32)
    decision = np.where(right, category, 1 - category).astype(np.int32)
    image_conditions = conditions or [""] * 8
    return SetDecisions(
        categories=CATEGORIES, images=IMAGES, conditions=image_conditions, category=category, decision=decision
    )


@pytest.fixture
def comparison() -> OodComparison:
    halves = ["c100"] * 4 + ["c50"] * 4
    persons = [OodObserver(f"subject-0{number}", "recorded", is_person=True) for number in (1, 2)]
    return compare(
        {
            OodObserver("Net", "a.zarr", is_person=False): {
                "contrast": decided(1, 1, 1, 1, 1, 0, 0, 0, conditions=halves),
                "edge": decided(1, 1, 1, 1, 0, 0, 0, 0),
            },
            OodObserver("Net", "b.zarr", is_person=False): {
                "contrast": decided(1, 1, 1, 1, 1, 1, 1, 1, conditions=halves),
                "edge": decided(1, 1, 1, 0, 0, 0, 0, 0),
            },
            persons[0]: {"edge": decided(1, 1, 1, 1, 1, 1, 1, 0)},
            persons[1]: {"edge": decided(1, 1, 1, 1, 1, 1, 0, 1)},
        }
    )


def test_tables(comparison: OodComparison) -> None:
    accuracy, consistency = comparison_text(comparison, details=False).split("\n\n")
    lines = [line.split() for line in accuracy.splitlines()]
    assert lines[0] == ["accuracy", "images", "Net", "(a.zarr)", "Net", "(b.zarr)", "people", "(2)"]
    assert [line for line in lines if line[0] == "contrast"] == [
        ["contrast", "4", "25.0%", "100.0%", "–"],
        ["contrast", "c100", "(not", "in", "means)", "4", "100.0%", "100.0%", "–"],
        ["contrast", "c50", "4", "25.0%", "100.0%", "–"],
    ]
    assert ["edge", "8", "50.0%", "37.5%", "87.5%"] in lines
    names = [line[:38].split() for line in consistency.splitlines()[1:]]
    assert ["edge", "people", "(2)", "each", "other"] in names
    assert not any("subject" in line for line in consistency.splitlines())
    detailed = comparison_text(comparison, details=True)
    assert "subject-01" in detailed
    assert "contrast c50" in detailed.split("\n\n")[1]


def test_json_and_csv_have_every_number(comparison: OodComparison) -> None:
    record = comparison_record(comparison, ["a problem"])
    assert record["problems"] == ["a problem"]
    assert record["sets"]["contrast"] == {"conditions": ["c100", "c50"], "images": 8, "people": 0}
    assert record["mean_over"] == ["edge"]
    assert len(record["accuracy"]) == len(comparison.accuracies)
    assert len(record["consistency"]) == len(comparison.pairs)
    assert [row["counts"] for row in record["accuracy"] if row["condition"] == "c100"] == [False, False]
    rows = list(csv.DictReader(io.StringIO(comparison_csv(comparison))))
    both = [*record["accuracy"], *record["consistency"]]
    assert len(rows) == len(both)
    for row, known in zip(rows, both, strict=True):
        assert {name: row[name] for name in known} == {
            name: "" if value is None else str(value) for name, value in known.items()
        }


def test_names_are_untrusted() -> None:
    odd = OodObserver("\x1b[31m", "\x07", is_person=False)
    comparison = compare({odd: {"edge\x1b": decided(1, 1, 1, 1, 0, 0, 0, 0)}})
    for text in (comparison_text(comparison, details=True), comparison_csv(comparison)):
        assert all(line.isprintable() for line in text.splitlines())
