"""ImageNet's 1000 classes in the order of every ImageNet network's outputs: names, and WordNet ids, which are
sorted.
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

_MORE_NAMES = {"crane bird": [134], "maillot tank suit": [639]}  # torchvision's names of classes that share a name
_WNID = re.compile(r"(n[0-9]{8})(?:[ _.,-].*)?", re.DOTALL)


@cache
def _reference() -> dict[str, list[str]]:
    text = resources.files("shapebias.core").joinpath("reference/imagenet_classes.json").read_text("utf-8")
    reference: dict[str, list[str]] = json.loads(text)
    return reference


def wnids() -> list[str]:
    """Return the 1000 WordNet ids (`n01440764` first), in class order."""
    return _reference()["wnids"]


def class_names() -> list[str]:
    """Return the 1000 class names (`tench` first), in class order."""
    return _reference()["names"]


def variant_of(names: Iterable[str]) -> tuple[str, list[str]] | None:
    """Return the ImageNet variant that has exactly these classes, and the WordNet ids of its classes in order.

    The variant is `ImageNet-R` or `ImageNet-A`. The `names` of classes are WordNet ids or begin with them. Returns None
    for other classes.
    """
    text = resources.files("shapebias.core").joinpath("reference/imagenet_variants.json").read_text("utf-8")
    variants: dict[str, list[str]] = json.loads(text)["classes"]
    ids = {wnid_of(name) for name in names}
    return next(((variant, wnids) for variant, wnids in variants.items() if set(wnids) == ids), None)


def wnid_of(name: str) -> str | None:
    """Return the WordNet id that a name is or begins with (`n01440764_tench`), whether or not it is a class of
    ImageNet; else None.
    """
    match = _WNID.fullmatch(name)
    return match[1] if match else None


def index_of_wnid(name: str) -> int | None:
    """Return the index of the class whose WordNet id a name is or begins with; None where it is not of an ImageNet
    class.

    >>> index_of_wnid("n01440764_tench")
    0
    """
    return _by_wnid().get(wnid_of(name) or "")


def index_of_name(name: str) -> int | None:
    """Return the index of the class with this name, ignoring case and punctuation (`great_white_shark`); else None.

    Where `name` holds several names with commas between them, the first known one counts. Some names (`crane`,
    `maillot`) belong to two classes: these give None.

    >>> index_of_name("great_white_shark"), index_of_name("crane")
    (2, None)
    """
    for text in (name, *name.split(",")):
        for indices in (_by_name().get(text.strip(), []), _by_plain_name().get(plain(text), [])):
            if len(indices) == 1:
                return indices[0]
    return None


def indices_of_shared_name(name: str) -> list[int]:
    """Return the indices of the classes that share this name, ignoring case and punctuation; empty where fewer than two
    do.
    """
    indices = _by_plain_name().get(plain(name), [])
    return indices if len(indices) > 1 else []


def plain(name: str) -> str:
    """Return the words of a name in lower case, with one space between two of them; words hold letters and digits.

    >>> plain("Great_white--shark!")
    'great white shark'
    """
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


@cache
def _by_wnid() -> dict[str, int]:
    return {wnid: index for index, wnid in enumerate(wnids())}


@cache
def _by_name() -> dict[str, list[int]]:
    return _grouped(class_names())


@cache
def _by_plain_name() -> dict[str, list[int]]:
    return _grouped([plain(name) for name in class_names()]) | _MORE_NAMES


def _grouped(names: list[str]) -> dict[str, list[int]]:
    """Return for each name its positions in the list."""
    positions: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        positions.setdefault(name, []).append(position)
    return positions
