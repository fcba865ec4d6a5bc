"""Section D: runs that do not fit into the device's memory go on with smaller batches, to the same results."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu.networks import spec
from benchmarks.gpu.setup import Record, Setup
from benchmarks.gpu.stores import BOUNDS, check_distance
from benchmarks.gpu.whole_runs import made
from shapebias.precompute.device import Device
from shapebias.precompute.memory import release
from shapebias.precompute.settings import Settings

_LARGEST = 4  # images at once that fit, where the device's memory cannot be limited
_ROOM = 0.6  # of what the whole batches took


def short_memory(setup: Setup, record: Record) -> None:
    """Compare a run with too little memory with one that has enough."""
    sizes = setup.sizes
    settings = Settings(
        models=[spec(setup, sizes.network)],
        images=str(setup.photos()),
        store=setup.folder / "enough.zarr",
        layers=sizes.network_layers,
        limit=2 * sizes.network_images,
        batch_size=2 * sizes.network_images,
        device=setup.kind,
        precision="highest",
        passes=("noise",),
        overwrite=True,
    )
    release()
    if setup.has_allocator:
        torch.cuda.reset_peak_memory_stats()
    enough, _ = made(settings)
    peak = torch.cuda.max_memory_reserved() if setup.has_allocator else 0
    with _limited(setup, peak):
        short, summary = made(replace(settings, store=setup.folder / "short.zarr"))
    halved = [note for note in summary.notes if note.startswith("not enough memory for")]
    record.measured |= {"MB of whole batches": round(peak / 1e6), "halved": halved}
    record.check(bool(halved), "the batches were not halved")
    check_distance(record, "halved batches, whole ones", store=short, expected=enough, bounds=BOUNDS["highest"])


@contextmanager
def _limited(setup: Setup, peak: int) -> Iterator[None]:
    """Leave too little of the device's memory, in the block, for a run that takes `peak` bytes.

    Where that memory cannot be limited, larger batches are refused instead.
    """
    if not setup.has_allocator:
        with mock.patch.object(Device, "images", _refusing(Device.images)):
            yield
        return
    release()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(_ROOM * peak / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        release()


def _refusing(images: Any) -> Any:
    """Return a stand-in for the function `images`, that of `Device`, that has no memory for more than four images."""

    def limited(device: Device, pixels: NDArray[np.uint8], preprocessing: Any) -> Tensor:
        if len(pixels) > _LARGEST:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory: pretended")
        made: Tensor = images(device, pixels, preprocessing)
        return made

    return limited
