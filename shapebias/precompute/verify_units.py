"""Recomputes some units of a store by a plain forward and reductions in float64, without the code of the passes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.analysis.verify import VerifyReport
from shapebias.core.errors import ShapebiasError
from shapebias.core.remote import is_url
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.precompute.device import Pixels, Precision, choose_device, choose_precision
from shapebias.precompute.inputs import list_images
from shapebias.precompute.memory import in_parts
from shapebias.precompute.models.spec import ModelSpec, parse_spec, parse_specs
from shapebias.precompute.progress import Reporter
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.gpu_decoding import check_decoding
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import EXACT, Settings
from shapebias.precompute.stored import stored_runner


class _PlainUnit:
    """The metrics of one unit over all images, in float64."""

    def __init__(self) -> None:
        self.activation: list[float] = []
        self.total = self.squares = self.silent = self.variation = self.absolute = 0.0
        self.positions = 0

    def see(self, maps: NDArray[np.float64]) -> None:
        """Add the unit's maps of a batch, [B, h, w]."""
        finite = np.isfinite(maps).all((1, 2))
        self.activation += np.where(finite, maps.max((1, 2)), -np.inf).tolist()
        maps = maps[finite]
        self.total += maps.sum()
        self.squares += (maps**2).sum()
        self.silent += (maps <= 0).sum()
        self.variation += np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum()
        self.absolute += np.abs(maps).sum()
        self.positions += maps.size

    def metrics(self) -> dict[str, float]:
        """Return the metrics that are compared with the store's, by name; NaN where no map is finite."""
        if not self.positions:
            return dict.fromkeys(("max", "mean", "std", "sparsity", "tv", "smoothness"), np.nan)
        mean = self.total / self.positions
        images = np.isfinite(self.activation).sum()
        return {
            "max": max(self.activation),
            "mean": mean,
            "std": max(self.squares / self.positions - mean**2, 0.0) ** 0.5,
            "sparsity": self.silent / self.positions,
            "tv": self.variation / images,
            "smoothness": 1 - self.variation / (4 * self.absolute) if self.absolute else 1.0,
        }


@dataclass(frozen=True)
class _Prepared:
    """A network of a store, and the store's images: `positions`, int64 [images], are their indices in the stream's
    listing.
    """

    runner: Runner
    stream: Stream
    positions: NDArray[np.int64]


def verify_units(
    path: Path,
    sample: int,
    report: VerifyReport,
    progress: Reporter,
    *,
    images: str | None,
    models: list[str],
    device: str,
    workers: int | None,
) -> None:
    """Recompute `sample` random units of every model of the store at `path` and add differences to `report`.

    `images` (None: where they were) and `models` (specs of those that were moved) say where images and networks are
    now. `workers` processes decode images; None: as many as are useful. Raises ShapebiasError where images or networks
    are not those of the store, or cannot be read.
    """
    store = open_store(path)
    specs = {spec.label: spec for spec in parse_specs(models)}
    for label in specs:
        store.check_model(label)
    facts: Any = store.attributes.get("settings")
    facts = facts if isinstance(facts, dict) else {}
    settings = Settings(
        models=[],
        images=images or _where_it_was(store, str(facts.get("images"))),
        store=path,
        layers=str(facts.get("layers")),
        limit=facts.get("limit") if images is None else None,
        device=device,
        workers=workers,
        decode=str(facts.get("decode", EXACT)),
    )
    for label in store.models:
        spec = specs.get(label) or _spec_where_it_was(store, label)
        prepared = _prepare(store, spec, settings, progress)
        chosen = _sample(store, label, sample)
        progress.stage(f"{label}: computing again")
        for unit, plain in _measure(prepared, chosen).items():
            _compare(store, unit, plain, report)
        report.units += len(chosen)


def _where_it_was(store: Store, path: str) -> str:
    """Return the current path of a file of the run: as written, or relative to the folder where the run was started or
    to the store's folder.
    """
    if is_url(path) or path.startswith("builtin:") or Path(path).is_absolute() or Path(path).exists():
        return path
    folders = [str(store.attributes.get("folder") or "."), str(Path(store.path).absolute().parent)]
    return next((candidate for folder in folders if Path(candidate := f"{folder}/{path}").exists()), path)


def _spec_where_it_was(store: Store, label: str) -> ModelSpec:
    """Return the spec of a store's model, with the current paths of its files."""
    spec = parse_spec(f"{label}={store.models[label].source}")
    file, colon, function = spec.source.rpartition(":")
    source = f"{_where_it_was(store, file)}:{function}" if colon and file.endswith(".py") else spec.source
    if source.endswith(".safetensors"):
        source = _where_it_was(store, source)
    checkpoint = None if spec.checkpoint is None else Path(_where_it_was(store, str(spec.checkpoint)))
    return replace(spec, source=source, checkpoint=checkpoint)


def _prepare(store: Store, spec: ModelSpec, settings: Settings, progress: Reporter) -> _Prepared:
    """Load a network, and find the images of the store by their paths.

    Raises ShapebiasError where images are missing or the network is not the store's.
    """
    listing = list_images(settings, progress)[0]
    by_path = {path: position for position, path in enumerate(listing.paths)}
    missing = [path for path in store.image_paths if path not in by_path]
    if missing:
        raise ShapebiasError(
            f"{len(missing):,} images of the store are not in {printable(str(listing.root))}, such as "
            f"{printable(missing[0], 100)}: say where they are with --images"
        )
    device = choose_device(settings.device, "highest")
    check_decoding(settings.decode, device)
    stored_text = f"than {spec.label} in the store"
    runner = stored_runner(store, spec, listing, device, layers=settings.layers, stored_text=stored_text)
    positions = np.array([by_path[path] for path in store.image_paths])
    return _Prepared(runner, Stream(listing, settings, device, progress), positions)


def _sample(store: Store, label: str, count: int) -> list[Unit]:
    """Return `count` different units of a model, others in every run; all of them where there are fewer."""
    names = [(name, index) for name, layer in store.layers(label).items() for index in range(layer.units)]
    rng = np.random.default_rng()
    return [Unit(label, *names[row]) for row in rng.permutation(len(names))[:count]]


def _measure(prepared: _Prepared, units: list[Unit]) -> dict[Unit, _PlainUnit]:
    """Return the results of one model's units over all images.

    Raises ShapebiasError where an image cannot be read, or the model has other layers than in the store.
    """
    runner, plain = prepared.runner, {unit: _PlainUnit() for unit in units}
    names = [layer.name for layer in runner.layers]
    layers = [(names.index(unit.layer), unit) for unit in units if unit.layer in names]
    if len(layers) < len(units):
        raise ShapebiasError(f"{units[0].model} has other layers than in the store: make the store again")

    def maps_of(pixels: Pixels) -> dict[Unit, NDArray[np.float64]]:
        maps: dict[Unit, NDArray[np.float64]] = {}

        def see(index: int, output: Tensor) -> None:
            for layer, unit in layers:
                if layer == index:
                    maps[unit] = output[:, unit.index].double().cpu().numpy()

        runner.forward(pixels, see)
        return maps

    title = f"{units[0].model}: computing again"
    for batch in prepared.stream.again(title, runner.geometry, prepared.positions):
        for part in in_parts(maps_of, batch.sent):
            for unit, maps in part.items():
                plain[unit].see(maps)
    return plain


def _precision(store: Store) -> Precision:
    """Return the precision in which a store was made, whose tolerances `_compare` allows; float32 where none is named.

    Even in float32, networks round differently on other machines, and with other batch sizes. Raises UsageError for a
    precision that this version does not know.
    """
    device, settings = (store.attributes.get(name) for name in ("device", "settings"))
    device_facts = device if isinstance(device, dict) and device else {}
    early = settings if isinstance(settings, dict) else {}
    name = str(device_facts.get("precision") or early.get("dtype") or "highest")
    return choose_precision(name, has_tf32=name == "tf32")


def _compare(store: Store, unit: Unit, plain: _PlainUnit, report: VerifyReport) -> None:
    """Add to `report` a line for every metric, and for the top images, in which the store differs from `plain`."""
    precision = _precision(store)
    tolerance = precision.tolerance
    expected = plain.metrics()
    scale = max(abs(expected["max"]), 1e-30)
    for name in set(expected) & set(store.metric_names(unit.model, unit.layer)):
        stored = float(store.metric(unit.model, unit.layer, name)[unit.index])
        unit_of_metric = {"sparsity": 1.0, "smoothness": 1.0, "tv": max(expected["tv"], scale)}.get(name, scale)
        allowed = (tolerance if name in ("max", "tv") else precision.of_means) * unit_of_metric
        if np.isnan(stored) and (name == "smoothness" or np.isnan(expected[name])):
            continue  # maps of one position have no smoothness, a unit without finite maps has no metrics
        if not abs(stored - expected[name]) <= allowed:
            report.add(str(unit), f"{name} is {stored:.6g} in the store and {expected[name]:.6g} computed again")
    top = store.top(unit)
    activation = np.array(plain.activation)
    best = np.sort(activation)[::-1][: len(top.value)]
    if (np.abs(top.value - best) > tolerance * scale).any():
        report.add(str(unit), "its top images' values are not the largest computed again")
    elif (np.abs(activation[top.image] - top.value) > tolerance * scale).any():
        report.add(str(unit), "its top images are not those with the largest activations computed again")
