"""Maps that hold NaN or infinities are left out, unit by unit: results equal NumPy's over the finite maps alone."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shapebias.precompute.device import choose_device
from shapebias.precompute.measures.activation import ActivationPass, LayerStatistics, StatisticsPlan
from shapebias.precompute.models.hooks import WatchedLayer
from shapebias.precompute.statistics.image_batch import ImageBatch
from shapebias.precompute.statistics.maps import Maps
from shapebias.precompute.statistics.quantile import Quantile
from tests.support.statistics_paths import PATHS, take_path

CPU = torch.device("cpu")
TOP, CLASSES = 3, 4
BAD = [np.nan, np.inf, -np.inf]


def damaged(seed: int, shape: tuple[int, ...], share: float) -> np.ndarray:
    """Maps of which about a `share` have a few NaN or infinite values; those of unit 0 all do."""
    random = np.random.default_rng(seed)
    maps = np.maximum(random.normal(1, 2, shape), random.choice([-9, 0])).astype(np.float32)
    hit = random.random(shape[:2]) < share
    hit[:, 0] = True
    for image, unit in np.argwhere(hit):
        flat = maps[image, unit].reshape(-1)
        places = random.integers(0, flat.size, random.integers(1, 4))
        flat[places] = random.choice(BAD, len(places))
    return maps


def finite_of(maps: np.ndarray) -> np.ndarray:
    """Return which maps are finite, bool [B, C]."""
    return np.isfinite(maps).all((2, 3))


def fed(maps: np.ndarray, labels: np.ndarray, size: int = 4, first: int = 0) -> LayerStatistics:
    layer = WatchedLayer("layer", "layer", 0, *maps.shape[1:])
    statistics = LayerStatistics(layer, StatisticsPlan(TOP, 20, CLASSES), CPU)
    for start in range(0, len(maps), size):
        part = slice(start, start + size)
        images = np.arange(first, first + len(maps))[part]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            statistics.update(Maps(torch.from_numpy(maps[part]), ImageBatch(images, labels[part])))
    return statistics


def selectivity(activation: np.ndarray, labels: np.ndarray) -> float:
    present = np.unique(labels)
    if len(present) < 2:
        return np.nan
    *others, first = np.sort([activation[labels == label].mean() for label in present])
    if others[0] < 0:
        return np.nan
    other = np.mean(others)
    return (first - other) / (first + other) if first + other else 0.0


def expected(maps: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric from the finite maps of each unit, float64."""
    names = ("max", "mean", "std", "sparsity", "q995", "tv", "smoothness", "selectivity", "selectivity_mean")
    by_metric = {name: np.full(maps.shape[1], np.nan) for name in names}
    for unit in range(maps.shape[1]):
        usable = finite_of(maps)[:, unit]
        chosen = maps[usable, unit].astype(np.float64)
        if not len(chosen):
            continue
        variation = sum(np.abs(np.diff(chosen, axis=axis)).sum() for axis in (1, 2))
        absolute = np.abs(chosen).sum()
        values = np.sort(chosen.ravel())[::-1]
        known = labels[usable]
        facts = {
            "max": values[0],
            "mean": values.mean(),
            "std": values.std(),
            "sparsity": (values <= 0).mean(),
            "q995": values[int(0.005 * len(values) + 1e-9)],
            "tv": variation / len(chosen),
            "smoothness": np.nan if chosen[0].size == 1 else 1 - variation / (4 * absolute) if absolute else 1.0,
            "selectivity": selectivity(chosen.max((1, 2))[known >= 0], known[known >= 0]),
            "selectivity_mean": selectivity(chosen.mean((1, 2))[known >= 0], known[known >= 0]),
        }
        for name, value in facts.items():
            by_metric[name][unit] = value
    return by_metric


def check(statistics: LayerStatistics, maps: np.ndarray, labels: np.ndarray, first: int = 0) -> None:
    assert statistics.left_out == (~finite_of(maps)).sum()
    metrics = statistics.result().metrics
    for name, wanted in expected(maps, labels).items():
        np.testing.assert_allclose(metrics[name], wanted, rtol=1e-4, atol=1e-5, err_msg=name)
    top = statistics.result().top
    for unit in range(maps.shape[1]):
        usable = np.flatnonzero(finite_of(maps)[:, unit])
        activation = maps[usable, unit].max((1, 2))
        order = np.argsort(-activation, kind="stable")[:TOP]
        kept = len(order)
        np.testing.assert_array_equal(top.image[unit], [*(usable[order] + first), *[-1] * (TOP - kept)])
        np.testing.assert_array_equal(top.value[unit, :kept], activation[order])
        assert np.isnan(top.value[unit, kept:]).all()
        for rank, image in enumerate(usable[order]):
            unit_map = maps[image, unit]
            assert top.position[unit, rank] == unit_map.argmax()
            highest = activation[order[0]]
            scaled = (
                np.maximum(unit_map, 0) / highest * 255 if highest > 0 and activation[order[rank]] > 0 else unit_map * 0
            )
            assert np.abs(top.map[unit, rank].astype(float) - scaled).max() <= 1.01


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 20), st.integers(1, 5), st.integers(1, 5)),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    size=st.integers(1, 13),
    cut=st.integers(1, 11),
    path=st.sampled_from(["cpu", "torch"]),
)
def test_metrics_are_those_of_the_finite_maps(
    seed: int, shape: tuple[int, ...], share: float, size: int, cut: int, path: str
) -> None:
    maps = damaged(seed, shape, share)
    labels = np.random.default_rng(seed).integers(-1, CLASSES, len(maps))
    with pytest.MonkeyPatch.context() as patch:
        take_path(patch, path)
        check(fed(maps, labels, size), maps, labels)
        merged = fed(maps[:cut], labels[:cut], size)
        merged.merge(fed(maps[cut:], labels[cut:], size, first=cut))
        check(merged, maps, labels)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("path", PATHS)
def test_a_reduction_of_a_map_with_one_bad_value(monkeypatch: pytest.MonkeyPatch, bad: float, path: str) -> None:
    take_path(monkeypatch, path)
    maps = np.ones((2, 2, 3, 3), np.float32)
    maps[0, 1, 2, 1] = bad
    reduction = Maps(torch.from_numpy(maps)).reduction
    assert reduction.finite.tolist() == [[True, False], [True, True]]
    assert reduction.maximum.tolist() == [[1, -np.inf], [1, 1]]
    assert reduction.total.tolist() == [[9, 0], [9, 9]]
    assert reduction.nonpositive.tolist() == [[0, 0], [0, 0]]
    assert reduction.deviations.isfinite().all()


@pytest.mark.parametrize("path", PATHS)
def test_large_finite_values_are_kept(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The sum of a map is beyond float32, but none of its values is."""
    take_path(monkeypatch, path)
    maps = np.full((2, 2, 4, 4), 1e38, np.float32)
    maps[0, 0, 1, 1] = np.nan
    statistics = fed(maps, np.array([0, 1]))
    assert statistics.left_out == 1
    metrics = statistics.result().metrics
    np.testing.assert_array_equal(metrics["max"], np.float32([1e38, 1e38]))
    np.testing.assert_array_equal(metrics["sparsity"], [0, 0])
    np.testing.assert_array_equal(metrics["q995"], np.float32([1e38, 1e38]))
    np.testing.assert_array_equal(statistics.result().top.image, [[1, -1, -1], [0, 1, -1]])


class Divide(nn.Module):
    """0 / 0 and 1 / 0 for dark pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :1] / x[:, :1], 1 / x[:, 1:2], x[:, 2:]], 1)


@pytest.mark.parametrize("path", PATHS)
def test_a_networks_bad_activations_are_nan_in_its_rows(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    take_path(monkeypatch, path)
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    images[2, :, 1, 1] = 0
    images[4] = 0
    layer = WatchedLayer("divide", "0", 0, 3, 4, 4)
    run = ActivationPass(nn.Sequential(Divide()), [layer], choose_device("cpu", "auto"), StatisticsPlan(TOP, 5, 0))
    seen = [run.run(images[[row]], np.array([row]), np.array([-1])) for row in range(5)]
    rows = np.concatenate([batch.maximum[0] for batch in seen])
    means = np.concatenate([batch.mean[0] for batch in seen])
    maps = Divide()(images).numpy()
    usable = finite_of(maps)
    assert usable.tolist() == [[True] * 3, [True] * 3, [False, False, True], [True] * 3, [False, False, True]]
    np.testing.assert_allclose(rows, np.where(usable, maps.max((2, 3)), np.nan), rtol=1e-3)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(means, np.where(usable, maps.mean((2, 3)), np.nan), rtol=1e-3)
    assert run.statistics[0].left_out == 4


@pytest.mark.parametrize("path", PATHS)
def test_a_sampled_quantile_is_of_the_finite_maps(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A unit with only every second map has the same quantile as if only those images had come."""
    take_path(monkeypatch, path)
    monkeypatch.setattr("shapebias.precompute.statistics.quantile.SAMPLE", 3000)
    maps = np.random.default_rng(0).normal(size=(200, 2, 9, 9)).astype(np.float32)
    maps[1::2, 1, 4, 4] = np.nan
    quantile = Quantile(2, 81, 200, CPU)
    half = Quantile(2, 81, 200, CPU)
    for start in range(0, 200, 16):
        part = np.arange(start, min(start + 16, 200))
        quantile.update(Maps(torch.from_numpy(maps[part]), ImageBatch(part)))
        half.update(Maps(torch.from_numpy(maps[part[::2]]), ImageBatch(part[::2])))
    assert 0 < half.sampled < quantile.sampled < 3100
    assert quantile.result()[1] == half.result()[1]
    assert quantile.result()[0] != half.result()[0]
