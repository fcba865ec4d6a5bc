"""Names of stimuli, decisions and their scores, against plain Python."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.shape_bias.categories import identity_mapping, sixteen_classes
from shapebias.core.shape_bias.decisions import Counts, Decisions, decide, label_stimuli, parse_stimulus, pool, score

SIXTEEN = list(sixteen_classes())
WORD = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzåé"), min_size=1, max_size=9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat1-elephant2.png", ("cat", "elephant")),
        ("cat/cat1-elephant2.png", ("cat", "elephant")),
        ("0001_s5n_dnn_0_airplane_00_airplane1-bicycle2.png", ("airplane", "bicycle")),
        ("stimuli_v2/cat/cat10-clock3.JPEG", ("cat", "clock")),
        ("circle/circle12-dots3.png", ("circle", "dots")),
        ("circle/circle-dots-00012.png", ("circle", "dots")),
        ("polar bear1-oven2.png", ("polar bear", "oven")),
        ("cat-dog", ("cat", "dog")),
    ],
)
def test_names_of_stimuli(name: str, expected: tuple[str, str]) -> None:
    assert parse_stimulus(name) == expected


@pytest.mark.parametrize(
    "name",
    ["", "cat.png", "cat1.png", "cat1-.png", "1-2.png", "cat1-dog2-owl3.png", "cat1-dog2.png.txt", "cat1-dog2\n"],
)
def test_names_of_something_else(name: str) -> None:
    with pytest.raises(ValueError, match="not named like"):
        parse_stimulus(name)


@given(WORD, WORD, st.integers(0, 99), st.integers(0, 99), st.integers(1, 9999))
def test_any_category_is_read_from_a_name(shape: str, texture: str, first: int, second: int, trial: int) -> None:
    plain = f"{shape}{first}-{texture}{second}.png"
    for name in (plain, f"{shape}/{plain}", f"{trial:04d}_s5n_s01_0_{shape}_00_{plain}"):
        assert parse_stimulus(name) == (shape, texture)


def test_stimuli_are_used_or_named_with_a_reason() -> None:
    names = ["cat/cat1-dog1.png", "cat/cat1-cat2.png", "cat/x.png", "cat1-zebra1.png", "dog/cat1-dog1.png", "dog2-cat1"]
    stimuli = label_stimuli(names, ["cat", "dog"])
    assert stimuli.used.tolist() == [0, 1, 5]
    assert stimuli.shape.tolist() == [0, 0, 1]
    assert stimuli.texture.tolist() == [1, 0, 0]
    assert stimuli.conflicting.tolist() == [True, False, True]
    assert stimuli.unusable == [
        ("cat/x.png", "not named like cat1-elephant2.png"),
        ("cat1-zebra1.png", "unknown category zebra"),
        ("dog/cat1-dog1.png", "named after cat, but in folder dog"),
    ]


def test_stimuli_of_categories_that_do_not_take_part_are_counted() -> None:
    names = ["cat1-dog1.png", "cat1-oven1.png", "oven/oven1-bear1.png", "cat1-zebra1.png", "dog/cat1-dog1.png"]
    stimuli = label_stimuli(names, ["cat", "dog"], all_categories=SIXTEEN)
    assert (stimuli.used.tolist(), stimuli.others) == ([0], 2)
    assert [name for name, _ in stimuli.unusable] == ["cat1-zebra1.png", "dog/cat1-dog1.png"]


def test_textures_may_have_names_of_their_own() -> None:
    stimuli = label_stimuli(
        ["star/star-dots-00003.png", "star/star-waves-00004.png"], ["circle", "star"], ["dots", "waves"]
    )
    assert (stimuli.shape.tolist(), stimuli.texture.tolist()) == ([1, 1], [0, 1])
    assert stimuli.conflicting.tolist() == [True, False]


def test_no_stimulus_is_no_error() -> None:
    stimuli = label_stimuli([], SIXTEEN)
    assert (len(stimuli.used), len(stimuli.shape), stimuli.shape.dtype) == (0, 0, np.int32)


# --- decisions -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_the_decision_is_the_largest_mean_probability(seed: int, images: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (images, 1000))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    mapping = sixteen_classes()
    expected = [
        max(mapping, key=lambda name, row=row: sum(row[index] for index in mapping[name]) / len(mapping[name]))
        for row in probabilities.tolist()
    ]
    assert [SIXTEEN[index] for index in decide(probabilities, mapping)] == expected


def test_the_mean_counts_and_not_the_sum() -> None:
    probabilities = np.array([[0.3, 0.3, 0.4], [0.5, 0.1, 0.4]], np.float32)
    assert decide(probabilities, {"two": [0, 1], "one": [2]}).tolist() == [1, 1]
    assert decide(probabilities, {"one": [0], "other": [2]}).tolist() == [1, 0]


def test_own_classes_as_categories_are_an_argmax() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(16), 50)
    mapping = identity_mapping([chr(ord("a") + index) for index in range(16)])
    np.testing.assert_array_equal(decide(probabilities, mapping), probabilities.argmax(1))


def test_equal_means_give_the_first_and_nonsense_no_decision() -> None:
    probabilities = np.array([[0.5, 0.5], [np.nan, 0.5], [np.inf, 0.1]])
    assert decide(probabilities, identity_mapping(["a", "b"])).tolist() == [0, -1, -1]


# --- scores ----------------------------------------------------------------------------------------------------------


def decisions_of(rows: list[tuple[int, int, int]], categories: int = 4, images: list[str] | None = None) -> Decisions:
    shape, texture, decision = np.array(rows, np.int32).reshape(-1, 3).T
    names = images or [f"image{row}" for row in range(len(rows))]
    letters = [chr(ord("a") + index) for index in range(categories)]
    return Decisions(categories=letters, images=names, shape=shape, texture=texture, decision=decision)


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-1, 3)).filter(lambda row: row[0] != row[1]),
    max_size=60,
)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_counts_are_those_of_plain_python(rows: list[tuple[int, int, int]]) -> None:
    kinds = [
        (shape, "shape" if decision == shape else "texture" if decision == texture else "other")
        for shape, texture, decision in rows
    ]
    total, by_category = Counter(kind for _, kind in kinds), Counter(kinds)
    scored = score(decisions_of(rows), resamples=200)
    assert scored.counts == Counts(total["shape"], total["texture"], total["other"])
    assert scored.categories == {
        "abcd"[shape]: Counts(*(by_category[shape, kind] for kind in ("shape", "texture", "other")))
        for shape in sorted({shape for shape, _, _ in rows})
    }
    decided = total["shape"] + total["texture"]
    if decided:
        assert scored.counts.shape_bias == total["shape"] / decided
        assert 0 <= scored.interval[0] <= scored.interval[1] <= 1
    else:
        assert math.isnan(scored.counts.shape_bias)
        assert all(map(math.isnan, scored.interval))


def resampled_interval(shape: np.ndarray, texture: np.ndarray, resamples: int) -> np.ndarray:
    """The bootstrap as the textbook has it: draw image indices with replacement."""
    rng = np.random.default_rng(1)
    biases = []
    for _ in range(resamples):
        drawn = rng.integers(len(shape), size=len(shape))
        biases.append(shape[drawn].sum() / (shape[drawn].sum() + texture[drawn].sum()))
    return np.percentile(biases, [2.5, 97.5])


def test_the_interval_is_the_bootstrap_over_images() -> None:
    rng = np.random.default_rng(0)
    decision = rng.choice([0, 1, 2], 400, p=[0.2, 0.5, 0.3])
    scored = score(decisions_of([(0, 1, int(index)) for index in decision]))
    expected = resampled_interval(decision == 0, decision == 1, 4000)
    np.testing.assert_allclose(scored.interval, expected, atol=0.006)
    p = scored.counts.shape_bias  # and the normal approximation of a proportion is near
    error = 1.96 * math.sqrt(p * (1 - p) / (scored.counts.shape + scored.counts.texture))
    np.testing.assert_allclose(scored.interval, [p - error, p + error], atol=0.012)


def test_observers_of_one_image_are_resampled_together() -> None:
    """Ten observers who agree tell no more than one: the interval is that of one."""
    one = decisions_of([(0, 1, index % 3) for index in range(90)])
    ten = pool([one] * 10)
    assert score(ten).counts.shape == 10 * score(one).counts.shape
    np.testing.assert_allclose(score(ten).interval, score(one).interval, atol=1e-12)


def test_equal_seeds_give_equal_intervals() -> None:
    decisions = decisions_of([(0, 1, index % 3) for index in range(30)])
    assert score(decisions) == score(decisions)
    assert score(decisions, seed=1, resamples=50).interval != score(decisions, resamples=50).interval


def test_images_without_a_conflict_are_kept_but_do_not_enter_the_bias() -> None:
    rows = [(0, 1, 0), (0, 1, 1), (2, 2, 2), (1, 1, 0), (1, 2, 2)]
    scored, without = score(decisions_of(rows)), score(decisions_of([rows[0], rows[1], rows[4]]))
    assert (scored.counts, scored.categories, scored.excluded) == (without.counts, without.categories, 2)
    assert scored.counts == Counts(1, 2, 0)
    assert score(replace(decisions_of(rows), excluded=3)).excluded == 5
    assert score(decisions_of([(1, 1, 1)])).counts == Counts(0, 0, 0)


@pytest.mark.parametrize("row", [(4, 0, 0), (0, 4, 0), (0, 1, 4), (-1, 1, 0), (0, 1, -2)])
def test_decisions_that_do_not_fit_together(row: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="category"):
        decisions_of([(0, 1, 2), row])
    with pytest.raises(ValueError, match="one shape"):
        decisions_of([(0, 1, 2)], images=["a", "b"])
