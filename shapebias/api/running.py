"""`shapebias.precompute`: measures the networks of a Python program, or networks by name, into a store."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from torch import nn

from shapebias.api.options import settings_from
from shapebias.api.preparation import preparation_of
from shapebias.api.store import Store
from shapebias.api.store import open as open_store
from shapebias.core.errors import UsageError
from shapebias.core.remote import local_path
from shapebias.core.text import printable
from shapebias.precompute.device import device_of
from shapebias.precompute.inputs import Inputs
from shapebias.precompute.models.classes import read_classes
from shapebias.precompute.models.load import InMemorySpec, in_memory_spec
from shapebias.precompute.models.spec import ModelSpec, check_label, check_sources, parse_spec, parse_specs
from shapebias.precompute.progress import console_progress
from shapebias.precompute.run import precompute as run
from shapebias.precompute.unfinished import check_free


def precompute(
    models: Mapping[str, nn.Module | str] | Sequence[str],
    images: str | PathLike[str],
    store: str | PathLike[str],
    *,
    passes: str | Iterable[str] = ("noise",),
    preprocessing: Any = None,
    classes: Any = None,
    **options: Any,
) -> Store:
    """Pass images through networks and store every unit's activations and statistics, as `shapebias precompute` does;
    return the store, open.

    models:         networks by label: modules, or what `--model` takes behind the label (`resnet50@s.pth`); or a list
                    of what `--model` takes. A copy of a module is run, so that the module itself is not changed; if a
                    module is on a GPU, all networks run there unless `device` says otherwise
    images:         what `--images` takes: a folder, tar files, a list, a URL, `builtin:probe`
    store:          the path of the store to make, on this machine
    passes:         names as in `--passes`; none for the activations alone
    preprocessing:  how images are prepared for modules: a torchvision transform (`weights.transforms()`), or a
                    dictionary like timm's `pretrained_cfg`; one for all modules, or a dictionary of them by label.
                    Without it what the module's own `pretrained_cfg` says, else what is usual for ImageNet
    classes:        the names of the modules' outputs in order (WordNet ids, names), or the path of a file of them; for
                    all modules, or a dictionary by label
    options:        every other option of the command, by the name of the field of `Settings`: `attacks=["l2:3"]`,
                    `variants={"C": "imagenet-c"}`, `distortions`, `cue_conflict`, `broden`, `layers`, `limit`, `device`

    The same call goes on where one was stopped, if the networks' weights are the same. Raises UsageError for what
    does not exist or does not fit, ShapebiasError where the run fails; both say what to do in one line.

        >>> import shapebias
        >>> models = {"S": "demo-s", "R": "demo-r"}
        >>> made = shapebias.precompute(models, "builtin:probe", "new.zarr", limit=16, layers="conv5", workers=0)
        >>> made.models, len(made.units())
        (['S', 'R'], 320)
    """
    path = local_path(fspath(store), "written")
    specs = _specs(models, preprocessing, classes)
    modules = {spec.label: spec.module for spec in specs if isinstance(spec, InMemorySpec)}
    if modules and options.get("engine") == "ray":
        raise UsageError("Ray's workers load networks by name: save yours, and give models as SOURCE@CHECKPOINT")
    if options.get("device", "auto") == "auto":
        options |= {"device": device_of(modules)}
    settings = settings_from(specs, images, path, passes, options)
    named = [spec for spec in (*specs, settings.embedding) if not isinstance(spec, InMemorySpec)]
    check_sources([spec for spec in named if spec is not None])
    check_free(path, settings.overwrite)
    with console_progress() as progress:
        progress.stage("listing images")
        run(settings, progress, Inputs.find(settings, progress))
    return open_store(path)


def _specs(
    models: Any,
    preprocessing: Any,
    classes: Any,
) -> list[ModelSpec]:
    """Return the spec of each network of a run; the arguments are those of `precompute`.

    Raises UsageError for what does not fit, and ShapebiasError where a value of the preprocessing makes no sense.
    """
    if isinstance(models, nn.Module):
        raise UsageError("models are given by label: models={'A': network}")
    if not models:
        raise UsageError("name a network: models={'A': network}, or models=['alexnet']")
    if not isinstance(models, Mapping):
        return parse_specs([models] if isinstance(models, str) else list(models))
    specs: list[ModelSpec] = []
    for label, model in models.items():
        check_label(label, f"models={{{printable(repr(label), 60)}: …}}")
        if isinstance(model, str):
            specs.append(parse_spec(f"{label}={model}"))
            continue
        if not isinstance(model, nn.Module):
            kind = printable(type(model).__name__, 60)
            raise UsageError(f"{label} is a {kind}: give a torch.nn.Module, or a text as --model takes it")
        given_preprocessing, names = (_value_of_model(label, models, value) for value in (preprocessing, classes))
        prepared = None if given_preprocessing is None else preparation_of(given_preprocessing)
        specs.append(in_memory_spec(label, model, prepared, None if names is None else _names(names)))
    return specs


def _names(classes: Any) -> tuple[str, ...]:
    """Return the names of classes, given as such or as the path of a file that lists them.

    Raises UsageError where the file cannot be read.
    """
    return tuple(read_classes(Path(classes)) if isinstance(classes, str | PathLike) else map(str, classes))


def _value_of_model(label: str, models: Mapping[str, Any], value: Any) -> Any:
    """Return an argument's value for the network `label`: the argument is for all, or a dictionary by label.

    None where the dictionary lacks the label.
    """
    by_label = isinstance(value, Mapping) and set(value) <= set(models)
    return value.get(label) if by_label else value
