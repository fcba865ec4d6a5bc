"""The settings and the summary of a training run."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.device import Device
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.models.own import SMALL
from shapebias.precompute.models.trained import SUFFIX
from shapebias.precompute.training.checkpoint import describe

_RECIPE = (
    "architecture",
    "epochs",
    "batch_size",
    "learning_rate",
    "momentum",
    "weight_decay",
    "seed",
    "held_out",
    "flip",
    "shift",
)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The settings of a training run; see `shapebias train --help`.

    `output` is the file of the weights. `attack` None is standard training. `precision` auto is bfloat16 on a GPU,
    float32 on a CPU. `workers` is the number of processes that decode images, None for as many as are useful.
    """

    images: ImageSet
    output: Path
    architecture: str = SMALL
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.1
    attack: Attack | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    workers: int | None = None
    held_out: float = 0.1
    flip: bool = False
    shift: int = 0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    overwrite: bool = False

    def check(self) -> None:
        """Check the values. Raises UsageError for one out of range, and for an output that cannot be written."""
        if self.output.suffix != SUFFIX:
            raise UsageError(f"--output {printable(str(self.output))}: name a {SUFFIX} file")
        if self.epochs < 1 or self.batch_size < 2:
            raise UsageError("training needs at least 1 epoch, and batches of at least 2 images")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"the learning rate must be above 0, not {self.learning_rate:g}")
        if not 0 <= self.held_out < 1:
            raise UsageError(f"the held-out fraction must be in [0, 1), not {self.held_out:g}")
        if not self.output.absolute().parent.is_dir():
            raise UsageError(f"no folder {printable(str(self.output.absolute().parent))}: make it first")

    def recipe(self, device: Device) -> dict[str, Any]:
        """Return all settings that the trained weights depend on, by name, ready for JSON.

        They are written into the file of the weights. A checkpoint is only continued if it has the same ones.
        `device` is the device to train on; its float type is among them.
        """
        recipe: dict[str, Any] = {name: getattr(self, name) for name in _RECIPE}
        recipe["attack"] = self.attack.to_attributes() if self.attack else None
        recipe["dtype"] = str(device.dtype).removeprefix("torch.")
        recipe["images"] = len(self.images)
        recipe["images_sha256"] = describe(self.images)
        return recipe


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The results of an epoch; its `number` counts from 1.

    `loss` (cross entropy) and `train_accuracy` are means over the images learned from, as the network saw them
    (attacked or not). `accuracy` and `robust_accuracy` are of held-out images, None if not measured. Accuracies are in
    [0, 1].
    """

    number: int
    loss: float
    train_accuracy: float
    accuracy: float | None
    robust_accuracy: float | None
    seconds: float

    def __str__(self) -> str:
        parts = [f"loss {self.loss:.3f}", f"training accuracy {self.train_accuracy:.1%}"]
        parts += [f"accuracy {self.accuracy:.1%}"] if self.accuracy is not None else []
        parts += [f"robust accuracy {self.robust_accuracy:.1%}"] if self.robust_accuracy is not None else []
        return f"epoch {self.number}: {', '.join(parts)} ({self.seconds:.0f} s)"


@dataclass(kw_only=True)
class TrainingSummary:
    """The summary of a training run.

    bytes:       the size of the file `output`
    parameters:  the number of weights
    images:      the number of images, with those that were held out
    resumed:     how many of the epochs an earlier run had done
    """

    output: Path
    bytes: int
    parameters: int
    device: str
    images: int
    epochs: list[Epoch]
    resumed: int
    skipped: list[Skipped] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON, for scripts."""
        facts = {key: value for key, value in vars(self).items() if key not in ("output", "skipped", "epochs")}
        skipped = [{"path": printable(image.path), "reason": image.reason} for image in self.skipped]
        epochs = [asdict(epoch) for epoch in self.epochs]
        return {"output": printable(str(self.output)), **facts, "epochs": epochs, "skipped": skipped}

    def text(self) -> str:
        """Return two lines for the user."""
        seconds = sum(epoch.seconds for epoch in self.epochs)
        skipped = f", {len(self.skipped)} images skipped" if self.skipped else ""
        return (
            f"{self.images} images, {len(self.epochs)} epochs in {seconds:.0f} s on {self.device}{skipped}\n"
            f"{printable(str(self.output))}: {self.parameters:,} weights, {self.bytes / 1e6:.2f} MB"
        )
