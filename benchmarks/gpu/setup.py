"""Shared by the sections of the GPU check: the device, the sizes, and the record of the results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.photos import write_photos
from shapebias.precompute.device import Device, choose_device


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of the sections' work.

    photos:          count, width and height of each kind of JPEG
    processes:       how many write them
    maps:            units and side of each layer of section B, and how many images there are of them, in which batches
    pair:            the built-in networks of section C
    pair_layers:     their layers, as `--layers` has them
    pair_images:     how many probe images they see, and as many cue-conflict images
    trained_on:      how many images the epoch has
    network:         of torchvision, for sections C, D, F and G
    network_layers:  of all networks of torchvision
    network_images:  how many images it sees in section C
    batch:           images in a forward
    batches:         how many batches a measurement of speed takes
    networks:        of section E
    ablated:         images in the measurement of ablation
    workers:         how many processes decode in section F
    patience:        what the sections' budgets are multiplied by
    """

    photos: tuple[tuple[int, int, int], ...]
    processes: int
    maps: tuple[tuple[int, int], ...]
    map_images: int
    map_batch: int
    pair: tuple[str, ...]
    pair_layers: str
    pair_images: int
    trained_on: int
    network: str
    network_layers: str
    network_images: int
    batch: int
    batches: int
    networks: tuple[str, ...]
    ablated: int
    workers: tuple[int, ...]
    patience: float


FULL = Sizes(
    photos=((4096, 500, 375), (256, 2048, 1536)),
    processes=16,
    maps=((64, 55), (192, 27), (256, 14), (512, 7), (2048, 1)),
    map_images=192,
    map_batch=48,
    pair=("demo-s", "demo-r"),
    pair_layers="paper",
    pair_images=128,
    trained_on=512,
    network="resnet50",
    network_layers="paper",
    network_images=64,
    batch=256,
    batches=4,
    networks=("alexnet", "resnet50", "convnext_tiny"),
    ablated=8,
    workers=(8, 12, 16),
    patience=1,
)
SMALL = Sizes(
    photos=((14, 500, 375), (2, 1024, 768)),
    processes=2,
    maps=((12, 13), (10, 7), (24, 1)),
    map_images=24,
    map_batch=8,
    pair=("demo-r",),
    pair_layers="conv4,conv5",
    pair_images=8,
    trained_on=32,
    network="resnet18",
    network_layers="layer4",
    network_images=4,
    batch=2,
    batches=2,
    networks=("resnet18",),
    ablated=1,
    workers=(1, 2),
    patience=10,
)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The settings that a section is run with.

    kind:           the device that is measured and compared with the CPU: cuda or cpu
    folder:         for files that may be large
    has_allocator:  whether the device's memory is that of PyTorch's CUDA allocator, which can be limited and asked
    """

    kind: str
    folder: Path
    sizes: Sizes
    has_allocator: bool

    @property
    def is_cuda(self) -> bool:
        return self.kind == "cuda"

    @property
    def rounding(self) -> tuple[str, ...]:
        """The names of the precisions beside `highest` that the device has and the check compares."""
        return ("tf32", "bf16") if self.device("auto").precision.tf32 else ("bf16",)

    @property
    def fast(self) -> tuple[str, ...]:
        """The names of the precisions whose speed is measured."""
        return self.rounding if self.is_cuda else ("highest",)

    def device(self, precision: str) -> Device:
        """Return the device with this precision, a value of `--precision`."""
        return choose_device(self.kind, precision)

    def photos(self) -> Path:
        """Return the folder of all JPEGs, written first where they are not there yet."""
        folder = self.folder / "photos"
        if not folder.exists():
            write_photos(folder, self.sizes.photos, self.sizes.processes)
        return folder


@dataclass
class Record:
    """The result of a section of the check.

    budget, seconds:  how long the section may take, and how long it took
    strict_speed:     whether a speed below its target is a violation
    measured:         numbers by name
    absent:           why something could not be measured, by its name
    violations:       lines on what is not as it must be
    """

    section: str
    title: str
    budget: float
    strict_speed: bool = False
    seconds: float = 0.0
    measured: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def check(self, holds: bool, violation: str) -> None:
        """Note the line `violation` unless `holds`."""
        if not holds:
            self.violations.append(violation)

    def check_speed(self, name: str, share: float, target: float) -> None:
        """Note a speed, as a share of another, beside its target; with `strict_speed` it is a violation to miss it."""
        self.measured[name] = {"share": round(share, 3), "target": target}
        if self.strict_speed:
            self.check(share >= target, f"{name}: {share:.2f}, not {target:g}")


@dataclass(frozen=True)
class ReportSection:
    """A part of the check: its letter, its title, the seconds that it may take, and what does it."""

    letter: str
    title: str
    seconds: float
    run: Callable[[Setup, Record], None]
