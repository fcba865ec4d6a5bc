"""Triton's kernels, interpreted on the CPU (`TRITON_INTERPRET`, see conftest.py), against numba's and PyTorch's."""

import numpy as np
import pytest
import torch
from torch import Tensor

from shapebias.precompute.statistics.draws import Pairing, Sampling
from shapebias.precompute.statistics.kernels import in_torch, on_cpu
from shapebias.precompute.statistics.overlap import Upsampling

in_triton = pytest.importorskip("shapebias.precompute.statistics.kernels.in_triton", exc_type=ImportError)

SHAPES = [(2, 17, 5, 7), (1, 3, 1, 1), (3, 66, 2, 2), (2, 5, 1, 8), (1, 1, 9, 4)]
KINDS = ["normal", "negative", "ties", "zero", "damaged"]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, which interprets the kernels


def random_maps(kind: str, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    random = np.random.default_rng(seed)
    maps = random.normal(3, 4, shape)
    if kind == "negative":
        maps = -np.abs(maps) - 1
    elif kind == "ties":
        maps = random.integers(-1, 3, shape)
    elif kind == "zero":
        maps = np.zeros(shape)
    tensor = torch.from_numpy(maps.astype(np.float32))
    if kind == "damaged":
        for image, bad in enumerate([np.nan, np.inf, -np.inf][: shape[0]]):
            tensor[image, image % shape[1], -1, -1] = bad
    return tensor


def reduced(maps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return on_cpu.reduce_maps(maps, torch.zeros((len(maps), 0, 2), dtype=torch.int32))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_reductions_are_those_of_the_cpu(kind: str, shape: tuple[int, ...]) -> None:
    maps, keys = random_maps(kind, shape), np.arange(shape[0]) * 7
    pairs = torch.from_numpy(Pairing(shape[2] * shape[3]).draw(keys, keys, 1))[:, :3].contiguous()
    maximum, nonpositive, sums, finite = in_triton.reduce_maps(maps, pairs)
    expected = on_cpu.reduce_maps(maps, pairs)
    assert finite.dtype == torch.bool
    for result, wanted in zip((maximum, nonpositive, finite), (*expected[:2], expected[3]), strict=True):
        torch.testing.assert_close(result, wanted, rtol=0, atol=0)
    torch.testing.assert_close(sums, expected[2], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", ["channels_last", "strided", "half"])
def test_maps_of_any_layout_are_read(kind: str) -> None:
    maps = random_maps("ties", (2, 18, 4, 6))
    given = {
        "channels_last": maps.contiguous(memory_format=torch.channels_last),
        "strided": maps.repeat_interleave(2, 3)[:, :, :, ::2],
        "half": maps.half(),
    }[kind]
    none = torch.zeros((2, 0, 2), dtype=torch.int32)
    for result, wanted in zip(in_triton.reduce_maps(given, none), on_cpu.reduce_maps(maps, none), strict=True):
        torch.testing.assert_close(result, wanted, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 17, 2, 3), (1, 130, 1, 1)])
@pytest.mark.parametrize("kind", ["normal", "damaged"])
def test_moments_and_variation_are_added_as_on_the_cpu(kind: str, shape: tuple[int, ...]) -> None:
    states = []
    for module in (in_triton, on_cpu, in_torch):
        totals = list(torch.zeros((8, shape[1]), dtype=torch.float64))
        highest = torch.full((shape[1],), -torch.inf)
        for seed in range(2):
            maximum, nonpositive, sums, finite = reduced(random_maps(kind, shape, seed))
            module.add_moments(totals[:4], highest, maximum, nonpositive, sums, finite, shape[2] * shape[3])
            module.add_variation(totals[4:], sums, finite, 0.3)
        states.append([*totals, highest])
    for state in states[1:]:
        torch.testing.assert_close(states[0], state, rtol=1e-10, atol=1e-9)


def test_classes_are_summed_up_as_on_the_cpu() -> None:
    random = np.random.default_rng(1)
    activation = torch.from_numpy(random.normal(size=(6, 140)).astype(np.float32))
    finite = torch.from_numpy(random.random((6, 140)) > 0.2)
    states = []
    for module in (in_triton, in_torch, on_cpu):
        total, left_out = torch.ones((4, 140), dtype=torch.float64), torch.ones((4, 140), dtype=torch.int32)
        module.add_class_means(total, left_out, activation, finite, torch.tensor([2, 0, -1, 2, 2, 0]))
        states.append((total, left_out))
    for state in states[1:]:
        torch.testing.assert_close(states[0], state, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 2, 3, 4), (1, 3, 1, 1), (6, 1, 2, 2)])
def test_top_lists_are_those_of_the_cpu(kind: str, shape: tuple[int, ...]) -> None:
    """Three batches, so that lists are empty, filled in part, and renewed."""
    states = []
    for module in (in_triton, on_cpu):
        units, k, positions = shape[1], 3, shape[2] * shape[3]
        lists = [torch.full((units, k), -torch.inf), torch.full((units, k), -torch.inf)]
        lists += [torch.full((units, k), -1), torch.full((units, k), -1)]
        lists += [torch.zeros((units, k), dtype=torch.int32), torch.arange(k, dtype=torch.int32).repeat(units, 1)]
        kept, tied = torch.zeros((units, k, positions), dtype=torch.uint8), torch.zeros(units, dtype=torch.int64)
        for seed in range(3):
            maps = random_maps(kind, shape, seed)
            maximum, _, sums, _ = reduced(maps)
            images = torch.arange(len(maps)) + seed * len(maps)
            average = (sums[0] / positions).float()
            lists = module.insert_top(lists, kept, tied, maps, maximum, average, images * -77 % 31, images)
        filled = lists[0] > -torch.inf
        kept_maps = kept[torch.arange(units)[:, None], lists[5].long()][filled]
        assert (lists[5].sort(1).values == torch.arange(k)).all(), "each slot is of one entry"
        states.append([*lists[:3], lists[3][filled], lists[4][filled], kept_maps, tied])
    for result, wanted in zip(*states, strict=True):
        torch.testing.assert_close(result, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("rate", [2.5, 12.0])
def test_samples_are_those_of_pytorch(rate: float) -> None:
    maps, images = random_maps("damaged", (3, 18, 3, 4)), np.arange(3)
    sampling = Sampling(12, rate)
    drawn = torch.from_numpy(np.ascontiguousarray(sampling.draw(images, images, 0)))
    states = []
    for module in (in_triton, in_torch):
        kept, left_out = torch.zeros((18, 50)), torch.zeros(18, dtype=torch.int64)
        module.sample_maps(kept, left_out, maps, reduced(maps)[3], drawn, 5)
        states.append((kept, left_out))
    torch.testing.assert_close(*states, rtol=0, atol=0)
    assert states[0][1].sum() == (drawn[[0, 1, 2]] >= 0).sum()


@pytest.mark.parametrize(("size", "annotation"), [((5, 7), (16, 12)), ((1, 1), (4, 4)), ((8, 8), (5, 3))])
def test_concepts_are_counted_as_on_the_cpu(size: tuple[int, int], annotation: tuple[int, int]) -> None:
    maps = random_maps("damaged", (2, 4, *size))
    planes = torch.from_numpy(np.random.default_rng(2).integers(0, 5, (2, 2, annotation[0] * annotation[1])))
    rows, columns = (Upsampling.between(*sides) for sides in zip(size, annotation, strict=True))
    upsampling = [torch.from_numpy(array) for array in (rows.low, rows.weight, columns.low, columns.weight)]
    states = []
    for module in (in_triton, on_cpu, in_torch):
        area, shared = torch.zeros((2, 4), dtype=torch.int64), torch.zeros((4, 5), dtype=torch.int64)
        threshold = torch.tensor([3.0, 4, 5, np.nan])
        module.count_concepts(area, shared, maps, reduced(maps)[0], threshold, upsampling, planes.int())
        states.append((area, shared[:, 1:]))
    for state in states[1:]:
        torch.testing.assert_close(states[0], state, rtol=0, atol=0)
    assert states[0][0].sum() > 0
