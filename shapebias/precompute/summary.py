"""The summary at the end of a run, as text and as JSON."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from shapebias.core.files import Size
from shapebias.core.text import printable
from shapebias.precompute.images.image_set import Skipped
from shapebias.precompute.spending import Spending

_SHOWN_SKIPPED = 5


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """The summary of one model.

    top1, chance:  accuracy and its chance level, as fractions of `labelled` images; None where they are unknown
    classes:       how outputs were matched with the images' classes, or why they were not
    warning:       a problem of the accuracy; None where there is none
    shape_bias:    the shape bias with its counts: see `bias_record`; None without cue-conflict images
    distorted:     accuracy by distortion or variant, as fractions
    attribution:   how many `images` were explained, and the `seconds` of every method; None without that pass
    ood:           accuracy among categories by set of stimuli, as fractions

    Rates are in images per second: of the pass, and of the network alone.
    """

    label: str
    architecture: str
    top1: float | None
    chance: float | None
    layers: int
    units: int
    images: int
    images_per_second: float
    network_images_per_second: float
    preprocessing: str
    labelled: int = 0
    classes: str = ""
    warning: str | None = None
    notes: list[str] = field(default_factory=list)
    shape_bias: dict[str, Any] | None = None
    distorted: dict[str, float] = field(default_factory=dict)
    attribution: dict[str, Any] | None = None
    ood: dict[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the lines of text about the model."""
        share = self.images_per_second / self.network_images_per_second
        accuracy = f"unknown: {self.classes}"
        if self.top1 is not None:
            images = f"{self.images:,}" if self.labelled == self.images else f"{self.labelled:,} of {self.images:,}"
            accuracy = f"{self.top1:.1%} ({images} images, classes {self.classes})"
        lines = [
            f"{self.label} ({self.architecture})",
            f"  top-1 accuracy  {accuracy}",
            f"  units           {self.units:,} in {self.layers} layers",
            f"  speed           {self.images_per_second:.1f} images/s, {share:.2f} of the network alone "
            f"({self.network_images_per_second:.1f})",
            f"  preprocessing   {self.preprocessing}",
        ]
        if self.shape_bias is not None:
            lines.append(f"  shape bias      {_bias_text(self.shape_bias)}")
        if self.distorted:
            accuracies = ", ".join(f"{name} {accuracy:.0%}" for name, accuracy in self.distorted.items())
            lines.append(f"  accuracy of     {accuracies}")
        if self.attribution is not None:
            seconds = ", ".join(f"{method} {seconds:.1f} s" for method, seconds in self.attribution["seconds"].items())
            lines.append(f"  attribution     {self.attribution['images']:,} images: {seconds}")
        if self.ood:
            accuracies = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in self.ood.items())
            lines.append(f"  OOD accuracy    {accuracies}")
        lines += [f"  note: {note}" for note in self.notes]
        if self.warning is not None:
            lines.append(f"  warning: {self.warning}")
        return lines

    def remarks(self) -> list[str]:
        """Return the lines about the model that the store keeps: how classes were matched, the notes, the warning."""
        rule = f"top-1 accuracy unknown: {self.classes}" if self.top1 is None else f"classes {self.classes}"
        return [rule, *self.notes, *([f"warning: {self.warning}"] if self.warning is not None else [])]


def _bias_text(bias: dict[str, Any]) -> str:
    """Return a shape bias (see `bias_record`) and the counts that it is computed from, in words."""
    counts = f"{bias['shape']} shape, {bias['texture']} texture, {bias['other']} other, {bias['stimuli']} stimuli"
    return f"undefined ({counts})" if bias["shape_bias"] is None else f"{bias['shape_bias']:.3f} ({counts})"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The summary of a finished run.

    size:        that of the store
    images:      how many probe images were used
    seconds:     the time that the run took
    skipped:     the probe images that were left out, with the reasons
    annotation:  lines about annotations that could not be used
    notes:       remarks on how the run went
    spending:    how the time was spent; None where several processes worked, or an earlier run was continued
    """

    store: str
    size: Size
    device: str
    images: int
    seconds: float
    models: list[ModelSummary]
    skipped: list[Skipped]
    annotation: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spending: Spending | None = None

    def text(self) -> str:
        """Return the summary as several lines of text."""
        lines = [line for model in self.models for line in model.lines()]
        lines.append(f"{self.images:,} images in {self.seconds:.1f} s on {self.device}")
        if self.spending is not None:
            lines.append(self.spending.text())
        if self.skipped:
            counts = Counter(image.reason for image in self.skipped)
            reasons = "; ".join(f"{reason} ({count:,})" for reason, count in counts.most_common(8))
            lines.append(f"{len(self.skipped):,} images skipped: {reasons}")
            lines += [f"  {printable(image.path, 80)}: {image.reason}" for image in self.skipped[:_SHOWN_SKIPPED]]
            if len(self.skipped) > _SHOWN_SKIPPED:
                lines.append("  … all of them: shapebias info --json")
        lines += [f"annotation: {line}" for line in self.annotation]
        lines += [f"note: {line}" for line in self.notes]
        lines.append(f"{printable(self.store)}: {self.size}")
        lines.append(f"look at it: shapebias explore {printable(self.store)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON, for scripts: `precompute --json` prints it as its last line."""
        return {
            "store": printable(self.store, 4096),
            "store_bytes": self.size.bytes,
            "store_disk_bytes": self.size.disk_bytes,
            "store_files": self.size.files,
            "device": self.device,
            "images": self.images,
            "seconds": self.seconds,
            "spending": None if self.spending is None else asdict(self.spending),
            "models": [asdict(model) for model in self.models],
            "annotation": self.annotation,
            "notes": self.notes,
            "skipped": [{"path": printable(image.path, 4096), "reason": image.reason} for image in self.skipped],
        }
