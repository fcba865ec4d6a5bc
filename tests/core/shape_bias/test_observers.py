"""The shape bias of observers, published ones too, as table, JSON and CSV."""

import csv
import io
import json

import numpy as np
import pytest

from shapebias.core.shape_bias.categories import known_categories, sixteen_classes
from shapebias.core.shape_bias.decisions import Counts, Decisions
from shapebias.core.shape_bias.observers import (
    Observer,
    bias_csv,
    bias_text,
    categories_text,
    choice_text,
    choices_of,
    observe,
    observe_among,
    observer_record,
    published,
    published_among,
    published_beside,
    shape_categories,
)


def decisions(categories: list[str], rows: list[tuple[int, int, int]], excluded: int = 0) -> Decisions:
    """Decisions for images whose shape, texture and decision are the rows."""
    shape, texture, decision = np.array(rows, np.int32).T
    return Decisions(
        categories=categories,
        images=[f"image{row}" for row in range(len(rows))],
        shape=shape,
        texture=texture,
        decision=decision,
        excluded=excluded,
    )


def tiny(name: str = "Net", source: str = "a.zarr") -> Observer:
    rows = [(0, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 2)]
    return observe(name, source, False, decisions(["cat", "dog", "knife"], rows, excluded=2))


def test_published_figures_agree_with_themselves_and_the_paper() -> None:
    people, alexnet = published()
    assert (people.name, people.is_people) == ("people", True)
    assert round(people.score.counts.shape_bias, 3) == 0.959  # the paper's 95.9 %
    assert sum((people.score.counts.shape, people.score.counts.texture, people.score.counts.other)) == 10 * 1200
    assert sorted(people.category_bias) == sorted(sixteen_classes())
    assert round(alexnet.score.counts.shape_bias, 4) == 0.2531
    assert not alexnet.is_people
    assert alexnet.category_bias == {}


def test_the_table_has_one_line_per_observer() -> None:
    lines = bias_text([*published(), tiny("a\x1b[31m")]).splitlines()
    assert lines[0].split("  ")[0] == ""
    assert lines[1].split() == [
        "people",
        "Geirhos",
        "et",
        "al.",
        "2019",
        "native",
        "9,236",
        "398",
        "2,366",
        "0.9587",
        "–",
    ]
    assert lines[3].split()[:7] == ["a\\x1b[31m", "a.zarr", "–", "2", "1", "1", "0.6667"]
    assert len({len(line) for line in lines}) == 1


def test_the_table_of_categories_shows_those_that_have_images() -> None:
    lines = categories_text([*published(), tiny()]).splitlines()
    assert [line.split()[0] for line in lines] == ["shape", "cat", "dog"]
    assert lines[0].split("  ")[-2:] == ["people, Geirhos et al. 2019", "Net, a.zarr"]
    assert lines[1].split() == ["cat", "0.9590", "0.6667"]
    assert lines[2].split() == ["dog", "0.9413", "–"]


def test_people_stay_out_of_a_table_of_other_categories() -> None:
    drawn = decisions(["circle", "bottle"], [(0, 1, 0), (1, 0, 1)])  # a drawn bottle is not a photo's
    shapes = observe("S", "demo.zarr", False, drawn)
    assert shape_categories([*published(), shapes]) == ["circle", "bottle"]
    assert "people" not in categories_text([*published(), shapes])


def test_records_and_csv_say_the_same() -> None:
    observers = [*published(), tiny()]
    records = json.loads(json.dumps([observer_record(observer) for observer in observers], allow_nan=False))
    rows = list(csv.DictReader(io.StringIO(bias_csv(observers))))
    assert [row["name"] for row in rows if row["category"] == ""] == ["people", "alexnet (torchvision)", "Net"]
    assert len(rows) == 3 + 16 + 2
    by_place = {(row["name"], row["category"]): row for row in rows}
    for record in records:
        for category, facts in {"": record, **record["categories"]}.items():
            row = by_place[record["name"], category]
            for key in ("shape", "texture", "other", "shape_bias"):
                value = facts.get(key)
                assert row[key] == ("" if value is None else str(value))
    net = records[2]
    assert (net["shape"], net["texture"], net["other"], net["excluded"], net["people"]) == (2, 1, 1, 2, False)
    assert net["categories"]["dog"]["shape_bias"] is None
    assert float(by_place["Net", ""]["low"]) == pytest.approx(net["interval"][0])


SEVEN = list(
    known_categories(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
)


def test_the_tables_by_pairs_of_categories_add_up_to_the_published_figures() -> None:
    for whole, pairs in zip(published(), published_among(list(sixteen_classes())), strict=True):
        assert pairs.score.counts == whole.score.counts
        for category, bias in whole.category_bias.items():
            assert round(pairs.category_bias[category], 4) == bias


def test_people_among_seven_categories_are_those_of_the_recorded_trials() -> None:
    people = published_among(SEVEN)[0]
    counts = people.score.counts
    assert people.source == "Geirhos et al. 2019, 7 categories"
    assert counts.shape + counts.texture + counts.other == 10 * 7 * 6 * 5  # five images of every pair of categories
    assert list(people.category_bias) == SEVEN


def test_models_with_some_of_the_categories_choose_what_people_are_shown_for() -> None:
    assert choices_of([]) == choices_of([["circle", "star"]]) == choices_of([list(sixteen_classes())]) == [None]
    assert choices_of([SEVEN, SEVEN, ["circle", "star"]]) == [SEVEN, None]
    names = [(one.name, one.source) for one in published_beside([SEVEN])]
    assert names[0] == ("people", "Geirhos et al. 2019, 7 categories")
    rows = [(0, 1, 0), (0, 2, 0), (2, 1, 1), (1, 0, 2)]
    own = decisions(["cat", "knife", "dog"], rows)
    (observer,) = observe_among("Net", "recorded", False, own, [["cat", "dog"]])
    assert observer.source == "recorded, 2 categories"
    assert observer.score.counts == Counts(1, 0, 0)
    assert observe_among("Net", "recorded", False, own, [None])[0].score.counts == Counts(2, 1, 1)


def test_chance_is_said() -> None:
    assert "by chance 14.3% of decisions are by shape" in choice_text(SEVEN)
