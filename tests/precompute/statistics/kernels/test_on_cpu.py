"""Kernels of the CPU that are no operators, against PyTorch's own operations."""

import pytest
import torch

from shapebias.precompute.runner import _largest
from shapebias.precompute.statistics.kernels.on_cpu import find_largest
from shapebias.precompute.statistics.maps import Maps

# With fewer units than a block, and with blocks that overlap.
SHAPES = [
    (3, 40, 7, 5),
    (2, 16, 1, 1),
    (1, 5, 9, 4),
    (2, 24, 32, 3),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_largest_value_of_every_map(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    maps = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) - 3).contiguous(memory_format=layout)
    largest, finite = find_largest(maps)
    assert torch.equal(largest, maps.amax((2, 3)))
    assert finite.all()
    assert torch.equal(_largest(maps.bfloat16()), maps.bfloat16().amax((2, 3)).float())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("position", [0, 17, 34])
def test_maps_with_nan_and_infinite_values(value: float, position: int) -> None:
    maps = torch.randn((3, 40, 7, 5), generator=torch.Generator().manual_seed(0))
    maps[1, 39].view(-1)[position] = value
    expected = torch.ones((3, 40), dtype=torch.bool)
    expected[1, 39] = False
    assert torch.equal(find_largest(maps)[1], expected)
    assert torch.equal(Maps(maps).finite, expected)
    assert Maps(maps).maximum[1, 39] == -torch.inf
    assert torch.equal(Maps(maps).maximum[expected], maps.amax((2, 3))[expected])
    assert torch.equal(_largest(maps).nan_to_num(7), maps.amax((2, 3)).nan_to_num(7))
