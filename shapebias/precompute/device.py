"""Where and in which number format a network runs, and how images get there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.preprocessing import Preprocessing

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Device:
    """A device and the dtype that convolutions and matrix products run in (autocast, unless float32)."""

    device: torch.device
    dtype: torch.dtype

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def place(self, network: nn.Module) -> nn.Module:
        """Return `network` there, channels_last: the faster memory format for convolutions on CPUs and tensor cores."""
        network = network.to(self.device)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return network

    def images(self, pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
        """Return uint8 [B, H, W, 3] as the network's input: float32 [B, 3, H, W], channels_last, normalised."""
        tensor = torch.from_numpy(pixels)
        if self.is_cuda:
            tensor = tensor.pin_memory().to(self.device, non_blocking=True)
        std = torch.tensor(preprocessing.std, device=self.device)
        mean = torch.tensor(preprocessing.mean, device=self.device)
        return tensor.float().mul_(1 / (255 * std)).sub_(mean / std).permute(0, 3, 1, 2)

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Run networks without gradients, in this dtype."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32),
        ):
            yield

    def synchronize(self) -> None:
        """Wait for what was started, so that a clock tells the truth."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.is_cuda else f"CPU, {torch.get_num_threads()} threads"
        return f"{name}, {str(self.dtype).removeprefix('torch.')}"


def choose_device(device: str, dtype: str) -> Device:
    """Return the device and dtype that the user asks for; `auto`: CUDA where there is one, float32 (TF32 on CUDA, as
    PyTorch's convolutions do). Raises UsageError."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype != "auto" and dtype not in _DTYPES:
        raise UsageError(f"no --dtype {printable(dtype)}: auto, {', '.join(_DTYPES)}")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except Exception as error:
        reason = printable(str(error).splitlines()[0], 160)
        raise UsageError(f"--device {printable(device)} cannot be used here: {reason}") from error
    if chosen.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {printable(device)}: shapebias runs on cpu and cuda")
    return Device(chosen, _DTYPES.get(dtype, torch.float32))
