"""Measures how much of the image a unit can see: pixels are set to NaN, and outputs that depend on them become NaN.

This works for any network, whatever its forward does. Unit p of a row sees the columns from stride * p + left to
stride * p + right. If all columns from j on are NaN, unit p is NaN when its right end is at least j; as j grows, the
first NaN unit changes from p to p + 1 just after the right end of p. The left end is found in the same way.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapebias.precompute.models.hooks import Watch, WatchedLayer

_HEIGHTS = (32, 96)  # px; the second is enough for every pooling of the usual networks
_WIDTH = 4096  # px; a unit that sees more than half of it to one side counts as seeing everything
_BATCH = 8


def receptive_fields(network: nn.Module, layers: list[WatchedLayer], side: int) -> list[int | None]:
    """Return the theoretical receptive field of each layer's units, in px along a row of the input; None = the whole
    image.

    A unit behind a global operation (squeeze-and-excitation, attention) sees everything. Where the fields of units
    differ (behind a transposed convolution), the result is at most one stride more than the largest. Since fields may
    be larger than images, they are measured on wide images, or on images of `side` px where the network takes no
    others. The network is on the CPU; its errors on images of `side` px are passed on.
    """
    with torch.inference_mode(), _exact_convolutions(network):
        half, full = _rulers(network, layers, side)
        strides = [_stride(half, full, index) for index in range(len(layers))]
        reach = [_reach(full, index, stride) for index, stride in enumerate(strides)]
        seen = [index for index, bound in enumerate(reach) if bound is not None]
        if not seen:
            return [None] * len(layers)
        longest = max(strides[index] for index in seen)
        width = 2 * (max(reach[index] or 0 for index in seen) + 2 * longest)
        ruler = full if full is half or width >= _WIDTH else _Ruler(network, layers, full.height, max(width, 96))
        right, left = (_ends(ruler, seen, strides, longest, to_right) for to_right in (True, False))
    return [right[index] - left[index] + 1 if index in seen else None for index in range(len(layers))]


def _rulers(network: nn.Module, layers: list[WatchedLayer], side: int) -> tuple["_Ruler", "_Ruler"]:
    """Return a ruler of half the largest width and one of the largest; where the network takes no images of these
    sizes, one of `side` px twice.
    """
    for height in _HEIGHTS:
        try:
            return _Ruler(network, layers, height, _WIDTH // 2), _Ruler(network, layers, height, _WIDTH)
        except (RuntimeError, AssertionError, ValueError):  # too small for a pooling, or not of the network's size
            continue
    ruler = _Ruler(network, layers, side, side)
    return ruler, ruler


def _stride(half: "_Ruler", full: "_Ruler", index: int) -> int:
    if full is half:
        return max(1, round(full.width / full.widths[index]))
    return max(1, round((full.width - half.width) / max(1, full.widths[index] - half.widths[index])))


def _reach(ruler: "_Ruler", index: int, stride: int) -> int | None:
    """Return a bound in px on how far unit 0 of layer `index` sees to either side of pixel 0; `stride` is in px.

    None where the layer's units see beyond the ruler's ends.
    """
    middle = ruler.width // 2
    first, last = (ruler.units([middle], to_right)[index][0] for to_right in (True, False))
    if first <= 0 or not 0 <= last < ruler.widths[index] - 1:
        return None
    return max(middle - stride * (first - 1), stride * (last + 1) - middle, 0)


def _ends(ruler: "_Ruler", layers: list[int], strides: list[int], longest: int, to_right: bool) -> dict[int, int]:
    """Return the column at which the field of unit 0 ends, at the right or at the left, for each index in `layers`.

    The units' strides and the `longest` of them are in px. The column is found by bisecting the starts of the NaN
    columns for the one at which the first unit that is NaN, or the last, changes.
    """
    middle = ruler.width // 2
    between = dict.fromkeys(layers, (middle, middle + longest))
    while any(high - low > 1 for low, high in between.values()):
        halves = {index: (low + high) // 2 for index, (low, high) in between.items()}
        ruler.units([*dict.fromkeys(halves.values())], to_right)
        for index, half in halves.items():
            low, high = between[index]
            before, at = (ruler.units([start], to_right)[index][0] for start in (low, half))
            between[index] = (half, high) if before == at else (low, half)
    ends = {index: low if to_right else high for index, (low, high) in between.items()}
    return {index: end - strides[index] * ruler.units([end], to_right)[index][0] for index, end in ends.items()}


class _Done(Exception):  # noqa: N818 (no error)
    """Ends a forward when all watched layers have run."""


class _Ruler:
    """Images of one size, used to find which units of a row become NaN."""

    def __init__(self, network: nn.Module, layers: list[WatchedLayer], height: int, width: int) -> None:
        self.height, self.width = height, width
        self.widths = [0] * len(layers)
        self._network, self._layers = network, layers
        self._found: dict[tuple[int, bool], list[int]] = {}
        self.units([width // 2], to_right=True)

    def units(self, starts: list[int], to_right: bool) -> list[list[int]]:
        """Return for each layer, and for each start j, the first unit of a row that is NaN when the columns from j on
        are NaN.

        Without `to_right`: the last unit that is NaN when the columns up to j are. -1 stands for none.
        """
        missing = [start for start in starts if (start, to_right) not in self._found]
        for begin in range(0, len(missing), _BATCH):
            self._measure(missing[begin : begin + _BATCH], to_right)
        return [[self._found[start, to_right][index] for start in starts] for index in range(len(self._layers))]

    def _measure(self, starts: list[int], to_right: bool) -> None:
        images = torch.zeros(len(starts), 3, self.height, self.width)
        for image, start in zip(images, starts, strict=True):
            (image[:, :, start:] if to_right else image[:, :, : start + 1]).fill_(torch.nan)
            self._found[start, to_right] = [-1] * len(self._layers)
        waiting = set(range(len(self._layers)))

        def see(index: int, output: Tensor) -> None:
            self.widths[index] = output.shape[-1]
            for start, row in zip(starts, output.isnan().any(2).any(1), strict=True):
                units = row.nonzero().flatten().tolist()
                self._found[start, to_right][index] = units[0 if to_right else -1] if units else -1
            waiting.discard(index)
            if not waiting:
                raise _Done

        try:
            with Watch(self._network, self._layers, see):
                self._network(images)
        except _Done:
            pass


@contextmanager
def _exact_convolutions(network: nn.Module) -> Iterator[None]:
    """Make every output of a 2D convolution that pads with zeros the sum over its window of the mean of the inputs.

    During the block that is fast, and reads nothing outside the window (unlike Winograd's algorithm).
    """
    plain = [
        convolution
        for convolution in network.modules()
        if type(convolution) is nn.Conv2d and convolution.padding_mode == "zeros"
    ]
    for convolution in plain:
        vars(convolution)["forward"] = partial(_window_sums, convolution)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch 2.14: leaving `flags` warns of TF32 on other machines
            with torch.backends.mkldnn.flags(enabled=False):
                yield
    finally:
        for convolution in plain:
            del vars(convolution)["forward"]


def _window_sums(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    window = torch.ones(1, 1, *convolution.kernel_size)
    sums = functional.conv2d(
        images.mean(1, keepdim=True), window, None, convolution.stride, convolution.padding, convolution.dilation
    )
    return sums.repeat(1, convolution.out_channels, 1, 1)
