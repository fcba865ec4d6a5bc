"""Section C: whole stores, training, stopping and shards, on the device against the CPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.networks import spec
from benchmarks.gpu.setup import Record, Setup
from benchmarks.gpu.stores import BOUNDS, DISTORTIONS, check_distance, differing
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.precompute.attacks.attack import parse_attack
from shapebias.precompute.images.builtin.drawing import builtin_set
from shapebias.precompute.images.builtin.export import export_builtin
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import PASSES, Settings
from shapebias.precompute.summary import Summary
from shapebias.precompute.training.loop import train
from shapebias.precompute.training.settings import Epoch, TrainingSettings

_LOSS = 0.05  # how far the loss of an epoch in bfloat16 may be from float32's, relative to it


def made(settings: Settings) -> tuple[Store, Summary]:
    """Run `precompute`; return the store and the run's summary."""
    summary = precompute(settings, Silent())
    return open_store(settings.store), summary


class _Stopped(BaseException):
    """Stops a run as Ctrl-C would."""


class _StopAfter(Silent):
    """Stops a run after some images."""

    def __init__(self, images: int) -> None:
        self._left = images

    def advance(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _Stopped


def whole_runs(setup: Setup, record: Record) -> None:
    """Compare whole runs on the device with runs on the CPU: stores, stops, shards and an epoch of training."""
    _pair(setup, record)
    _network(setup, record)
    _shards_and_stops(setup, record)
    _epoch(setup, record)


def _pair(setup: Setup, record: Record) -> None:
    """Compare stores of the built-in pair: every pass and attack in float32, the activations in other precisions."""
    sizes = setup.sizes
    conflict = setup.folder / "conflict"
    export_builtin(conflict, "cue-conflict", sizes.pair_images, 0, Silent())
    settings = pair_settings(setup, "pair", cue_conflict=str(conflict), passes=tuple(PASSES), ablate_accuracy=True)
    attacks = (parse_attack("l2:1"), parse_attack("linf:0.01"))
    _compare(setup, record, "pair", replace(settings, attacks=attacks))


def _network(setup: Setup, record: Record) -> None:
    """Compare stores of a network with random weights on JPEGs."""
    sizes = setup.sizes
    settings = Settings(
        models=[spec(setup, sizes.network)],
        images=str(setup.photos()),
        store=setup.folder / sizes.network,
        layers=sizes.network_layers,
        limit=sizes.network_images,
        passes=("noise",),
        overwrite=True,
    )
    _compare(setup, record, sizes.network, settings)


def pair_settings(setup: Setup, name: str, **facts: Any) -> Settings:
    """Return the settings of a run of the built-in networks."""
    sizes = setup.sizes
    usual: dict[str, Any] = {
        "models": parse_specs(list(sizes.pair)),
        "images": "builtin:probe",
        "store": setup.folder / name,
        "layers": sizes.pair_layers,
        "limit": sizes.pair_images,
        "batch_size": sizes.pair_images // 4,
        "workers": 0,
        "distortions": DISTORTIONS,
        "device": setup.kind,
        "precision": "highest",
        "overwrite": True,
    }
    return Settings(**(usual | facts))


def _compare(setup: Setup, record: Record, name: str, settings: Settings) -> None:
    """Compare a run on the device, in each precision, with one on the CPU whose batches are of another size."""
    folder = settings.store
    on_cpu = replace(settings, store=Path(f"{folder}-cpu.zarr"), device="cpu", precision="highest", batch_size=12)
    expected, _ = made(on_cpu)
    for precision in ("highest", *setup.rounding):
        store, _ = made(_rounding(settings, setup.kind, precision))
        check_distance(record, f"{name}, {precision}", store=store, expected=expected, bounds=BOUNDS[precision])


def _rounding(settings: Settings, kind: str, precision: str) -> Settings:
    """Return the settings of a run on the device; one that rounds more than float32 measures activations only."""
    here = replace(settings, store=Path(f"{settings.store}-{precision}.zarr"), device=kind, precision=precision)
    if precision == "highest":
        return here
    return replace(here, passes=("noise",), cue_conflict=None, ablate_accuracy=False, attacks=())


def _shards_and_stops(setup: Setup, record: Record) -> None:
    """Check that a run that was stopped and resumed gives the same bits as one that was not, and so do four shards."""
    images = setup.sizes.pair_images
    whole, _ = made(pair_settings(setup, "one-shard.zarr", shard_size=images))
    settings = pair_settings(setup, "four-shards.zarr", shard_size=images // 4)
    four, _ = made(settings)
    bounds = replace(BOUNDS["highest"], shares=dict.fromkeys(BOUNDS["highest"].shares, 1.0))
    check_distance(record, "4 shards, 1 shard", store=four, expected=whole, bounds=bounds)
    stopped = replace(settings, store=setup.folder / "stopped.zarr")
    try:
        precompute(stopped, _StopAfter(images // 2))
        record.violations.append("a run was not stopped")
    except _Stopped:
        pass
    resumed, summary = made(stopped)
    record.check("continued an unfinished run" in summary.notes, "a stopped run was not continued")
    arrays = differing(resumed, four)
    record.check(not arrays, f"resumed and uninterrupted differ in {', '.join(arrays[:4])}")
    record.measured["resumed"] = "other bits" if arrays else "the same bits"


def _epoch(setup: Setup, record: Record) -> None:
    """Compare an epoch of training: on CUDA it is in bfloat16, and some gradients add up in no fixed order."""
    epochs = {kind: _trained(setup, kind) for kind in ("cpu", setup.kind)}
    loss, wanted = epochs[setup.kind].loss, epochs["cpu"].loss
    record.measured["loss of an epoch"] = {kind: round(epoch.loss, 5) for kind, epoch in epochs.items()}
    record.check(abs(loss - wanted) <= _LOSS * wanted, f"the loss of an epoch is {loss:.4f}, on the CPU {wanted:.4f}")


def _trained(setup: Setup, kind: str) -> Epoch:
    settings = TrainingSettings(
        images=builtin_set("train", setup.sizes.trained_on),
        output=setup.folder / f"{kind}.safetensors",
        epochs=1,
        batch_size=32,
        held_out=0,
        workers=0,
        device=kind,
        overwrite=True,
    )
    return train(settings, Silent()).epochs[0]
