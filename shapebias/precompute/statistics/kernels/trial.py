"""Tests an implementation of the operators on a device before a run uses it.

Kernels are compiled for the GPU at hand, which may be of an untested kind. So all operators are run once on a few small
maps, and their results are compared with those of PyTorch's operations on the CPU. The maps hold multiples of 1/8,
whose sums are exact in any order: only squares are rounded.
"""

from types import ModuleType

import torch
from torch import Tensor

from shapebias.precompute.statistics.kernels import in_torch

_IMAGES, _UNITS, _HEIGHT, _WIDTH = 5, 70, 6, 7
_POSITIONS = _HEIGHT * _WIDTH
_CLASSES, _TOP = 3, 4
_ROUNDING = 1e-5


def find_fault(module: ModuleType, device: torch.device | str) -> str | None:
    """Return the problem of an implementation on a device, in a few words; None where there is none."""
    expected = _results(in_torch, "cpu")
    try:
        results = _results(module, device)
    except Exception as error:  # compilers may raise any error
        return f"{type(error).__name__} in a trial"
    for name, expected_values in expected.items():
        if not torch.allclose(results[name].double(), expected_values.double(), rtol=_ROUNDING, atol=0, equal_nan=True):
            return f"{name} is wrong in a trial"
    return None


def _results(module: ModuleType, device: torch.device | str) -> dict[str, Tensor]:
    """Return the results of a module's operators for two batches on a device, by name, on the CPU."""
    totals = list(torch.zeros((8, _UNITS), dtype=torch.float64, device=device))
    highest = torch.full((_UNITS,), -torch.inf, device=device)
    by_class = torch.zeros((_CLASSES, _UNITS), dtype=torch.float64, device=device)
    without = torch.zeros((_CLASSES, _UNITS), dtype=torch.int32, device=device)
    sampled, left_out = (
        torch.zeros((_UNITS, 20), device=device),
        torch.zeros(_UNITS, dtype=torch.int64, device=device),
    )
    lists, kept, tied = _empty_lists(device)
    area = torch.zeros((_IMAGES, _UNITS), dtype=torch.int64, device=device)
    shared = torch.zeros((_UNITS, 5), dtype=torch.int64, device=device)
    for batch in range(2):
        drawn = torch.Generator().manual_seed(batch)
        maps = _maps(drawn).to(device)
        pairs, labels, positions, planes = (
            tensor.to(device)
            for tensor in (
                torch.randint(0, _POSITIONS, (_IMAGES, 2, 2), generator=drawn, dtype=torch.int32),
                torch.randint(-1, _CLASSES, (_IMAGES,), generator=drawn),
                torch.randint(-1, _POSITIONS, (_IMAGES, 2), generator=drawn, dtype=torch.int32),
                torch.randint(0, 5, (_IMAGES, 2, 12 * 14), generator=drawn, dtype=torch.int32),
            )
        )
        images = torch.arange(_IMAGES, device=device) + batch * _IMAGES
        maximum, nonpositive, sums, finite = module.reduce_maps(maps, pairs)
        average = (sums[0] / _POSITIONS).float()
        module.add_moments(totals[:4], highest, maximum, nonpositive, sums, finite, _POSITIONS)
        module.add_variation(totals[4:], sums, finite, 0.5)
        module.add_class_means(by_class, without, maximum, finite, labels)
        lists = module.insert_top(lists, kept, tied, maps, maximum, average, images * -77 % 31, images)
        module.sample_maps(sampled, left_out, maps, finite, positions, batch * 10)
        threshold = torch.full((_UNITS,), 2.125, device=device)
        module.count_concepts(area, shared, maps, maximum, threshold, _upsampling(device), planes)
    order = torch.arange(_UNITS, device=device)[:, None]
    top_maps = torch.where((lists[0] > -torch.inf)[:, :, None], kept[order, lists[5].long()], 0)
    named = {
        "the maximum": maximum,
        "the count of a <= 0": nonpositive,
        "a sum over positions": torch.where(finite, sums, 0.0),
        "a sum over images": torch.stack([totals[0], *totals[3:]]),
        "the mean": totals[1].float(),
        "the deviation": totals[2].float(),
        "the sum of a class": by_class,
        "a top list": torch.stack(lists[:2]),
        "the images of a top list": torch.stack(lists[2:4]),
        "the position of a maximum": lists[4],
        "the map of a top image": top_maps,
        "the number of ties": tied,
        "a sample": sampled,
        "a count of concepts": shared[:, 1:],
        "an area": area,
    }
    return {name: tensor.cpu() for name, tensor in named.items()}


def _maps(drawn: torch.Generator) -> Tensor:
    """Return maps float32 [B, C, h, w], channels_last, one of which has a NaN."""
    maps = torch.randint(-16, 33, (_IMAGES, _UNITS, _HEIGHT, _WIDTH), generator=drawn) / 8
    maps[1, 3, 2, 2] = torch.nan
    return maps.contiguous(memory_format=torch.channels_last)


def _empty_lists(device: torch.device | str) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return empty top lists, their maps, and the numbers of ties."""
    shape = (_UNITS, _TOP)
    value, mean = torch.full((2, *shape), -torch.inf, device=device)
    key, image = torch.full((2, *shape), -1, device=device)
    position = torch.zeros(shape, dtype=torch.int32, device=device)
    slot = torch.arange(_TOP, dtype=torch.int32, device=device).repeat(_UNITS, 1)
    kept = torch.zeros((*shape, _POSITIONS), dtype=torch.uint8, device=device)
    return [value, mean, key, image, position, slot], kept, torch.zeros(_UNITS, dtype=torch.int64, device=device)


def _upsampling(device: torch.device | str) -> list[Tensor]:
    """Return the upsampling of a map to twice its size: see `overlap.Upsampling`."""
    sides = []
    for size in (_HEIGHT, _WIDTH):
        position = ((torch.arange(2 * size, dtype=torch.float64) + 0.5) / 2 - 0.5).clamp(min=0)
        low = position.long().clamp(max=size - 1)
        sides += [low.to(device), (position - low).to(device)]
    return sides
