"""What the user writes after `--model`: `[LABEL=]SOURCE[@CHECKPOINT]` and options, such as `,preprocess=NAME`."""

import re
from dataclasses import dataclass
from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.store.schema import LABEL_PATTERN
from shapebias.core.text import printable
from shapebias.precompute.models.preprocessing import NORMALIZATIONS

PAIR = ("demo-s", "demo-r")  # networks that come with the program: standard, and trained against attacks
_LABELLED = re.compile(r"(?P<label>[^=:/\\@]+)=(?P<rest>.+)", re.DOTALL)
_OPTION = re.compile(r",(?=(?:preprocess|classes|output)=)")


@dataclass(frozen=True)
class ModelSpec:
    """A network by its source and, where given, its weights.

    The source is a name, `timm:NAME`, `FILE.py:FUNCTION`, `module:FUNCTION`, or a `FILE.safetensors` that says what it
    holds. `preprocess` is a name in `NORMALIZATIONS`; `classes` a file for `read_classes`; `output` names the
    class scores where the network returns several tensors.
    """

    label: str
    source: str
    checkpoint: Path | None
    preprocess: str | None = None
    classes: Path | None = None
    output: str | None = None


def parse_spec(text: str) -> ModelSpec:
    """Reads `[LABEL=]SOURCE[@CHECKPOINT]` and its options. Without a label it is the source's function, name, or stem.

    Raises UsageError for an empty source or checkpoint, an option without a value or of an unknown one, or a label that
    could not name a model in a store.
    """
    plain, *options = _OPTION.split(text)
    preprocess, classes, output = _options(text, options)
    labelled = _LABELLED.fullmatch(plain)
    rest = labelled["rest"] if labelled else plain
    source, at, checkpoint = rest.rpartition("@")
    if not at:
        source, checkpoint = rest, ""
    if not source or (at and not checkpoint):
        raise UsageError(f"--model {printable(text)}: write [LABEL=]SOURCE[@CHECKPOINT], such as AlexNet=alexnet@a.pth")
    if labelled:
        label = labelled["label"]
    else:
        name, colon, function = source.rpartition(":")
        if source.endswith(".safetensors"):
            label = Path(source).stem
        else:
            label = (Path(name).stem if function == "build" else function) if colon else source
        label = re.sub(r"[^A-Za-z0-9._+-]", "-", label).lstrip("._+-") or "model"
    if not LABEL_PATTERN.fullmatch(label):
        raise UsageError(
            f"--model {printable(text)}: a label holds letters, digits, space and . _ + - and starts with a "
            "letter or digit"
        )
    return ModelSpec(label, source, Path(checkpoint) if checkpoint else None, preprocess, classes, output)


def _options(text: str, options: list[str]) -> tuple[str | None, Path | None, str | None]:
    """`preprocess=NAME`, `classes=FILE` and `output=NAME`, each once at most."""
    found: dict[str, str] = {}
    for option in options:
        name, _, value = option.partition("=")
        if not value or name in found:
            raise UsageError(f"--model {printable(text)}: write {name}=VALUE once, after the checkpoint")
        found[name] = value
    preprocess, classes = found.get("preprocess"), found.get("classes")
    if preprocess is not None and preprocess not in NORMALIZATIONS:
        raise UsageError(f"no preprocess={printable(preprocess)}: there are {', '.join(NORMALIZATIONS)}")
    return preprocess, Path(classes) if classes else None, found.get("output")


def check_files(specs: list[ModelSpec]) -> None:
    """Raise UsageError where a file that a spec names does not exist."""
    for spec in specs:
        file, colon, _ = spec.source.rpartition(":")
        code = [Path(file)] if colon and file.endswith(".py") else []
        weights = [Path(spec.source)] if spec.source.endswith(".safetensors") else []
        for path in (*code, *weights, *([spec.classes] if spec.classes is not None else [])):
            if not path.is_file():
                raise UsageError(f"{printable(str(path))} does not exist (from --model {printable(spec.source)})")
        if spec.checkpoint is not None and not spec.checkpoint.exists():
            raise UsageError(f"the checkpoint {printable(str(spec.checkpoint))} does not exist")


def parse_specs(texts: list[str]) -> list[ModelSpec]:
    """Reads several; two of the same label are a UsageError."""
    specs = [parse_spec(text) for text in texts]
    labels = [spec.label for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"two models are called {label}: give them labels, such as --model A={label}")
    return specs
