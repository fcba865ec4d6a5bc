"""`shapebias.measure`: the statistics of a network over any batches of images, in memory, without a store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.api.table import Table
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.metrics import in_order
from shapebias.core.text import printable
from shapebias.core.units.filter import select_units
from shapebias.core.units.table import UnitTable, unit_columns
from shapebias.precompute.device import choose_device, device_of
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.measures.activation import ActivationPass, StatisticsPlan
from shapebias.precompute.models.load import in_memory_spec, load_model
from shapebias.precompute.models.preprocessing import Preprocessing
from shapebias.precompute.runner import Runner, prepare
from shapebias.precompute.statistics.diversity import class_diversity
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.statistics.variation import filter_smoothness

_NO_IMAGES = ImageSet(root="", paths=[], labels=np.zeros(0, np.int32))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of `measure`: statistics and top images of every unit of the watched layers.

    images:  the number of images that were run
    notes:   remarks on the network and its layers, one line each

        >>> measured
        <Measurement of Sequential: 12 units in 1 layer, 20 images>
        >>> measured.layers
        ['1']
    """

    images: int
    notes: list[str]
    _table: UnitTable
    _tops: dict[str, TopKResult]

    @property
    def layers(self) -> list[str]:
        """The names of the layers."""
        return list(self._tops)

    def units(self, condition: str = "", *, sort: str | None = None, ascending: bool = False) -> Table:
        """Return the units that a condition selects, with every metric, sorted as by `Store.units`; rows are
        dictionaries.

        Raises UsageError where the condition is wrong or there is no such metric.

        >>> units = measured.units("max > 0", sort="smoothness")
        >>> units.columns[:4]
        ['model', 'layer', 'unit', 'smoothness']
        """
        return Table(unit_columns(select_units(self._table, condition, sort, ascending)))

    def top_images(self, layer: str, unit: int) -> Table:
        """Return the images for which a unit's largest activation is highest, the strongest first.

        Their columns are the number of the image in the order in which images came, from 0; the largest value of the
        unit's map; and the row and the column of the map where it is. Raises UsageError where there is no such layer
        or unit.

            >>> measured.top_images("1", 0).columns
            ['image', 'value', 'y', 'x']
        """
        if layer not in self._tops:
            raise UsageError(f"no layer {printable(layer)}: there are {printable(', '.join(self._tops), 300)}")
        top = self._tops[layer]
        if not 0 <= unit < len(top.image):
            raise UsageError(f"{printable(layer)} has units 0 to {len(top.image) - 1}, not {unit}")
        filled = top.image[unit] >= 0
        y, x = np.divmod(top.position[unit][filled], top.map.shape[3])
        return Table({"image": top.image[unit][filled], "value": top.value[unit][filled], "y": y, "x": x})

    def __repr__(self) -> str:
        layers = f"{len(self._tops)} layer{'' if len(self._tops) == 1 else 's'}"
        model = printable(self._table.layers[0][0], 60)
        return f"<Measurement of {model}: {len(self._table):,} units in {layers}, {self.images:,} images>"


@dataclass(frozen=True)
class _Batch:
    """Images [B, 3, H, W] as the network takes them, and their classes, int64 [B], -1 for none."""

    images: Tensor
    labels: NDArray[np.int64]


def measure(
    net: nn.Module,
    loader: Iterable[Any],
    *,
    layers: str | Sequence[str] = "paper",
    images: int | None = None,
    classes: int | None = None,
    top: int = 25,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
) -> Measurement:
    """Run batches through a network and return the statistics of its units, without writing anything to the disk.

    net:        the network; a copy of it is run in eval mode, so that it stays as it is
    loader:     gives batches, float [B, 3, H, W], normalised as the network takes them, or pairs (batch, labels) as a
                DataLoader does. Labels are the numbers of classes, int [B], from 0; two metrics need them, selectivity
                and class diversity
    layers:     the layers to watch, as `--layers`: "paper", "all", or names and globs
    images:     the largest number of images that the loader gives; needed where the loader has no length
    classes:    the number of classes that labels can name; by default, the number of the network's outputs
    top:        the number of top images to keep for every unit
    device:     the device to run on, such as "cpu" or "cuda:1"; "auto" is the network's own GPU, else any GPU that
                there is, else the CPU
    precision:  as `--precision`
    seed:       the seed of everything random

    The numbers are those that a store holds after its activation pass over the same images in the same order. Raises
    UsageError where an argument or a batch does not fit, and ShapebiasError where the network fails.

        >>> import shapebias, torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 12, 3), torch.nn.ReLU())
        >>> measured = shapebias.measure(net, [torch.rand(10, 3, 32, 32) for _ in range(2)], layers=["1"])
        >>> len(measured.units())
        12
    """
    batches = map(_read_batch, loader)
    first = next(batches, None)
    if first is None:
        raise UsageError("the loader gives no batch: give batches [B, 3, H, W], or pairs of such and labels")
    planned = _planned(loader, len(first.images)) if images is None else images
    label = type(net).__name__
    request = layers if isinstance(layers, str) else ",".join(layers)
    runner = _runner(net, first.images, device=device, precision=precision, layers=request)
    plan = StatisticsPlan(top, planned, _classes(first, classes, runner), seed)
    activation = ActivationPass(runner.network, runner.layers, runner.device, plan)
    count, labels = 0, []
    for batch in chain([first], batches):
        count += len(batch.images)
        if count > planned:
            raise UsageError(f"the loader gives more than {planned:,} images: say how many with images=")
        if batch.labels.max(initial=-1) >= max(plan.classes, 1) and plan.classes:
            raise UsageError(f"a label is {batch.labels.max()}, of {plan.classes} classes: say how many with classes=")
        positions = np.arange(count - len(batch.images), count)
        with runner.guarded():
            activation.run(batch.images.to(runner.device.device), positions, batch.labels)
        labels.append(batch.labels)
    return _measurement(label, runner, activation, np.concatenate(labels), plan)


def _read_batch(batch: Any) -> _Batch:
    """Return what a loader gave as a batch. Raises UsageError where it does not hold images.

    What is not one whole number for each image does not count as labels.
    """
    images, labels = (batch[0], batch[1]) if isinstance(batch, list | tuple) and len(batch) > 1 else (batch, None)
    images = images[0] if isinstance(images, list | tuple) and images else images
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(images)
    if not isinstance(images, Tensor) or images.ndim != 4 or not len(images):
        kind = tuple(images.shape) if isinstance(images, Tensor) else printable(type(images).__name__, 60)
        raise UsageError(f"the loader gives {kind}: give batches [B, 3, H, W], or pairs of such and labels")
    given = torch.as_tensor(labels).cpu().numpy() if isinstance(labels, Tensor | np.ndarray) else None
    if given is None or given.shape != (len(images),) or given.dtype.kind not in "iu":
        given = np.full(len(images), -1)
    return _Batch(images, given.astype(np.int64))


def _planned(loader: Iterable[Any], batch: int) -> int:
    """Return the largest number of images that a loader can give, if no batch is larger than `batch`.

    Raises UsageError where the loader has no length.
    """
    try:
        batches = len(loader)  # type: ignore[arg-type]  # an Iterable may have no length: TypeError
    except TypeError:
        raise UsageError("the loader has no length: say how many images come at most with images=") from None
    return batches * batch


def _runner(net: nn.Module, images: Tensor, *, device: str, precision: str, layers: str) -> Runner:
    """Return a copy of the network that is ready to run, with the requested `layers` found by running two `images`.

    The other arguments are those of `measure`. Raises UsageError where `net` is no network, and where an argument does
    not fit.
    """
    if not isinstance(net, nn.Module):
        raise UsageError(f"a {printable(type(net).__name__, 60)} is not a network: give a torch.nn.Module")
    size = images.shape[-1]
    as_they_are = Preprocessing(Geometry(size, size), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "the batches")
    label = type(net).__name__
    model = load_model(in_memory_spec(label, net, as_they_are))
    network_device = device_of({label: net}) if device == "auto" else device
    sample = images[:2] if len(images) > 1 else images.repeat(2, 1, 1, 1)
    return prepare(model, _NO_IMAGES, choose_device(network_device, precision), layers, sample)


def _classes(batch: _Batch, classes: int | None, runner: Runner) -> int:
    """Return how many classes labels can name: `classes` if given, else the number of the network's outputs.

    It is 0 where the first batch has no labels. Raises UsageError where the network has no class scores.
    """
    if classes is not None or (batch.labels < 0).all():
        return classes or 0
    if runner.outputs is None:
        raise UsageError("the network gives no class scores: say how many classes labels tell apart with classes=")
    return runner.outputs


def _measurement(
    label: str, runner: Runner, activation: ActivationPass, labels: NDArray[np.int64], plan: StatisticsPlan
) -> Measurement:
    """Return the results of all layers' statistics.

    `label` becomes the model's name in the table; `labels`, int64 [images], are the classes of all images, -1 for none.
    Raises ShapebiasError where two layers have one name.
    """
    metrics: list[dict[str, NDArray[np.float32]]] = []
    tops: dict[str, TopKResult] = {}
    notes = list(runner.model.notes)
    for layer, statistics in zip(runner.layers, activation.statistics, strict=True):
        result = statistics.result()
        layer_metrics = dict(result.metrics)
        kernel = runner.trace.kernel(layer)
        if kernel is not None:
            layer_metrics["filter_smoothness"] = filter_smoothness(kernel.float().cpu().numpy())
        if plan.classes:
            layer_metrics["class_diversity"] = class_diversity(result.top.image, labels.astype(np.int32))
        if result.left_out:
            notes.append(f"{layer.name}: {result.left_out:,} maps held NaN or infinite values and were left out")
        metrics.append(layer_metrics)
        tops[layer.name] = result.top
    if len(tops) < len(metrics):
        raise ShapebiasError("two layers have the same name: choose layers with layers=")
    return Measurement(images=len(labels), notes=notes, _table=_unit_table(label, runner, metrics), _tops=tops)


def _unit_table(label: str, runner: Runner, metrics: list[dict[str, NDArray[np.float32]]]) -> UnitTable:
    """Return the unit table of the metrics of each layer, [units] by name; NaN where a layer lacks one."""
    sizes = [layer.units for layer in runner.layers]
    columns = {
        name: np.concatenate(
            [
                layer_metrics.get(name, np.full(units, np.nan, np.float32))
                for layer_metrics, units in zip(metrics, sizes, strict=True)
            ]
        )
        for name in in_order(name for layer_metrics in metrics for name in layer_metrics)
    }
    return UnitTable(
        [(label, layer.name) for layer in runner.layers],
        np.repeat(np.arange(len(sizes), dtype=np.int32), sizes),
        np.concatenate([np.arange(units, dtype=np.int32) for units in sizes]),
        columns,
    )
