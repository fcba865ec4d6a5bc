"""Defines the statistics' operators, `torch.ops.shapebias`: their meaning, and their implementation on each device.

On the CPU the hot ones are numba's; on a GPU all are Triton's, with one or two launches each, or PyTorch's operations
where Triton cannot be used. Triton's never wait for a value from the device, and each adds floats in the order of the
images, whatever the scheduling: the same batches give the same bits.

Shapes: maps [B, C, h, w], with any strides and float type; P = h * w. Reductions of maps are [B, C].
"""

from collections.abc import Callable
from typing import Any

import torch

from shapebias.precompute.statistics.kernels import in_torch, on_cpu
from shapebias.precompute.statistics.kernels.on_gpu import on_gpu

_LIBRARY: Any = torch.library.Library("shapebias", "DEF")  # type: ignore[no-untyped-call]


def _define(schema: str, on_the_cpu: Callable[..., Any], by_torch: Callable[..., Any]) -> Callable[..., Any]:
    """Define an operator and its implementations; return a function that calls it."""
    name = _LIBRARY.define(schema)
    _LIBRARY.impl(name, on_the_cpu, "CPU")
    _LIBRARY.impl(name, on_gpu(by_torch), "CUDA")
    operator: Callable[..., Any] = getattr(torch.ops.shapebias, name).default
    return operator


# Return (maximum float32, nonpositive int32, sums float64 [5, B, C], finite bool): the fields of `Reduction`.
# pairs int32 [B, n, 2]: see `Pairing`.
reduce_maps = _define(
    "reduce_maps(Tensor maps, Tensor pairs) -> (Tensor, Tensor, Tensor, Tensor)",
    on_cpu.reduce_maps,
    in_torch.reduce_maps,
)

# Add a batch's reduction to totals, [C] float64 each: count of values, mean, sum of squared deviations, count of
# a <= 0; and raise `highest`, float32 [C], to the largest maximum. `positions` is P.
add_moments = _define(
    "add_moments(Tensor(a!)[] totals, Tensor(b!) highest, Tensor maximum, Tensor nonpositive, Tensor sums, "
    "Tensor finite, int positions) -> ()",
    on_cpu.add_moments,
    in_torch.add_moments,
)

# Add a batch's sums to totals, [C] float64 each: of variation, |a|, `share` times apart, and the number of maps. Maps
# that are not finite, or whose variation or sum of |a| is not, are left out.
add_variation = _define(
    "add_variation(Tensor(a!)[] totals, Tensor sums, Tensor finite, float share) -> ()",
    on_cpu.add_variation,
    in_torch.add_variation,
)

# Add the activations float32 of a batch's images to their class's row of total, float64 [classes, C]. Maps that are
# not finite are counted in left_out, int32 [classes, C]. labels int64 [B], -1 for none.
add_class_means = _define(
    "add_class_means(Tensor(a!) total, Tensor(b!) left_out, Tensor activation, Tensor finite, Tensor labels) -> ()",
    on_cpu.add_class_means,
    in_torch.add_class_means,
)

# Return the top lists [C, k] with a batch's images in them, sorted: value float32, mean float32, key int64, image
# int64, position int32 (of the maximum, in raster order), slot int32: the row of kept, uint8 [C, k, P], that holds the
# entry's map, scaled so that 255 is the entry's own value. The largest value comes first, of equal ones the largest
# mean, of those the smallest key. tied int64 [C]: how many images have the largest value. kept and tied are changed in
# place, the lists are not.
insert_top = _define(
    "insert_top(Tensor[] lists, Tensor(a!) kept, Tensor(b!) tied, Tensor maps, Tensor maximum, Tensor average, "
    "Tensor keys, Tensor images) -> Tensor[]",
    on_cpu.insert_top,
    in_torch.insert_top,
)

# Put a batch's sampled values into the columns of kept, float32 [C, capacity], from `first_column` on, image after
# image; -inf for those of maps that are not finite, which left_out, int64 [C], counts. sampled int32 [B, m]: positions,
# -1 for none, which gives -inf.
sample_maps = _define(
    "sample_maps(Tensor(a!) kept, Tensor(b!) left_out, Tensor maps, Tensor finite, Tensor sampled, int first_column) "
    "-> ()",
    in_torch.sample_maps,
    in_torch.sample_maps,
)

# Count the pixels where the upsampled maps (float64) are above the threshold float32 [C]: in area int64 [B, C], and by
# the labels that `planes`, int32 [B, planes, pixels], has there in shared int64 [C, labels]. Label 0 is none: its
# column means nothing, as not every implementation counts it. maximum float32 [B, C] is that of each map. upsampling:
# `low` and `weight` of the rows, then of the columns (`Upsampling`).
count_concepts = _define(
    "count_concepts(Tensor(a!) area, Tensor(b!) shared, Tensor maps, Tensor maximum, Tensor threshold, "
    "Tensor[] upsampling, Tensor planes) -> ()",
    on_cpu.count_concepts,
    in_torch.count_concepts,
)
