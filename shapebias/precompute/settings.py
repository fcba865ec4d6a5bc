"""The settings of a `precompute` run."""

import ctypes
import hashlib
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shapebias.core.attribution.choice import Choice, parse_choices
from shapebias.core.concepts import IOU_AREAS, PUBLISHED
from shapebias.core.errors import UsageError
from shapebias.core.shape_bias.decisions import NATIVE, STIMULI
from shapebias.core.text import printable
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.images.distort import STANDARD, parse_distortion
from shapebias.precompute.images.versions import SILHOUETTE
from shapebias.precompute.models.spec import ModelSpec

# The passes that can be asked for, and what they measure.
PASSES = {
    "noise": "every unit's total variation on noisy images",
    "sensitivity": "what each unit's top images lose without colour, without shape, with noise, and mirrored (control)",
    "distortions": "accuracy without shape, without texture, with less detail",
    "dissection": "which concept each unit detects",
    "ablation": "cue-conflict decisions that each unit is responsible for, found by setting it to zero",
    "attribution": "where each network looks in some of the images, by attribution methods",
}
_BY_NAME_ONLY = ("ablation", "attribution")  # these take minutes, others take seconds: not in `all`

ENGINES = ("local", "ray")
EXACT, FAST, GPU = "exact", "fast", "gpu"
DECODINGS = (EXACT, FAST, GPU)  # how JPEGs are decoded: in full, large ones at a fraction of their size, or by the GPU
NO_TF32 = "--precision tf32 needs a GPU of NVIDIA's Ampere generation or later: use highest"
NO_GPU_DECODING = "--decode gpu needs an NVIDIA GPU: use --decode fast"
PRECISIONS = ("highest", "tf32", "bf16", "fp16")
EARLIER_PRECISIONS = {"float32": "highest", "bfloat16": "bf16", "float16": "fp16"}  # names for `--dtype`, and in stores
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
PREDICTED, LABEL = TARGETS = ("predicted", "label")  # which output attribution explains
# The methods of the attribution pass that take little time: its default.
CHEAP = "gradient,input-x-gradient,smoothgrad,integrated-gradients,gradient-shap,cam,grad-cam,random,center,edges"
_LEAST = {  # limits of numbers: the command line checks them itself, but Python programs may pass others
    **dict.fromkeys(("top", "limit", "batch_size", "memory", "shard_size", "ray_workers"), 1),
    **dict.fromkeys(("seed", "workers", "gpus_per_worker"), 0),
}
# Which kinds of activations are stored for each image and unit, by the value of --activations.
ACTIVATIONS = {"none": (), "max": ("max",), "all": ("max", "mean")}


# The default distortions for the built-in networks, chosen so that two cores need a minute and a half.
SHAPE_OR_TEXTURE = (SILHOUETTE, "contour", "shuffle-2", "shuffle-4", "shuffle-8", "grey", "noise")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run: see `shapebias precompute --help`.

    `images`, `cue_conflict` and the like: see `images.sources.find.find_images`. None stands for what is chosen
    automatically (`batch_size`, `workers`, `memory`, `shard_size`, `ray_workers`), for no limit, or for what the user
    does not name.

    Raises UsageError for a value that is unknown or out of range, and for an option of a pass that is not among
    `passes`.
    """

    models: list[ModelSpec]
    images: str
    store: Path
    labels: Path | None = None  # file that names the images' classes
    layers: str = "paper"
    top: int = 25
    limit: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    precision: str = "auto"
    workers: int | None = None
    decode: str = EXACT
    seed: int = 0
    overwrite: bool = False
    passes: tuple[str, ...] = ()
    noise_std: tuple[float, ...] = (0.1,)
    distortions: tuple[str, ...] = (SILHOUETTE, *STANDARD)
    variants: tuple[tuple[str, str], ...] = ()  # (name, folder)
    stylized: str | None = None
    attacks: tuple[Attack, ...] = ()
    cue_conflict: str | None = None
    ood: tuple[tuple[str, str], ...] = ()  # (name, images) of each set of stimuli
    stimuli: str = NATIVE  # how stimuli are prepared: unchanged, or as any other image
    categories: Path | None = None
    broden: Path | None = None
    embedding: ModelSpec | None = None  # network that gives the embeddings of visual diversity, in place of the models
    iou_area: str = PUBLISHED
    memory: int | None = None  # MB that the ablation pass may use; see `bytes_to_use`
    ablate_accuracy: bool = False
    attribution: tuple[Choice, ...] = parse_choices(CHEAP)  # methods of the attribution pass
    attribution_images: int = 64
    attribution_target: str = PREDICTED
    attribution_steps: int = 112  # steps of insertion and deletion; 0: not measured
    boxes: Path | None = None  # folder or table of boxes around objects, to score maps with
    activations: str = "all"  # activations that are stored for each image: none, max, or all (max and mean)
    shard_size: int | None = None
    restart: bool = False
    engine: str = "local"
    ray_workers: int | None = None
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    mix_gpus: bool = False  # whether GPUs of different kinds may measure one store

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} must be at least {least}, not {value}")
        unknown = [name for name in self.passes if name not in PASSES]
        if unknown:
            raise UsageError(f"no pass {printable(unknown[0])}: there are {', '.join(PASSES)}, or all, or none")
        if "ablation" in self.passes and self.cue_conflict is None:
            raise UsageError("the ablation pass needs cue-conflict images: name them with --cue-conflict DIR")
        if self.ablate_accuracy and "ablation" not in self.passes:
            raise UsageError("--ablate-accuracy needs the ablation pass: add --passes ablation")
        if self.boxes is not None and "attribution" not in self.passes:
            raise UsageError("--boxes needs the attribution pass: add --passes attribution")
        if self.attribution_target not in TARGETS:
            raise UsageError(
                f"no --attribution-target {printable(self.attribution_target)}: there are {', '.join(TARGETS)}"
            )
        if self.activations not in ACTIVATIONS:
            raise UsageError(f"no --activations {printable(self.activations)}: there are {', '.join(ACTIVATIONS)}")
        if self.stimuli not in STIMULI:
            raise UsageError(f"no --stimuli {printable(self.stimuli)}: there are {', '.join(STIMULI)}")
        if self.iou_area not in IOU_AREAS:
            raise UsageError(f"no --iou-area {printable(self.iou_area)}: there are {', '.join(IOU_AREAS)}")
        if not _DEVICE.fullmatch(self.device):
            raise UsageError(f"no --device {printable(self.device)}: there are auto, cpu, cuda or cuda:N")
        if self.precision not in ("auto", *PRECISIONS, *EARLIER_PRECISIONS):
            raise UsageError(f"no --precision {printable(self.precision)}: there are auto, {', '.join(PRECISIONS)}")
        if self.decode not in DECODINGS:
            raise UsageError(f"no --decode {printable(self.decode)}: there are {', '.join(DECODINGS)}")
        if self.engine not in ENGINES:
            raise UsageError(f"no --engine {printable(self.engine)}: there are {', '.join(ENGINES)}")
        for std in self.noise_std:
            if not 0.001 <= std <= 10:
                raise UsageError(
                    f"--noise-std {std:g}: write a standard deviation from 0.001 to 10, for pixels in [0, 1]"
                )
        for name in self.distortions:
            if name != SILHOUETTE:
                parse_distortion(name)

    @property
    def dissects(self) -> bool:
        """Whether units are dissected, on a Broden folder or else on the probe images."""
        return self.broden is not None or "dissection" in self.passes

    @property
    def noises(self) -> tuple[str, ...]:
        """The names of the noise pass's distortions, such as `noise-0.1`, each once; empty without that pass."""
        strengths = self.noise_std if "noise" in self.passes else ()
        return tuple(dict.fromkeys(f"noise-{std:.4g}" for std in strengths))

    def identity(self) -> dict[str, Any]:
        """Return everything that a run's results depend on, ready for JSON: an unfinished run can be continued if it is
        equal.
        """
        return self.to_attributes() | {"batch_size": self.batch_size, "shard_size": self.shard_size}

    def file_digests(self) -> dict[str, str]:
        """Return the SHA-256 of the files that define networks, classes and categories, by the files' paths.

        Raises OSError where one cannot be read.
        """
        specs = [*self.models, *([self.embedding] if self.embedding is not None else [])]
        code = [spec.source.rpartition(":")[0] for spec in specs]
        named = [*(Path(path) for path in code if path.endswith(".py")), *(spec.classes for spec in specs)]
        files = [file for file in (*named, self.categories) if file is not None]
        return {printable(str(file), 4096): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def to_attributes(self) -> dict[str, Any]:
        """Return the fields that results depend on by name, ready for JSON, for the store.

        Those of passes that are not run are None, empty or left out. `report` reconstructs a run's command from them.
        """
        return {
            "models": [str(spec) for spec in self.models],
            "images": printable(self.images, 4096),
            "labels": None if self.labels is None else printable(str(self.labels), 4096),
            "layers": self.layers,
            "top": self.top,
            "limit": self.limit,
            "precision": self.precision,
            "decode": self.decode,
            "activations": self.activations,
            "seed": self.seed,
            "passes": list(self.passes),
            "noise_std": list(self.noise_std) if "noise" in self.passes else [],
            "distortions": list(self.distortions) if "distortions" in self.passes else [],
            "stylized": self.stylized,
            "variants": [list(variant) for variant in self.variants],
            "cue_conflict": None if self.cue_conflict is None else printable(self.cue_conflict, 4096),
            "ood": [list(named) for named in self.ood],
            "embedding": None if self.embedding is None else printable(str(self.embedding), 4096),
            "stimuli": self.stimuli if self.cue_conflict is not None or self.ood else None,
            "categories": None if self.categories is None else printable(str(self.categories), 4096),
            "broden": None if self.broden is None else printable(str(self.broden), 4096),
            "iou_area": self.iou_area if self.dissects else None,
            "ablate_accuracy": self.ablate_accuracy,
            "attacks": [asdict(attack) for attack in self.attacks],
            **self._attribution(),
        }

    def _attribution(self) -> dict[str, Any]:
        """Return the settings of the attribution pass; empty without that pass."""
        if "attribution" not in self.passes:
            return {}
        return {
            "attribution": [choice.to_attributes() for choice in self.attribution],
            "attribution_images": self.attribution_images,
            "attribution_target": self.attribution_target,
            "attribution_steps": self.attribution_steps,
            "boxes": None if self.boxes is None else printable(str(self.boxes), 4096),
        }


def parse_passes(text: str) -> tuple[str, ...]:
    """Return the passes that a text names: `none`, or names separated by commas, in any order.

    `all` stands for all but those that take minutes. Raises UsageError for an unknown pass.
    """
    names = [] if text == "none" else [name.strip() for name in text.split(",") if name.strip()]
    if "all" in names:
        names = [*(name for name in PASSES if name not in _BY_NAME_ONLY), *(name for name in names if name != "all")]
    for name in names:
        if name not in PASSES:
            raise UsageError(f"no pass {printable(name)}: there are {', '.join(PASSES)}, or all, or none")
    return tuple(name for name in PASSES if name in names)


def check_gpu(settings: Settings) -> None:
    """Raise UsageError where the settings need a GPU, and this machine has no driver for one.

    PyTorch is not imported for it, so that a mistake is told before the seconds that this takes. Ray's workers may be
    on other machines.
    """
    if settings.engine == "ray" or (settings.device != "cpu" and _has_driver()):
        return
    if settings.device.startswith("cuda"):
        raise UsageError(f"--device {settings.device} cannot be used here: no NVIDIA driver was found")
    if settings.precision == "tf32":
        raise UsageError(NO_TF32)
    if settings.decode == GPU:
        raise UsageError(NO_GPU_DECODING)


def _has_driver() -> bool:
    """Return whether a driver for a GPU may be here: on Linux NVIDIA's library, or AMD's device (PyTorch calls both
    cuda).
    """
    if sys.platform != "linux" or Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
