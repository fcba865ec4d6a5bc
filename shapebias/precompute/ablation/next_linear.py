"""The linear operation behind a watched layer, whose output without a unit is its output minus the unit's share.

Computing that share takes one input channel of the convolution or linear layer instead of all.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapebias.precompute.ablation.remainder import NoRestError, Rest, take_rows
from shapebias.precompute.models.hooks import WatchedLayer

_ROWS = 16  # units that are checked in one forward


class _ReachedError(Exception):
    """Ends a forward when it has reached the wanted module."""


class NextLinear:
    """The operation W x + b behind a layer, which gives (W x + b) - W_u x_u when unit u is set to zero.

    x is the layer's maps after operations that treat each channel separately and keep zeros zero (pooling, ReLU,
    flattening).
    """

    def __init__(self, network: nn.Module, layer: WatchedLayer, images: Tensor, before: Rest) -> None:
        """Find the operation.

        images:  [B >= 2, 3, H, W], as the network takes them, to try it with
        before:  the remainder of the network behind the layer

        Raises NoRestError where the next operation is of another kind, units share its inputs, or what comes behind it
        uses more than its output.
        """
        self._before = before
        path, number = before.first_call_behind(nn.Conv2d, nn.Linear)
        module = network.get_submodule(path)
        hooked = module._forward_hooks or module._forward_pre_hooks
        if type(module) not in (nn.Conv2d, nn.Linear) or hooked:
            raise NoRestError("a linear operation of another kind")
        assert isinstance(module, nn.Conv2d | nn.Linear)
        if isinstance(module, nn.Conv2d) and (module.groups > 1 or module.padding_mode != "zeros"):
            raise NoRestError("a convolution of another kind")
        self.module = module
        self.rest = Rest(network, WatchedLayer(path, path, number, 0, 0, 0), images)
        self._check(before.output[:1], layer.units)

    def inputs(self, output: Tensor) -> Tensor:
        """Return the linear module's input x for outputs [B, units, h, w] of the layer, which may be overwritten."""
        received: list[Tensor] = []

        def reached(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            received.append(inputs[0])
            raise _ReachedError

        handle = self.module.register_forward_pre_hook(reached)
        try:
            self._before(output)
        except _ReachedError:
            pass
        finally:
            handle.remove()
        return received[0]

    def _check(self, output: Tensor, units: int) -> None:
        """Raise NoRestError unless each unit has its own inputs, which are zero where the unit is.

        output [1, units, h, w]: the layer's for one image.
        """
        plain = self.inputs(output.clone())
        self._width, odd = divmod(plain.shape[1], units)
        if (
            odd
            or plain.ndim != (4 if isinstance(self.module, nn.Conv2d) else 2)
            or (plain.ndim == 4 and self._width != 1)
        ):
            raise NoRestError("units share its inputs")
        for first in range(0, units, _ROWS):
            some = torch.arange(first, min(first + _ROWS, units), device=output.device)
            rows = torch.zeros_like(some)
            changed, zeroed = take_rows(output, rows), take_rows(plain, rows)
            for row, unit in enumerate(some.tolist()):
                changed[row, unit] = 0
                zeroed[row, self._columns(unit)] = 0
            if not torch.equal(self.inputs(changed), zeroed):
                raise NoRestError("units share its inputs")

    def _columns(self, unit: int) -> slice:
        return slice(unit * self._width, (unit + 1) * self._width)

    def without(self, inputs: Tensor, outputs: Tensor, rows: Tensor, units: Tensor) -> Tensor:
        """Return the linear module's output [R, ...] for R rows, each of an image without one unit.

        inputs, outputs:  [B, ...], those of the module for the images; the difference is computed in their precision
        rows:             int64 [R], the index of each row's image
        units:            int64 [R], each row's unit; the rows of a unit stand together
        """
        difference = take_rows(outputs, rows)
        first = 0
        for unit, count in zip(
            *(numbers.tolist() for numbers in torch.unique_consecutive(units, return_counts=True)), strict=True
        ):
            some = slice(first, first + count)
            difference[some] -= self._share(inputs[:, self._columns(unit)].index_select(0, rows[some]), unit)
            first += count
        return difference

    def _share(self, inputs: Tensor, unit: int) -> Tensor:
        """Return the unit's share W_u x_u of the output; `inputs` are x_u, the unit's own inputs."""
        weight = self.module.weight[:, self._columns(unit)]
        module = self.module
        with torch.autocast(inputs.device.type, enabled=False):
            if isinstance(module, nn.Linear):
                return functional.linear(inputs, weight)
            return functional.conv2d(inputs, weight, None, module.stride, module.padding, module.dilation)
