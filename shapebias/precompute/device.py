"""The device that a network runs on, its precision and memory format, and the transfer of images to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.preprocessing import Preprocessing
from shapebias.precompute.settings import EARLIER_PRECISIONS, NO_TF32, PRECISIONS

Pixels = NDArray[np.uint8] | Tensor  # images uint8 [B, H, W, 3], a tensor where they are on the device already


@dataclass(frozen=True)
class Precision:
    """The precision of convolutions and matrix products.

    name:       the value of `--precision`
    text:       the name for messages
    dtype:      the type in which the network runs, by autocast unless it is float32
    tf32:       whether CUDA may round their float32 inputs to TF32 (10 bits of mantissa instead of 23)
    tolerance:  by how much rounding alone may change an activation from float32's, as a fraction of the unit's
                maximum; of EfficientNet-Lite0's 3120 units on 60 photos none changed by more than 0.7 of this
    of_means:   the same for means over images and positions, where rounding averages out
    """

    name: str
    text: str
    dtype: torch.dtype
    tf32: bool
    tolerance: float
    of_means: float


HIGHEST = Precision("highest", "float32", torch.float32, False, 1e-3, 1e-3)
TF32 = Precision("tf32", "TF32", torch.float32, True, 3e-2, 6e-3)
BF16 = Precision("bf16", "bfloat16", torch.bfloat16, False, 0.25, 0.05)
FP16 = Precision("fp16", "float16", torch.float16, False, 3e-2, 6e-3)
_BY_NAME = {precision.name: precision for precision in (HIGHEST, TF32, BF16, FP16)}


@dataclass(frozen=True)
class Device:
    """A device and the precision in which networks run on it."""

    device: torch.device
    precision: Precision = HIGHEST

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """The type in which networks run, such as float32: the precision's."""
        return self.precision.dtype

    @property
    def gpu(self) -> str | None:
        """The GPU's name; None for the CPU."""
        return torch.cuda.get_device_name(self.device) if self.is_cuda else None

    @property
    def usual_batch(self) -> int:
        """The default number of images in a batch, which memory may reduce."""
        return 256 if self.is_cuda else 32

    def images_at_once(self, crop: int) -> int:
        """Return how many images of crop x crop px to give to one forward.

        On a GPU it is a usual batch; of images smaller than 224 x 224 px more, as many as have the same number of
        pixels. On the CPU it is a usual batch, since its caches hold no more.
        """
        return max(self.usual_batch, self.usual_batch * 224**2 // crop**2) if self.is_cuda else self.usual_batch

    @property
    def exact(self) -> "Device":
        """The same device with full float32 precision, for checking what a network computes."""
        return replace(self, precision=HIGHEST)

    @property
    def with_gradients(self) -> "Device":
        """The same device with a precision for gradients: float32 in place of float16, others as they are.

        In float16, gradients underflow, so that an attack finds nothing to change in many images.
        """
        return self.exact if self.precision is FP16 else self

    def to(self, network: nn.Module) -> nn.Module:
        """Move `network` itself to the device, its 4-D weights channels_last, and return it.

        That memory format is the faster one for convolutions on CPUs and tensor cores.
        """
        network = network.to(self.device)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return network

    def images(self, pixels: Pixels, preprocessing: Preprocessing) -> Tensor:
        """Return images, uint8 [B, H, W, 3], as a network's input on the device, float32 [B, 3, H, W], channels_last.

        They are normalised by the mean and the standard deviation of `preprocessing`.
        """
        scale, shift = _normalisation(tuple(preprocessing.mean), tuple(preprocessing.std), self.device)
        return self.upload(pixels).float().mul_(scale).sub_(shift).permute(0, 3, 1, 2)

    def upload(self, array: NDArray[Any] | Tensor) -> Tensor:
        """Return an array as a tensor on the device; a tensor is returned as it is, since it is there already.

        On the CPU the tensor shares the array's memory. To a GPU a page-locked copy is sent, and the program does not
        wait until it has arrived.
        """
        if isinstance(array, Tensor):
            return array
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.is_cuda else tensor

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Run networks in the block without gradients, in this precision."""
        with torch.inference_mode(), self.rounding(), self.autocast():
            yield

    def autocast(self) -> torch.autocast:
        """Return a context in which a network's operations run in this precision's dtype."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    @contextmanager
    def rounding(self) -> Iterator[None]:
        """Let all float32 operations in the block round as this precision says.

        cuDNN uses algorithms that give the same bits every time and does not choose them by timing. PyTorch's settings
        are those of the whole process; after the block they are as before.
        """
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.precision.tf32 else "highest")
        try:
            with torch.backends.cudnn.flags(
                enabled=True, benchmark=False, deterministic=True, allow_tf32=self.precision.tf32
            ):
                yield
        finally:
            torch.set_float32_matmul_precision(before)

    def synchronize(self) -> None:
        """Wait until the device has finished all its work, so that time measurements are right."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def __str__(self) -> str:
        return f"{self.gpu or f'CPU, {torch.get_num_threads()} threads'}, {self.precision.text}"


@cache
def _normalisation(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return scale and shift, float32 [3] each on `device`, such that (x / 255 - mean) / std = scale * x - shift."""
    with torch.inference_mode(False):
        deviation = torch.tensor(std, device=device)
        return 1 / (255 * deviation), torch.tensor(mean, device=device) / deviation


CPU = Device(torch.device("cpu"))


def choose_device(device: str, precision: str) -> Device:
    """Return the device and precision for the values of `--device` and `--precision`.

    The device `auto` is CUDA where there is a GPU, else the CPU. The precision `auto` is TF32 on GPUs that have it,
    else float32. Raises UsageError for a device or precision that does not exist here.

    >>> choose_device("cpu", "highest").device.type
    'cpu'
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except Exception as error:
        reason = printable(str(error).splitlines()[0], 160)
        raise UsageError(f"--device {printable(device)} cannot be used here: {reason}") from error
    if chosen.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {printable(device)}: shapebias runs on cpu and cuda")
    has_tf32 = chosen.type == "cuda" and torch.cuda.get_device_capability(chosen) >= (8, 0)
    return Device(chosen, choose_precision(precision, has_tf32))


def device_of(networks: dict[str, nn.Module]) -> str:
    """Return a value of `--device` for networks in memory, by label: the GPU that any is on, such as `cuda:0`.

    Returns `auto` where none is on a GPU. Raises UsageError where they are on several GPUs, or on a device other than
    CPUs and GPUs, such as `meta`, where weights have no values.
    """
    devices: dict[torch.device, str] = {}
    for label, network in networks.items():
        for tensor in (*network.parameters(), *network.buffers()):
            devices.setdefault(tensor.device, label)
    odd = [device for device in devices if device.type not in ("cpu", "cuda")]
    if odd:
        raise UsageError(f"{devices[odd[0]]} is on {odd[0]}: move it to the CPU or a GPU")
    gpus = [device for device in devices if device.type == "cuda"]
    if len(gpus) > 1:
        where = " and ".join(f"{devices[gpu]} on {gpu}" for gpu in gpus[:2])
        raise UsageError(f"the networks are on several GPUs ({where}): move them to one, or name it with device=")
    return str(gpus[0]) if gpus else "auto"


def choose_precision(name: str, has_tf32: bool) -> Precision:
    """Return the precision with this name, a value of `--precision`; names of earlier versions are known too.

    `auto` is TF32 on a device that has it, else float32. Raises UsageError for an unknown name, and for `tf32` on a
    device that does not have it.
    """
    if name == "auto":
        return TF32 if has_tf32 else HIGHEST
    precision = _BY_NAME.get(EARLIER_PRECISIONS.get(name, name))
    if precision is None:
        raise UsageError(f"no --precision {printable(name)}: there are auto, {', '.join(PRECISIONS)}")
    if precision.tf32 and not has_tf32:
        raise UsageError(NO_TF32)
    return precision
