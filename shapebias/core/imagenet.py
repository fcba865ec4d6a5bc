"""ImageNet's 1000 classes: WordNet ids in sorted order (the order of every ImageNet network's outputs) and names."""

import json
import re
from collections import Counter
from functools import cache
from importlib import resources

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


def wnid_of(name: str) -> str | None:
    """Return the WordNet id that a name is or begins with (`n01440764_tench`), of ImageNet or not; None for others."""
    match = _WNID.fullmatch(name)
    return match[1] if match else None


def index_of_wnid(name: str) -> int | None:
    """Return the class of a name that is or begins with a WordNet id of ImageNet; None for others."""
    return _by_wnid().get(wnid_of(name) or "")


def index_of_name(name: str) -> int | None:
    """Return the class of this name: as it is spelt here, or regardless of case and punctuation (`great_white_shark`);
    of several names with commas between them, of the first that is known. None for others, and where two classes have
    the name (`crane`, `maillot`)."""
    exact, loose = _by_name()
    for text in (name, *name.split(",")):
        index = exact.get(text.strip(), loose.get(plain(text)))
        if index is not None:
            return index
    return None


def shared_names() -> set[str]:
    """Return the names that two classes have, as `plain` writes them."""
    times = Counter(map(plain, class_names()))
    return {name for name, count in times.items() if count > 1}


def plain(name: str) -> str:
    """Return a name in lower case, with one space for everything that is neither letter nor digit."""
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


@cache
def _by_wnid() -> dict[str, int]:
    return {wnid: index for index, wnid in enumerate(wnids())}


@cache
def _by_name() -> tuple[dict[str, int], dict[str, int]]:
    """Return the classes by their names, and by those in lower case; names of two classes are left out."""
    tables: list[dict[str, int]] = []
    for names in (class_names(), [plain(name) for name in class_names()]):
        times = Counter(names)
        tables.append({name: index for index, name in enumerate(names) if times[name] == 1})
    return tables[0], tables[1]
