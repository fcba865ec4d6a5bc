"""All scores of the maps of a batch, against what they are made of."""

import math

import numpy as np
import pytest
import torch

from shapebias.core.attribution.localising import box_around, overlaps
from shapebias.core.attribution.methods import METHODS
from shapebias.core.attribution.scores import SCORES, THRESHOLDS
from shapebias.core.store.schema import OVERLAP
from shapebias.precompute.attribution.explanation import Question
from shapebias.precompute.scoring.scoring import OF_CURVES, OF_OBJECTS, Scoring
from tests.support.attribution import Linear, pictures, subject_of

SIZE = 32
NONE = np.zeros((0, 4))


def scored(method: str, maps: torch.Tensor, masks: np.ndarray, scoring: Scoring) -> dict[str, np.ndarray]:
    question = Question(pictures(len(maps), SIZE), torch.zeros(len(maps), dtype=torch.int64), range(len(maps)))
    start = scoring.start(subject_of(Linear(SIZE), SIZE), question, np.arange(len(maps)), masks)
    return start(METHODS[method], maps)


def masks() -> np.ndarray:
    objects = np.zeros((4, SIZE, SIZE), bool)
    objects[0, 4:12, 6:20] = objects[1, 4:12, 6:20] = objects[3, 20:, 20:] = True
    return objects


def test_maps_are_scored_by_objects() -> None:
    maps = torch.randn((4, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    maps[0, 5, 7] = maps[1, 14, 7] = 9.0  # on the object; 3 px away, with 15 px of 224 allowed
    maps[3] = 0
    scoring = Scoring(0, [NONE] * 4, np.array([True, True, True, True]))
    scores = scored("integrated-gradients", maps, masks(), scoring)
    assert set(scores) == set(OF_OBJECTS) == set(scoring.names)
    assert scores["pointing"][:2].tolist() == [1, 0]
    assert scores["pointing_exact"][:2].tolist() == [1, 0]
    positive = maps.clamp_min(0).numpy()
    for row in (0, 1):
        mask = masks()[row]
        assert scores["mass"][row] == pytest.approx(positive[row][mask].sum() / positive[row].sum(), rel=1e-5)
        wanted = overlaps(positive[row], THRESHOLDS, box_around(mask)[None])
        np.testing.assert_array_equal(scores[OVERLAP][row], wanted)
    assert all(np.isnan(scores[name][2]).all() for name in OF_OBJECTS)  # no object
    assert scores["mass"][3] == pytest.approx(12 * 12 / SIZE**2)


def test_pointing_allows_15_px_of_224() -> None:
    maps = torch.zeros((3, SIZE, SIZE))
    for row, y in enumerate((13, 14, 11)):  # rows 4 to 11 are the object; 15 px of 224 are 2.14 of 32
        maps[row, y, 10] = 1
    objects = np.repeat(masks()[:1], 3, 0)
    scores = scored("rise", maps, objects, Scoring(0, [NONE] * 3, np.ones(3, bool)))
    assert scores["pointing"].tolist() == [1, 0, 1]
    assert scores["pointing_exact"].tolist() == [0, 0, 1]


def test_boxes_give_no_mass_and_an_object_that_is_not_explained_nothing() -> None:
    maps = torch.rand((4, 8, 8), generator=torch.Generator().manual_seed(0))
    given = [np.array([[0.0, 0.0, 16.0, 16.0]]), NONE, NONE, NONE]
    scores = scored("grad-cam", maps, np.zeros((4, SIZE, SIZE), bool), Scoring(0, given, np.ones(4, bool)))
    assert np.isfinite(scores[OVERLAP][0]).all()
    assert scores["pointing_exact"][0] in (0, 1)
    assert math.isnan(scores["mass"][0])
    hidden = scored("grad-cam", maps, masks(), Scoring(0, [NONE] * 4, np.zeros(4, bool)))
    assert all(np.isnan(hidden[name]).all() for name in OF_OBJECTS)


def test_curves_come_with_the_scores() -> None:
    maps = torch.randn((2, 4, 4), generator=torch.Generator().manual_seed(0))
    scoring = Scoring(6, [NONE] * 2, np.ones(2, bool))
    scores = scored("lime", maps, masks()[:2], scoring)
    assert set(scores) == {*OF_CURVES, *OF_OBJECTS} == set(scoring.names)
    for name in OF_CURVES:
        assert scores[name].dtype == np.float32
        assert ((scores[name] >= 0) & (scores[name] <= 1)).all()
    assert (scores["insertion_max"] >= scores["insertion"]).all()
    assert set(scoring.names) - {OVERLAP} <= set(SCORES)
