"""The crossed bootstrap against a loop that draws photos and textures one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.shape_bias.bootstrap import crossed_interval, image_interval, sources_of
from shapebias.core.shape_bias.decisions import IMAGES, SOURCES, Decisions, pool, score

SHAPES, TEXTURES = 14, 9


def stimuli(seed: int) -> tuple[Decisions, list[tuple[int, int, int]]]:
    """Decisions that depend on photo and texture, and (photo, texture, decision) of each image, 0 = shape, 1 = texture.

    Photos `cat1`, ..., textures `dog1`, ...: of the crossed pairs a part is there, as among the public stimuli.
    """
    random = np.random.default_rng(seed)
    photo, texture = random.normal(0, 1.2, SHAPES), random.normal(0, 1.2, TEXTURES)
    rows = []
    for a in range(SHAPES):
        for b in range(TEXTURES):
            if random.random() < 0.7:
                lean = photo[a] + texture[b] - 0.5 + random.normal()
                rows.append((a, b, 0 if lean > 0.4 else 1 if lean < 0 else 2))
    decided = Decisions(
        categories=["cat", "dog", "elephant"],
        images=[f"cat/cat{a}-dog{b}.png" for a, b, _ in rows],
        shape=np.zeros(len(rows), np.int32),
        texture=np.ones(len(rows), np.int32),
        decision=np.array([decision for _, _, decision in rows], np.int32),
    )
    return decided, rows


def naive_interval(rows: list[tuple[int, int, int]], resamples: int) -> tuple[float, float]:
    """Draw photos, draw textures; every drawn pair that is an image counts, as often as it is drawn."""
    random = np.random.default_rng(99)
    by_pair = {(a, b): decision for a, b, decision in rows}
    photos, textures = sorted({a for a, _, _ in rows}), sorted({b for _, b, _ in rows})
    biases = []
    for _ in range(resamples):
        drawn = [0, 0, 0]
        columns = random.choice(textures, len(textures)).tolist()
        for a in random.choice(photos, len(photos)).tolist():
            for b in columns:
                if (a, b) in by_pair:
                    drawn[by_pair[a, b]] += 1
        if drawn[0] + drawn[1]:
            biases.append(drawn[0] / (drawn[0] + drawn[1]))
    low, high = np.percentile(biases, [2.5, 97.5])
    return float(low), float(high)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_interval_is_that_of_the_naive_loop(seed: int) -> None:
    decided, rows = stimuli(seed)
    scored = score(decided)
    assert scored.interval_over == SOURCES
    assert scored.interval == pytest.approx(naive_interval(rows, 4000), abs=0.02)
    assert scored.interval[1] - scored.interval[0] > 1.5 * (scored.image_interval[1] - scored.image_interval[0])


def test_observers_of_one_image_stay_together() -> None:
    decided, _ = stimuli(2)
    assert score(pool([decided] * 5)).interval == pytest.approx(score(decided).interval, abs=1e-12)


def test_names_that_do_not_say_the_sources_give_the_interval_over_images() -> None:
    decision = np.random.default_rng(0).choice([0, 1], 60).astype(np.int32)
    zeros = np.zeros(60, np.int32)
    names = [f"circle/circle-dots-{number:05}.png" for number in range(60)]
    drawn = Decisions(categories=["circle", "star"], images=names, shape=zeros, texture=zeros + 1, decision=decision)
    scored = score(drawn)
    assert scored.interval_over == IMAGES
    assert scored.interval == scored.image_interval


def test_sources_are_told_by_names() -> None:
    sources = sources_of(["cat1-dog2.png", "cat10-dog2.png", "cat1-polar bear3.png"])
    assert sources is not None
    shape, texture = (source.tolist() for source in sources)
    assert shape[0] == shape[2] != shape[1]
    assert texture[0] == texture[1] != texture[2]
    for name in ("cat-dog2.png", "cat1-dog.png", "circle-dots-00012.png", "x"):
        assert sources_of(["cat1-dog2.png", name]) is None


@given(st.integers(0, 2**31), st.integers(1, 60))
def test_intervals_lie_in_0_1_or_are_none(seed: int, images: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 3, (images, 2))
    sources = random.integers(0, 5, (2, images))
    shape, texture = (np.unique(source, return_inverse=True)[1] for source in sources)
    for low, high in (
        crossed_interval(counts, shape, texture, seed=0, resamples=50),
        image_interval(counts, seed=0, resamples=50),
    ):
        assert (math.isnan(low) and math.isnan(high)) or 0 <= low <= high <= 1
