"""Section E: how fast networks run bare, and with all that is measured of them."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.gpu.networks import spec
from benchmarks.gpu.passes import PassesContest
from benchmarks.gpu.profiling import profiled
from benchmarks.gpu.setup import Record, Setup
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings, parse_passes

_ROUNDS = 2
_FROM_PIXELS = "bare from pixels"
TARGETS = {  # of the pass, as a share of the bare forward from the same pixels; others have none
    ("alexnet", "tf32"): 0.85,
    ("alexnet", "bf16"): 0.85,
    ("resnet50", "tf32"): 0.9,
    ("resnet50", "bf16"): 0.85,
}


def seconds(action: Callable[[], Any]) -> float:
    """Run an action once, and return how many seconds it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def speed(setup: Setup, record: Record) -> None:
    """Measure every network in every precision, in turns with its bare forward."""
    for name in setup.sizes.networks:
        for precision in setup.fast:
            _contest(setup, record, name, precision)
        record.measured[f"{name}, all passes from JPEGs, images/s"] = round(_all_passes(setup, name), 1)


def _contest(setup: Setup, record: Record, name: str, precision: str) -> None:
    contest = PassesContest(setup, name, precision)
    ways: dict[str, tuple[Callable[[], None], int]] = {  # and how many forwards of an image each takes
        "bare": (contest.bare, 1),
        _FROM_PIXELS: (contest.from_pixels, 1),
        "pass": (contest.passing, 1),
        "with noise": (contest.with_noise, 2),
        "dissection": (contest.dissection, 2),
    }
    for action, _ in ways.values():
        action()  # compiles kernels
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS):
        for way, (action, _) in ways.items():
            best[way] = min(best[way], seconds(action))
    here = f"{name} {precision}"
    record.measured[f"{here}, images/s"] = {way: round(contest.images / took, 1) for way, took in best.items()}
    for way in ("pass", "with noise", "dissection"):
        record.measured[f"{here}: {way} / bare"] = round(ways[way][1] * best["bare"] / best[way], 3)
    if target := TARGETS.get((name, precision)):
        share = best[_FROM_PIXELS] / best["pass"]  # the same images on the same way to the same network
        record.check_speed(f"{here}: pass / {_FROM_PIXELS}", share, target)
    record.measured[f"{here}, profile of the pass"] = profiled(contest.passing, on_cuda=setup.is_cuda)
    record.measured[f"{here}, ablation rows/s"] = round(_ablation_speed(contest, setup.sizes.ablated))


def _ablation_speed(contest: PassesContest, images: int) -> float:
    """Return how many pairs of image and unit a second ablation runs, measured on `images` images."""
    ablation = contest.ablation()
    contest.ablated_rows(ablation, 1)  # warms up
    start = time.perf_counter()
    rows = contest.ablated_rows(ablation, images)
    return rows / (time.perf_counter() - start)


def _all_passes(setup: Setup, name: str) -> float:
    """Return the images per second of a whole run of all passes but ablation, from JPEGs."""
    images = setup.sizes.batch * 2
    settings = Settings(
        models=[spec(setup, name)],
        images=str(setup.photos()),
        store=setup.folder / "all.zarr",
        layers=setup.sizes.network_layers,
        limit=images,
        batch_size=setup.sizes.batch,
        device=setup.kind,
        passes=parse_passes("all"),
        workers=setup.sizes.workers[-1],
        overwrite=True,
    )
    summary = precompute(settings, Silent())
    return summary.images / summary.seconds
