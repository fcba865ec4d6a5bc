"""Translates the arguments of `precompute` in Python to the settings of a run."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from os import PathLike, fspath
from pathlib import Path
from types import NoneType
from typing import Any, Union, get_args, get_origin, get_type_hints

from shapebias.core.attribution.choice import parse_choices
from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.attacks.attack import parse_attack
from shapebias.precompute.images.sources.named_sets import parse_sets
from shapebias.precompute.images.sources.variants import parse_variant
from shapebias.precompute.models.spec import ModelSpec, parse_spec
from shapebias.precompute.settings import Settings, parse_passes

_OWN = ("models", "images", "store", "passes")  # arguments of `precompute` itself
_TEXTS: dict[Any, Callable[[str], Any]] = {Path: Path, ModelSpec: parse_spec}  # functions that parse a text into a type
_LISTS: dict[str, Callable[[list[str]], tuple[Any, ...]]] = {  # options that are written as on the command line
    "attacks": lambda texts: tuple(map(parse_attack, texts)),
    "attribution": lambda texts: parse_choices(",".join(texts)),
    "ood": parse_sets,
    "variants": lambda texts: tuple(map(parse_variant, texts)),
}


def settings_from(
    models: list[ModelSpec],
    images: str | PathLike[str],
    store: Path,
    passes: str | Iterable[str],
    options: Mapping[str, Any],
) -> Settings:
    """Return the settings of a run; `options` are further fields of `Settings` by name, `passes` names of passes.

    Values are written as on the command line: attacks as "l2:3", variants as "C=imagenet-c" or in a dictionary. Where
    several are allowed, a single one may be given without a list. Raises UsageError for an option that does not exist,
    or an invalid value.
    """
    hints = get_type_hints(Settings)
    allowed = [field.name for field in fields(Settings) if field.name not in _OWN]
    for name in options:
        if name not in allowed:
            close = get_close_matches(name, allowed, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(allowed)}"
            raise UsageError(f"no option {printable(name, 60)}: {hint}")
    names = passes if isinstance(passes, str) else ",".join(passes)
    return Settings(
        models=models,
        images=fspath(images),
        store=store,
        passes=parse_passes(names),
        **{name: _value(name, hints[name], value) for name, value in options.items()},
    )


def _value(name: str, hint: Any, value: Any) -> Any:
    """Return the value of the option `name` as a field of the type `hint` holds it. Raises UsageError where it does
    not fit.
    """
    alternatives = get_args(hint) if get_origin(hint) in (Union, type(int | str)) else (hint,)
    if value is None and NoneType in alternatives:
        return None
    kind = next(alternative for alternative in alternatives if alternative is not NoneType)
    if get_origin(kind) is not tuple or get_args(kind)[-1] is not Ellipsis:
        return _convert(name, kind, value)
    if isinstance(value, Mapping):
        value = [f"{key}={fspath(path)}" for key, path in value.items()]
    parts = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    if name in _LISTS:
        return _LISTS[name]([_convert(name, str, part) for part in parts])
    return tuple(_convert(name, get_args(kind)[0], part) for part in parts)


def _convert(name: str, kind: Any, value: Any) -> Any:
    """Return a single value of the option `name`, or of a list of several, as the type `kind`.

    Raises UsageError where it cannot be one.
    """
    try:
        if kind in _TEXTS and isinstance(value, str | PathLike):
            return _TEXTS[kind](fspath(value))
        if kind is int and isinstance(value, bool):
            raise TypeError("a bool is an int, but no number of things")
        if kind is int:
            return operator.index(value)
        if kind is float:
            return float(value)
        if kind is str:
            return fspath(value)
        if isinstance(value, kind):
            return value
    except (TypeError, ValueError):
        pass
    expected = getattr(kind, "__name__", str(kind))
    raise UsageError(f"{name}={printable(repr(value), 60)} has the wrong type: it must be of type {expected}")
