"""Sends batches of images to the device, each while the device works on the batch before it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.precompute.device import Device
from shapebias.precompute.images.loader import Batch, Loader

HELD = 2  # batches of a loader that are used at a time: one by the networks, the next one by the copy

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class DeviceBatch(Batch):
    """A batch, with its pixels on the device as well.

    sent:  uint8 [B, H, W, 3], or [B, versions, H, W, 3] of images with versions; on a GPU, of annotated images only
           version 0, the pixels
    """

    sent: Tensor

    def take(self, wanted: NDArray[np.bool_], device: Device) -> Tensor:
        """Return the versions that are `wanted`, bool [B, versions], as uint8 [number of True, H, W, 3] on the device.

        They are in the order of the images, and of the versions within each. Only for batches of images with versions.
        """
        images, versions = np.nonzero(wanted)
        rows = device.upload(versions * len(wanted) + images)
        return self.sent.transpose(0, 1).flatten(0, 1).index_select(0, rows)


def on_device(batch: Batch, device: Device) -> DeviceBatch:
    """Return a batch with its pixels on a device; on the CPU `sent` is the same memory as `pixels`."""
    return _with_sent(batch, device.upload(batch.pixels))


def _with_sent(batch: Batch, sent: Tensor) -> DeviceBatch:
    return DeviceBatch(batch.positions, batch.pixels, batch.thumbnails, batch.slot, sent=sent)


class Uploads:
    """Yields a loader's batches on a GPU, each copied while the networks run on the one before; it is iterated once.

    The copies are on a CUDA stream of their own, from the loader's memory, which is page-locked once (where the system
    does not allow that, from a page-locked copy). A batch goes back to the loader when the caller asks for the next one
    and the copy has ended: until then a worker would write into what is being copied. The loader must hold at least
    `HELD` batches.

    versions:  how many of a batch's versions to send, the first ones; None: all
    """

    def __init__(self, loader: Loader, device: Device, versions: int | None = None) -> None:
        self._loader, self._device, self._versions = loader, device.device, versions
        self._stream = torch.cuda.Stream(device.device)  # type: ignore[no-untyped-call]  # PyTorch's
        self._resources = ExitStack()
        self._locked = self._lock_pages(torch.from_numpy(loader.memory))

    def __iter__(self) -> Iterator[DeviceBatch]:
        with self._resources:
            upload = self._send_next()
            while upload is not None:
                following = self._send_next() if self._loader.ready else None
                torch.cuda.current_stream(self._device).wait_event(upload.copied)
                yield upload.batch
                if not upload.copied.query():  # type: ignore[no-untyped-call]  # PyTorch's
                    upload.copied.synchronize()
                self._loader.give_back(upload.batch)
                upload = following or self._send_next()

    def _send_next(self) -> "_Upload | None":
        """Start to copy the loader's next batch, and return it with the copy's event; None after the last."""
        batch = self._loader.next_batch()
        if batch is None:
            return None
        count = len(batch.positions)
        versions = torch.from_numpy(self._loader.memory[batch.slot, : self._versions, :count])
        # The memory of an earlier batch may be used again: the copy waits until the networks are done with that batch.
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            there = torch.empty_like(versions, device=self._device, memory_format=torch.contiguous_format)
            for target, version in zip(there, versions, strict=True):
                target.copy_(version if self._locked else version.pin_memory(), non_blocking=True)
            copied = self._stream.record_event()
        sent = there[0] if batch.pixels.ndim == 4 else there.transpose(0, 1)
        return _Upload(_with_sent(batch, sent), copied)

    def _lock_pages(self, memory: Tensor) -> bool:
        """Page-lock the memory until all batches are given; return whether the system allows that."""
        runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]  # PyTorch's
        address = memory.data_ptr()
        error = int(runtime.cudaHostRegister(address, memory.numel(), 0))
        if error:
            _log.debug("memory of %d bytes cannot be page-locked: CUDA error %d", memory.numel(), error)
            with suppress(RuntimeError):  # else the next kernel would report the error as its own
                torch.zeros(1, device=self._device)
            return False
        self._resources.callback(runtime.cudaHostUnregister, address)
        self._resources.callback(self._stream.synchronize)  # callbacks run last first: copies end before the unlocking
        return True


@dataclass(frozen=True)
class _Upload:
    """A batch that is being copied, and the CUDA event that follows its copy on the stream."""

    batch: DeviceBatch
    copied: torch.cuda.Event
