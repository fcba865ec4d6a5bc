"""Read kernels, launches and waits of a device from PyTorch's profiler."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
_LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
_SHOWN = 12  # operations


def profiled(action: Callable[[], Any], *, on_cuda: bool) -> dict[str, Any]:
    """Run an action and return what PyTorch's profiler says of it.

    waits, launches:  how often the host waited for the GPU, and launched kernels
    GPU busy:         the share of the time in which a kernel or copy ran; None on the CPU
    longest:          ms of the twelve kernels, or on the CPU operations, that took longest, by name
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as profiler:
        action()
    events = list(profiler.events() or [])
    counts = Counter(event.name for event in events)
    of_device = [event for event in events if "CUDA" in str(event.device_type)]
    working = of_device if on_cuda else events
    spent: Counter[str] = Counter()
    for event in working:
        spent[event.name[:80]] += event.time_range.elapsed_us() if on_cuda else event.self_cpu_time_total
    start, end = min(event.time_range.start for event in events), max(event.time_range.end for event in events)
    intervals = [(event.time_range.start, event.time_range.end) for event in of_device]
    return {
        "waits": sum(counts[name] for name in _WAITS),
        "launches": sum(counts[name] for name in _LAUNCHES),
        "GPU busy": round(covered(intervals) / (end - start), 3) if on_cuda else None,
        "longest": {name: round(micro / 1000, 3) for name, micro in spent.most_common(_SHOWN)},
    }


def covered(intervals: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals (start, end)."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
