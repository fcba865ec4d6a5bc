"""Checks that a network's output depends only on the image: equal in every forward and in any batch."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from shapebias.core.text import printable
from shapebias.precompute.models.flow.recording import Operation, Recording, record
from shapebias.precompute.models.outputs import leaves

_TOLERANCE = 1e-3  # tolerance as a fraction of the largest output: other batch sizes round differently
_HALF_TOLERANCE = 3e-2


def forward_alone(network: nn.Module, image: Tensor, result: Any) -> Any | None:
    """Return the network's result for one image [1, 3, H, W]; `result` is its result for two.

    None where it fails on a batch of one, or where a tensor that has a row for each of two images does not have one row
    of the same shape for one.
    """
    try:
        with torch.inference_mode():
            alone = network(image)
    except Exception:
        return None
    pairs = zip(leaves(result), leaves(alone), strict=False)
    fits = (one.tensor.shape == (1, *two.tensor.shape[1:]) for two, one in pairs if two.tensor.shape[:1] == (2,))
    return alone if all(fits) else None


def consistency_notes(network: nn.Module, images: Tensor, result: Any, alone: Any | None) -> list[str]:
    """Return a warning for the user where a network's outputs are random, depend on the batch, or hold NaN; else [].

    images:  [2, 3, H, W], a dark and a bright one
    result:  the network's result for both
    alone:   its result for the first image alone; None where it does not take a single image

    Errors of the network are passed on.
    """
    if alone is None:
        with torch.inference_mode():
            alone = network(_beside_itself(images))
    same = list(zip(leaves(result), leaves(alone), strict=False))
    pairs = [(two.tensor[:1], one.tensor[:1]) for two, one in same if two.tensor.shape[:1] == (2,)]
    if any(_holds_nan(tensor) for tensor, _ in pairs):
        return [f"its outputs hold NaN{_first(network, images, _nan_in)}"]
    if all(_near(*pair) for pair in pairs):
        return []
    return [_difference(network, images)]


def _beside_itself(images: Tensor) -> Tensor:
    """Return a batch of the first image and the same image with half the values."""
    return torch.stack([images[0], images[0] / 2])


def damaged_weights(network: nn.Module) -> list[str]:
    """Return a warning for the user where a network's state dict holds NaN or infinite values; else []."""
    damaged = [name for name, tensor in network.state_dict().items() if not _is_finite(tensor)]
    if not damaged:
        return []
    return [f"{len(damaged)} ({printable(damaged[0], 80)} …) of its weights hold NaN or infinite values"]


def _is_finite(tensor: Any) -> bool:
    """Return whether an entry of a state dict has only finite values; true for whatever is no tensor of floats."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        return True
    return math.isfinite(tensor.sum()) or bool(tensor.isfinite().all())


def _holds_nan(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and bool(tensor.isnan().any())


def _near(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or not one.is_floating_point():
        return True
    tolerance = _TOLERANCE if one.dtype == torch.float32 else _HALF_TOLERANCE
    scale = float(one.float().abs().max()) if one.numel() else 0.0
    return bool((one.float() - other.float()).abs().max() <= tolerance * scale + 1e-12) if one.numel() else True


def _difference(network: nn.Module, images: Tensor) -> str:
    """Return a line that says why outputs for an image differ, and from which operation and module on.

    Recordings of two forwards are compared: of the same images, then of the first image beside another one.
    """
    first, again = (record(network, images, digests=True)[1] for _ in range(2))
    position = _first_difference(first, again, slice(None), slice(None))
    if position is not None:
        return (
            f"its outputs are random{_where(first.operations[position])}: two forwards of the same images differ, and "
            "its numbers are those of one draw"
        )
    beside = record(network, _beside_itself(images), digests=True)[1]
    position = _first_difference(first, beside, slice(0, 1), slice(0, 1))
    layer_text = "" if position is None else _where(first.operations[position])
    return (
        f"its outputs for an image depend on the other images of the batch{layer_text}: numbers depend on --batch-size"
    )


def _first_difference(one: Recording, other: Recording, rows: slice, other_rows: slice) -> int | None:
    for position, (operation, same) in enumerate(zip(one.operations, other.operations, strict=False)):
        if operation.function != same.function:
            return position
        for (total, norm), (other_total, _) in zip(operation.digest[rows], same.digest[other_rows], strict=False):
            if abs(total - other_total) > _TOLERANCE * norm + 1e-12:
                return position
    return None


def _nan_in(operations: Iterable[Operation]) -> Operation | None:
    return next((operation for operation in operations if any(math.isnan(norm) for _, norm in operation.digest)), None)


def _first(network: nn.Module, images: Tensor, find: Any) -> str:
    operation = find(record(network, images, digests=True)[1].operations)
    return "" if operation is None else _where(operation)


def _where(operation: Operation) -> str:
    module_text = f" in {printable(operation.module, 80)}" if operation.module else ""
    return f", from {operation.name}{module_text} on"
