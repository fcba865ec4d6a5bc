"""Section G: the memory that the pass takes beside its network's, and whether that grows with the images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.gpu.passes import PassesContest
from benchmarks.gpu.setup import Record, Setup
from shapebias.precompute.memory import release

_MORE = 4  # times as many images
_GROWTH = 32e6  # bytes that as many more images may take on the device


def memory(setup: Setup, record: Record) -> None:
    """Measure the peaks of the bare network, the pass, and the pass over more images."""
    few = replace(setup, sizes=replace(setup.sizes, batches=1))
    contest = PassesContest(few, setup.sizes.network, "auto")
    more = PassesContest(replace(setup, sizes=replace(setup.sizes, batches=_MORE)), setup.sizes.network, "auto")
    actions: dict[str, Callable[[], None]] = {
        "bare": contest.bare,
        "pass": contest.passing,
        f"pass, {_MORE} x the images": more.passing,
    }
    for action in actions.values():
        action()  # first, so that memory which libraries take once and keep is not counted
    peaks = {name: _peak(action, on_device=setup.has_allocator) for name, action in actions.items()}
    kind = "device" if setup.has_allocator else "process"
    record.measured[f"peak MB of the {kind}"] = {name: round(peak / 1e6, 1) for name, peak in peaks.items()}
    bare, passing, longer = peaks.values()
    record.measured["pass over bare, MB"] = round((passing - bare) / 1e6, 1)
    record.measured["growth, MB"] = round((longer - passing) / 1e6, 1)
    if setup.has_allocator:
        growth = longer - passing
        record.check(growth <= _GROWTH, f"the pass takes {growth / 1e6:.0f} MB more for {_MORE} x the images")
    else:
        record.absent["device memory"] = "this device has no allocator to ask: peaks are those of the process"


def _peak(action: Callable[[], None], *, on_device: bool) -> int:
    """Return the most bytes in use at once while an action runs: of PyTorch on the device, or else of this process."""
    release()
    if on_device:
        torch.cuda.reset_peak_memory_stats()
        action()
        return torch.cuda.max_memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    action()
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
