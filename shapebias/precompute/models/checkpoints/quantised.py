"""Weights stored as integers or 8-bit floats: multiplied by their scales where the file has them, else refused."""

from collections.abc import Mapping

import torch
from torch import Tensor

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.contents import State

_SCALES = ("_scale", "_scales", ".scale", ".scales")
_ZEROS = ("_zero_point", "_zero_points", ".zero_point", ".zero_points")
_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)


def with_floats(
    state: State, wanted: Mapping[str, Tensor], rest: Mapping[str, Tensor], names: Mapping[str, str]
) -> tuple[State, set[str], list[str]]:
    """Return a state dict whose weights are floats where the network's are, the names of the scales that were used, and
    notes.

    `rest` is the file's other tensors, `names` the file's names by the network's. 8-bit floats without scales stay as
    they are. Raises ShapebiasError for integers without scales, and for scales of another length.
    """
    floats, used, kinds = dict(state), set[str](), set[str]()
    for name, value in state.items():
        if name not in wanted or not wanted[name].is_floating_point():
            continue
        if value.is_quantized:
            floats[name] = value.dequantize()
            kinds.add(str(value.dtype))
        elif value.dtype in _EIGHT_BITS or not value.is_floating_point():
            scaled = _scaled(value, names[name], rest)
            if scaled is not None:
                floats[name], scales = scaled
                used |= scales
                kinds.add(str(value.dtype))
            elif not value.is_floating_point():
                raise ShapebiasError(_refusal(names[name], value, state, wanted))
    kinds_text = " and ".join(sorted(kinds)).replace("torch.", "")
    return floats, used, [f"its weights are {kinds_text}: multiplied by the scales in the file"] if kinds else []


def _scaled(value: Tensor, name: str, rest: Mapping[str, Tensor]) -> tuple[Tensor, set[str]] | None:
    """Return (value - zero point) * scale, float32, and the names of the scale and zero point in `rest`.

    There is one scale for the tensor or for each output. None where `rest` has no scale for the tensor `name`. Raises
    ShapebiasError for a scale or zero point of another length.
    """
    scale = next((name + end for end in _SCALES if name + end in rest), None)
    if scale is None:
        return None
    zero = next((name + end for end in _ZEROS if name + end in rest), None)
    offset = 0.0 if zero is None else _of_outputs(rest[zero], value)
    result = (value.float() - offset) * _of_outputs(rest[scale], value)
    return result, {scale} | ({zero} if zero else set())


def _of_outputs(numbers: Tensor, value: Tensor) -> Tensor:
    if numbers.numel() == 1:
        return numbers.float().reshape(())
    if value.ndim and numbers.numel() == len(value):
        return numbers.float().reshape(-1, *[1] * (value.ndim - 1))
    raise ShapebiasError("the checkpoint's weights have scales that are neither one number nor one for each output")


def _refusal(name: str, value: Tensor, state: State, wanted: Mapping[str, Tensor]) -> str:
    count = sum(
        not tensor.is_floating_point() and known in wanted and wanted[known].is_floating_point()
        for known, tensor in state.items()
    )
    kind = str(value.dtype).removeprefix("torch.")
    return (
        f"{count} of its weights are no floats ({printable(name, 80)}: {kind}) and the file has no scales for them: "
        "save the network before it is quantised"
    )
