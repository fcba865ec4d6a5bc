"""The text after `--model`: `[LABEL=]SOURCE[@CHECKPOINT]` and options, such as `,preprocess=NAME`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.paper import DEMO_PAIR, PHOTO_PAIR
from shapebias.core.store.schema import LABEL_PATTERN
from shapebias.core.text import printable
from shapebias.precompute.models.preprocessing import NORMALIZATIONS

PAIR = DEMO_PAIR  # networks that come with the program: standard, and trained against attacks
OWN_NAMES = ("small", "photo")  # architectures that come with it; `own/`, which makes them, imports PyTorch
BUILT_IN = dict.fromkeys(DEMO_PAIR, "small") | dict.fromkeys(PHOTO_PAIR, "photo")  # with their architectures
TIMM_IS_MISSING = "timm:NAME needs timm: pip install 'shapebias[timm]'"
_CLASSIFIERS = Path(__file__).with_name("torchvision_names.txt")  # torchvision's version, then its classifiers' names
_REGISTERED = re.compile(r"^@register_model\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)  # in timm's files
_LABELLED = re.compile(r"(?P<label>[^=:/\\@]+)=(?P<rest>.+)", re.DOTALL)
_CODE = re.compile(r"(?P<source>.+?\.py:[^@/]*)(?:@(?P<checkpoint>.*))?", re.DOTALL)
_OPTION = re.compile(r",(?=(?:preprocess|classes|output|weights)=)")


@dataclass(frozen=True)
class ModelSpec:
    """A network by its source and, where given, its weights.

    source:      a name, `timm:NAME`, `FILE.py:FUNCTION`, `module:FUNCTION`, or a `FILE.safetensors` that describes
                 itself
    preprocess:  a name in `NORMALIZATIONS`
    checkpoint:  the file with its weights; None: its own
    classes:     a file for `read_classes`
    output:      the name of the class scores where the network returns several tensors
    weights:     `ema`, `raw` or a key where the checkpoint holds several sets of weights
    """

    label: str
    source: str
    checkpoint: Path | None
    preprocess: str | None = None
    classes: Path | None = None
    output: str | None = None
    weights: str | None = None

    def __str__(self) -> str:
        """Return the text that the user could write after `--model`."""
        options = {"preprocess": self.preprocess, "classes": self.classes}
        return f"{self.label}={self.network}" + _written(options)

    @property
    def network(self) -> str:
        """The source, its checkpoint and the options that select tensors, as the user could write them."""
        file = "" if self.checkpoint is None else f"@{self.checkpoint}"
        return f"{self.source}{file}" + _written({"output": self.output, "weights": self.weights})


def _written(options: Mapping[str, object]) -> str:
    return "".join(f",{name}={value}" for name, value in options.items() if value is not None)


def parse_spec(text: str) -> ModelSpec:
    """Parse `[LABEL=]SOURCE[@CHECKPOINT]` and its options.

    The default label is the source's function, name, or stem. A `~` before a path is the home folder. Raises UsageError
    for an empty source or checkpoint, an unknown option or one without a value, or a label that could not name a model
    in a store.

    >>> spec = parse_spec("R=resnet50@robust.pt,preprocess=none")
    >>> spec.label, spec.source, spec.checkpoint.name, spec.preprocess
    ('R', 'resnet50', 'robust.pt', 'none')
    """
    plain, *options = _OPTION.split(text)
    chosen = _options(text, options)
    labelled = _LABELLED.fullmatch(plain)
    if labelled and _is_file(plain) and not _is_file(labelled["rest"]):
        labelled = None  # an = inside a folder's name
    source, checkpoint = _parts(labelled["rest"] if labelled else plain)
    if not source or checkpoint == "":
        raise UsageError(f"--model {printable(text)}: write [LABEL=]SOURCE[@CHECKPOINT], such as AlexNet=alexnet@a.pth")
    label = labelled["label"] if labelled else _usual_label(source)
    check_label(label, f"--model {printable(text)}")
    classes = chosen.get("classes")
    return ModelSpec(
        label=label,
        source=_at_home(source),
        checkpoint=None if checkpoint is None else Path(_at_home(checkpoint)),
        preprocess=chosen.get("preprocess"),
        classes=None if classes is None else Path(_at_home(classes)),
        output=chosen.get("output"),
        weights=chosen.get("weights"),
    )


def check_label(label: str, where: str) -> None:
    """Raise UsageError, whose text begins with `where`, for a label that could not name a model in a store."""
    if not LABEL_PATTERN.fullmatch(label):
        raise UsageError(f"{where}: a label holds letters, digits, space and . _ + - and starts with a letter or digit")


def _parts(text: str) -> tuple[str, str | None]:
    """Return the source and the checkpoint in a spec's text; the checkpoint is None where the text names none.

    An @ inside the name of an existing file does not separate the two.
    """
    code = _CODE.fullmatch(text)
    if code:
        return code["source"], code["checkpoint"]
    if "@" not in text or (text.endswith(".safetensors") and _is_file(text)):
        return text, None
    source, _, checkpoint = text.partition("@")
    return source, checkpoint


def _is_file(source: str) -> bool:
    """Return whether a source is an existing file, or lies in one."""
    code = _CODE.fullmatch(source)
    path = code["source"].rpartition(":")[0] if code else source
    try:
        return Path(_at_home(path)).is_file()
    except (OSError, ValueError):  # too long for a name, a zero byte
        return False


def _at_home(path: str) -> str:
    """Return a path with the user's home folder in place of `~`, which shells do not expand behind an @ or an =.

    Raises UsageError where there is no such folder.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except (RuntimeError, ValueError) as error:  # no such user, or none that could be: a zero byte, half a surrogate
        raise UsageError(f"{printable(path)}: there is no such home folder") from error


def _usual_label(source: str) -> str:
    name, colon, function = source.rpartition(":")
    if source.endswith(".safetensors"):
        label = Path(source).stem
    else:
        label = (Path(name).stem if function == "build" else function) if colon else source
    return re.sub(r"[^A-Za-z0-9._+-]", "-", label).lstrip("._+-") or "model"


def _options(text: str, options: list[str]) -> dict[str, str]:
    """Return the values of those of `preprocess`, `classes`, `output` and `weights` that are among the options.

    `options` are such as `preprocess=none`; `text` is the whole spec, for messages. Raises UsageError where an option
    has no value or is given twice, and for an unknown normalisation.
    """
    chosen: dict[str, str] = {}
    for option in options:
        name, _, value = option.partition("=")
        if not value or name in chosen:
            raise UsageError(f"--model {printable(text)}: write {name}=VALUE once, after the checkpoint")
        chosen[name] = value
    preprocess = chosen.get("preprocess")
    if preprocess is not None and preprocess not in NORMALIZATIONS:
        raise UsageError(f"no preprocess={printable(preprocess)}: there are {', '.join(NORMALIZATIONS)}")
    return chosen


def check_sources(specs: list[ModelSpec]) -> None:
    """Raise UsageError where a spec names a file, a library or a classifier that does not exist.

    Nothing is imported for it, so that a mistake is told before the seconds that PyTorch takes. What only the network's
    library knows (which weights timm has, what a module holds) is found when the network is loaded.
    """
    for spec in specs:
        _check_network(spec)
        _check_files(spec)


def _check_files(spec: ModelSpec) -> None:
    file, colon, _ = spec.source.rpartition(":")
    code = [Path(file)] if colon and file.endswith(".py") else []
    weights = [Path(spec.source)] if spec.source.endswith(".safetensors") else []
    for path in (*code, *weights, *([spec.classes] if spec.classes is not None else [])):
        if not path.is_file():
            raise UsageError(f"{printable(str(path))} does not exist (from --model {printable(spec.source)})")
    if spec.checkpoint is not None and not spec.checkpoint.exists():
        raise UsageError(f"the checkpoint {printable(str(spec.checkpoint))} does not exist")


def _check_network(spec: ModelSpec) -> None:
    library, colon, name = spec.source.rpartition(":")
    if library == "torchvision":
        raise UsageError(f"torchvision's classifiers go by their names alone: --model {printable(name)}")
    if library == "timm":
        _check_timm(name)
    if spec.source in BUILT_IN and spec.checkpoint is not None:
        others = f"{BUILT_IN[spec.source]}@FILE.safetensors"
        raise UsageError(f"{spec.source} has weights of its own: for others of its kind write {others}")
    if colon or spec.source in BUILT_IN or spec.source.endswith(".safetensors"):
        return
    if spec.source in OWN_NAMES:
        if spec.checkpoint is None:
            own = f"{spec.source}@FILE.safetensors"
            raise UsageError(f"{spec.source} has no weights of its own: train it, then {own}")
        return
    newest, *names = _CLASSIFIERS.read_text("utf-8").split("\n")
    if spec.source not in names and not _is_newer_than(newest.removeprefix("torchvision ")):
        raise unknown_classifier(spec.source, names)


def _check_timm(name: str) -> None:
    """Raise UsageError where timm is missing, or its files name no such network."""
    code, names = timm_files()
    architecture = name.partition(".")[0]
    if names and architecture not in names and not any(f"'{architecture}'" in text for text in code):
        raise unknown_timm(name, names)


def timm_files() -> tuple[list[str], list[str]]:
    """Return the text of timm's files of networks, and the names that functions have there; timm is not imported.

    Networks are decorated functions, and strings are earlier names of them. Raises UsageError where timm is missing.
    """
    package = find_spec("timm")
    if package is None or package.origin is None:
        raise UsageError(TIMM_IS_MISSING)
    code = [file.read_text("utf-8") for file in sorted((Path(package.origin).parent / "models").glob("*.py"))]
    return code, [network for text in code for network in _REGISTERED.findall(text)]


def unknown_timm(name: str, names: Sequence[str]) -> UsageError:
    """Return the error to raise for a name that is none of timm's networks' `names`."""
    near = ", ".join(get_close_matches(name, names, 3)) or "resnet50, convnext_tiny"
    return UsageError(f"timm has no model {printable(name)}: try {near}; `shapebias models timm:` lists them")


def _is_newer_than(listed: str) -> bool:
    """Return whether a newer torchvision than version `listed` is installed, which may have other classifiers.

    True where its version is unknown.
    """
    try:
        installed = version("torchvision")
    except PackageNotFoundError:
        return True  # a build without its metadata: it is asked itself
    return _release(installed) > _release(listed)


def _release(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version: (0, 29) of 0.29.1+cpu."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def unknown_classifier(name: str, names: Sequence[str]) -> UsageError:
    """Return the error to raise for `name`, which is none of the `names` of torchvision's classifiers."""
    near = get_close_matches(name, names, 3) or ["alexnet", "resnet50"]
    return UsageError(
        f"no model {printable(name)}: name a torchvision classifier ({', '.join(near)}), timm:NAME, FILE.py:FUNCTION "
        "or module:FUNCTION; `shapebias models` lists the names"
    )


def usual_images(specs: list[ModelSpec]) -> str:
    """Return the images to use where the user names none: `builtin:probe`, which the program draws itself.

    Raises UsageError where photo-s or photo-r is among the networks, since these know photos only.
    """
    photos = [spec.source for spec in specs if spec.source in PHOTO_PAIR]
    if photos:
        raise UsageError(
            f"{photos[0]} knows photos, and none come with the program: name some, such as --images cifar10:test "
            "(downloaded once, 170 MB) or a folder or tar file of photos"
        )
    return "builtin:probe"


def parse_specs(texts: list[str]) -> list[ModelSpec]:
    """Parse several specs. Raises UsageError as `parse_spec` does, and where two have the same label."""
    specs = [parse_spec(text) for text in texts]
    labels = [spec.label for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"two models are called {label}: give them labels, such as --model A={label}")
    return specs
