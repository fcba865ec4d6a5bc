"""The convolution or linear layer that takes a watched layer's maps: without a unit its output is what it was, less the
unit's share, which costs one input channel instead of all."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapebias.precompute.ablation.remainder import NoRestError, Rest, take_rows
from shapebias.precompute.models.hooks import WatchedLayer

_ROWS = 16


class _ReachedError(Exception):
    """Ends a forward once it got where it was to go."""


class NextLinear:
    """W x + b behind a layer, where x is the layer's maps after operations that treat each channel by itself and leave
    zeros zero (pooling, ReLU, flattening): without unit u it is (W x + b) - W_u x_u."""

    def __init__(self, network: nn.Module, layer: WatchedLayer, images: Tensor, before: Rest) -> None:
        """`before` is the rest behind the layer. Raises NoRestError where what comes next is of another kind, or not
        all that the network goes on with."""
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
        """Return the module's input x for outputs of the layer, which may be overwritten."""
        found: list[Tensor] = []

        def reached(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found.append(inputs[0])
            raise _ReachedError

        handle = self.module.register_forward_pre_hook(reached)
        try:
            self._before(output)
        except _ReachedError:
            pass
        finally:
            handle.remove()
        return found[0]

    def _check(self, output: Tensor, units: int) -> None:
        """Raises NoRestError unless each unit has inputs of its own, zero where it is."""
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
            changed, wanted = take_rows(output, rows), take_rows(plain, rows)
            for row, unit in enumerate(some.tolist()):
                changed[row, unit] = 0
                wanted[row, self._columns(unit)] = 0
            if not torch.equal(self.inputs(changed), wanted):
                raise NoRestError("units share its inputs")

    def _columns(self, unit: int) -> slice:
        return slice(unit * self._width, (unit + 1) * self._width)

    def without(self, inputs: Tensor, outputs: Tensor, rows: Tensor, units: Tensor) -> Tensor:
        """Return the module's output [R, ...] for rows (image, unit), int64 [R] each, a unit's rows together; inputs
        and outputs [B, ...]: the module's for the images. Whatever the precision, this difference is in theirs."""
        found = take_rows(outputs, rows)
        first = 0
        for unit, count in zip(
            *(each.tolist() for each in torch.unique_consecutive(units, return_counts=True)), strict=True
        ):
            some = slice(first, first + count)
            found[some] -= self._share(inputs[:, self._columns(unit)].index_select(0, rows[some]), unit)
            first += count
        return found

    def _share(self, inputs: Tensor, unit: int) -> Tensor:
        """W_u x_u, for the unit's own inputs."""
        weight = self.module.weight[:, self._columns(unit)]
        module = self.module
        with torch.autocast(inputs.device.type, enabled=False):
            if isinstance(module, nn.Linear):
                return functional.linear(inputs, weight)
            return functional.conv2d(inputs, weight, None, module.stride, module.padding, module.dilation)
