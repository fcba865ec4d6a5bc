"""Observers beside each other: against the published analysis written as plain loops over rows."""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pytest

from shapebias.core.ood.comparison import MEAN, PEOPLE, OodComparison, Pair, compare
from shapebias.core.ood.decisions import OodObserver, SetDecisions
from shapebias.core.ood.recorded import read_decisions
from shapebias.core.ood.sets import PUBLISHED
from shapebias.core.shape_bias.categories import sixteen_classes
from tests.support.shared_data import shared_data

CATEGORIES = ["cat", "dog", "elephant"]
PERSONS = [OodObserver(f"subject-0{number}", "recorded", is_person=True) for number in range(1, 4)]
MODELS = [OodObserver(name, "store", is_person=False) for name in ("S", "R")]

Row = tuple[str, str, str]  # condition, image, and whether it is right


def made(conditions: Iterable[str], seed: int, images: int = 12) -> SetDecisions:
    """Decisions at random, for images that all observers see under these conditions, in an order of their own."""
    random = np.random.default_rng(seed)
    names = [(condition, number) for condition in conditions for number in range(images)]
    names = [names[row] for row in random.permutation(len(names))]
    category = np.array([number % 3 for _, number in names], np.int32)
    decision = np.where(random.random(len(names)) < 0.6, category, random.integers(-1, 3, len(names))).astype(np.int32)
    files = [
        f"session-1/{row:04}_x_s{seed:02}_{condition}_{CATEGORIES[index]}_10_n01234567_{number}.png"
        for row, ((condition, number), index) in enumerate(zip(names, category, strict=True))
    ]
    image_conditions = [condition for condition, _ in names]
    return SetDecisions(
        categories=CATEGORIES, images=files, conditions=image_conditions, category=category, decision=decision
    )


def right(decided: SetDecisions, condition: str) -> dict[str, bool]:
    return {
        image.rsplit("_", 1)[1]: bool(decision == category)
        for image, image_condition, category, decision in zip(
            decided.images, decided.conditions, decided.category, decided.decision, strict=True
        )
        if image_condition == condition
    }


def published(one: dict[str, bool], other: dict[str, bool]) -> tuple[float, float, float]:
    """Accuracy difference, observed and error consistency, as in model-vs-human's analyses.py."""
    assert one.keys() == other.keys()
    p1, p2 = sum(one.values()) / len(one), sum(other.values()) / len(other)
    expected = p1 * p2 + (1 - p1) * (1 - p2)
    observed = sum(one[image] == other[image] for image in one) / len(one)
    return (p1 - p2) ** 2, observed, 1.0 if observed == 1 else (observed - expected) / (1 - expected)


def numbers(pair: Pair) -> tuple[float, float, float]:
    agreed = pair.agreement
    return agreed.accuracy_difference, agreed.observed, agreed.error_consistency


def pair_of(comparison: OodComparison, name: str, condition: str, one: OodObserver, other: OodObserver) -> Pair:
    [match] = [
        pair
        for pair in comparison.pairs
        if (pair.set_name, pair.condition, pair.observer, pair.other) == (name, condition, one, other)
    ]
    return match


def accuracy_of(comparison: OodComparison, name: str, condition: str, observer: OodObserver) -> float:
    [accuracy] = [
        row.accuracy
        for row in comparison.accuracies
        if (row.set_name, row.condition, row.observer) == (name, condition, observer)
    ]
    return accuracy


COUNTED = [condition for condition in PUBLISHED["contrast"].conditions if condition not in ("c100", "c03", "c01")]


@pytest.fixture(scope="module")
def decided() -> dict[OodObserver, dict[str, SetDecisions]]:
    everyone = [*PERSONS, *MODELS]
    return {
        observer: {
            "contrast": made(PUBLISHED["contrast"].conditions, number),
            "sketch": made(["0"], 10 + number, images=20),
        }
        for number, observer in enumerate(everyone)
    }


@pytest.fixture(scope="module")
def comparison(decided: dict[OodObserver, dict[str, SetDecisions]]) -> OodComparison:
    return compare(decided)


def test_pairs_are_those_of_the_published_analysis(
    decided: dict[OodObserver, dict[str, SetDecisions]], comparison: OodComparison
) -> None:
    """Condition by condition, then the mean over those that count, over people, and over sets."""
    for model in MODELS:
        over_sets = []
        for name, conditions, counted in (
            ("contrast", PUBLISHED["contrast"].conditions, COUNTED),
            ("sketch", ["0"], ["0"]),
        ):
            over_people = []
            for person in PERSONS:
                own = {
                    condition: published(
                        right(decided[model][name], condition), right(decided[person][name], condition)
                    )
                    for condition in conditions
                }
                if len(conditions) > 1:
                    for condition in conditions:
                        pair = pair_of(comparison, name, condition, model, person)
                        assert numbers(pair) == pytest.approx(own[condition])
                mean = np.mean([own[condition] for condition in counted], axis=0)
                pair = pair_of(comparison, name, MEAN, model, person)
                assert numbers(pair) == pytest.approx(tuple(mean))
                assert pair.agreement.images == {"contrast": 12, "sketch": 20}[name] * len(counted)
                over_people.append(mean)
            with_people = np.mean(over_people, axis=0)
            assert numbers(pair_of(comparison, name, MEAN, model, PEOPLE)) == pytest.approx(tuple(with_people))
            over_sets.append(with_people)
        pair = pair_of(comparison, MEAN, MEAN, model, PEOPLE)
        assert numbers(pair) == pytest.approx(tuple(np.mean(over_sets, axis=0)))


def test_people_among_themselves_and_models(
    decided: dict[OodObserver, dict[str, SetDecisions]], comparison: OodComparison
) -> None:
    def kappa(one: OodObserver, other: OodObserver) -> float:
        return published(right(decided[one]["sketch"], "0"), right(decided[other]["sketch"], "0"))[2]

    among = [kappa(one, other) for one, other in combinations(PERSONS, 2)]
    people = pair_of(comparison, "sketch", MEAN, PEOPLE, PEOPLE)
    assert people.agreement.error_consistency == pytest.approx(np.mean(among))
    models = pair_of(comparison, "sketch", MEAN, *MODELS)
    assert models.agreement.error_consistency == pytest.approx(kappa(*MODELS))


def test_accuracies(decided: dict[OodObserver, dict[str, SetDecisions]], comparison: OodComparison) -> None:
    def plain(observers: Iterable[OodObserver], name: str, conditions: Iterable[str]) -> float:
        """Over all their trials together, as in get_mean_over_datasets."""
        known = [right(decided[one][name], condition) for one in observers for condition in conditions]
        return float(np.mean([value for own in known for value in own.values()]))

    contrast, sketch = plain(PERSONS, "contrast", COUNTED), plain(PERSONS, "sketch", ["0"])
    assert accuracy_of(comparison, "contrast", MEAN, PEOPLE) == pytest.approx(contrast)
    assert accuracy_of(comparison, MEAN, MEAN, PEOPLE) == pytest.approx((contrast + sketch) / 2)
    assert accuracy_of(comparison, "contrast", "c100", MODELS[0]) == pytest.approx(
        plain(MODELS[:1], "contrast", ["c100"])
    )
    assert decided[MODELS[0]]["contrast"].accuracy("contrast") == pytest.approx(plain(MODELS[:1], "contrast", COUNTED))
    assert comparison.sets["contrast"].conditions == list(PUBLISHED["contrast"].conditions)
    assert comparison.sets["sketch"].conditions == []
    assert comparison.notes == []
    persons = [row for row in comparison.accuracies if row.set_name == MEAN and row.observer in PERSONS]
    assert persons == [], "subject-01 is another person in every set"


def set_of(images: list[str], decisions: list[int], conditions: list[str] | None = None) -> SetDecisions:
    category = np.array([CATEGORIES.index(image.split("/")[0]) for image in images], np.int32)
    return SetDecisions(
        categories=CATEGORIES,
        images=images,
        conditions=conditions or [""] * len(images),
        category=category,
        decision=np.array(decisions, np.int32),
    )


def test_conditions_do_not_count_where_someone_has_none() -> None:
    """As of edge: people's files say condition 0, the models' NaN."""
    images = ["cat/cat1.png", "dog/dog1.png"]
    person, model = set_of(images, [0, 0], ["0", "0"]), set_of(images, [0, 1])
    comparison = compare({PERSONS[0]: {"edge": person}, MODELS[0]: {"edge": model}})
    assert pair_of(comparison, "edge", MEAN, MODELS[0], PERSONS[0]).agreement.observed == 0.5
    assert comparison.sets["edge"].conditions == []


def test_observers_without_conditions_are_left_out_where_there_are_several() -> None:
    images = ["cat/cat1.png", "dog/dog1.png"]
    with_conditions, without = set_of(images, [0, 1], ["c50", "c10"]), set_of(images, [0, 0], ["c50", "NaN"])
    comparison = compare({MODELS[0]: {"contrast": with_conditions}, MODELS[1]: {"contrast": without}})
    assert comparison.notes == ["contrast: R is left out: the conditions of its images are unknown"]
    assert comparison.sets["contrast"].conditions == ["c50", "c10"]
    assert {row.observer for row in comparison.accuracies} == {MODELS[0]}
    some = set_of([*images, "cat/cat2.png"], [0, 1, 0], ["c50", "c10", ""])
    comparison = compare({MODELS[1]: {"contrast": some}})
    assert (comparison.accuracies, comparison.pairs, len(comparison.notes)) == ([], [], 1)


def test_two_observers_are_compared_by_the_images_that_both_saw() -> None:
    images = ["cat/1.png", "dog/1.png", "dog/2.png", "elephant/1.png"]
    one, other = set_of(images[:3], [0, 1, 0]), set_of(images[1:], [1, 1, 2])
    apart = set_of(["cat/9.png"], [0])
    comparison = compare({MODELS[0]: {"mine": one}, MODELS[1]: {"mine": other}, PERSONS[0]: {"mine": apart}})
    agreed = pair_of(comparison, "mine", MEAN, *MODELS).agreement
    assert (agreed.images, agreed.accuracy, agreed.other_accuracy) == (2, 0.5, 1)
    assert [(pair.observer, pair.other) for pair in comparison.pairs] == [tuple(MODELS)]
    few, none = comparison.notes
    assert few == ("mine: only 0 of 5 images were shown to all 3 observers; two are compared by those that both saw")
    assert none == "mine: 2 pairs saw no image in common and are not compared, such as S and subject-01"


def test_an_image_that_is_decided_again_counts_once() -> None:
    images = ["cat/1.png", "cat/1.png", "dog/1.png"]
    comparison = compare({MODELS[0]: {"mine": set_of(images, [0, 1, 0])}})
    assert accuracy_of(comparison, "mine", MEAN, MODELS[0]) == 0.5
    assert comparison.notes == ["mine: 1 decisions of S are left out: it decided for these images before"]


def test_means_are_over_the_sets_that_all_have() -> None:
    images = ["cat/1.png", "dog/1.png"]
    right_, wrong = set_of(images, [0, 1]), set_of(images, [2, 2])
    comparison = compare({MODELS[0]: {"a": right_, "b": wrong, "c": right_}, MODELS[1]: {"a": wrong, "b": right_}})
    assert comparison.common == ["a", "b"]
    assert accuracy_of(comparison, MEAN, MEAN, MODELS[0]) == 0.5


def test_where_only_conditions_that_do_not_count_are_left_they_count() -> None:
    decided = set_of(["cat/1.png", "dog/1.png"], [0, 0], ["cr", "cr"])
    comparison = compare({MODELS[0]: {"colour": decided}})
    assert accuracy_of(comparison, "colour", MEAN, MODELS[0]) == decided.accuracy("colour") == 0.5


@pytest.mark.parametrize("name", ["edge", "silhouette"])
def test_people_as_recorded(name: str) -> None:
    """The ten people of the study, from their files, read here once more in another way."""
    folder = shared_data(f"data/decisions-ood/{name}")
    comparison = compare(read_decisions([folder], list(sixteen_classes()), []).observers)
    people: list[dict[str, bool]] = []
    for file in sorted(folder.iterdir()):
        header, *rows = (line.split(",") for line in file.read_text().splitlines())
        known = [dict(zip(header, row, strict=True)) for row in rows]
        people.append({row["imagename"].split("_")[6]: row["object_response"] == row["category"] for row in known})
    assert [len(own) for own in people] == [160] * 10
    means = np.mean([published(one, other) for one, other in combinations(people, 2)], axis=0)
    pair = pair_of(comparison, name, MEAN, PEOPLE, PEOPLE)
    assert numbers(pair) == pytest.approx(tuple(means), abs=1e-12)
    assert accuracy_of(comparison, name, MEAN, PEOPLE) == sum(sum(own.values()) for own in people) / 1600
