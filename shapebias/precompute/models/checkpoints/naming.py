"""Translates a file's names to a network's: prefixes of wrappers, insertions of wrappers, and old names."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

_WRAPPERS = re.compile(  # insertions of data parallelism, torch.compile, FSDP and activation checkpoints
    r"(?:(?<=^)|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_RENAMES = (  # (old part of a name, new part), used where the network has only the new name
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),  # torchvision's published DenseNets
    (re.compile(r"^last_layer\."), "classifier.6."),  # AlexNet and VGG of `robustness`
    (re.compile(r"(^|\.)branch4_conv\."), r"\1branch4.1."),  # GoogLeNet of `robustness`
)
_RENAMED = re.compile(r"denselayer|last_layer|branch4_conv")


def plain_name(name: str) -> str:
    """Return a name without the parts that wrappers insert.

    >>> plain_name("layer1.module.0.weight")
    'layer1.0.weight'
    """
    return _WRAPPERS.sub("", name)


def names_by_prefix(names: Collection[str], wanted: Collection[str]) -> Mapping[str, dict[str, str]]:
    """Return, by every prefix that a file's `names` have before a network's, the file's name for each of these.

    `wanted` are the network's names; those that the file lacks are left out. A name may fit with several prefixes:
    `layer1.conv1.weight` contains `conv1.weight`, too. Where the file has all names as they are, and too few others for
    a second network, the only prefix is "".
    """
    if len(names) < 2 * len(wanted) and all(name in names for name in wanted):
        return {"": {name: name for name in wanted}}  # too few names for a second network
    plain = _by_plain_name(wanted)
    prefixes: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        may_be_renamed = _RENAMED.search(name) is not None
        for prefix, rest in _cuts(name):
            inner = plain_name(rest)
            known = plain.get(rest) or plain.get(inner) or (_renamed(inner, plain) if may_be_renamed else None)
            if known is not None:
                prefixes[prefix].setdefault(known, name)
    return prefixes


def large_parts(wanted: Iterable[str]) -> list[str]:
    """Return the prefixes, with their dots, that more than half of a network's names have, the longest first.

    A file may hold only the part of the network with such a prefix.
    """
    names = list(wanted)
    counts = Counter(prefix for name in names for prefix, _ in _cuts(name) if prefix)
    return sorted((prefix for prefix, count in counts.items() if count * 2 > len(names)), key=len, reverse=True)


def _by_plain_name(wanted: Iterable[str]) -> dict[str, str]:
    """Return each name by itself and by its form without the insertions of wrappers.

    A form that several names have stands for the first of them, or for the name that is equal to it.
    """
    known = list(wanted)
    plain: dict[str, str] = {}
    for name in known:
        plain.setdefault(plain_name(name), name)
    return plain | {name: name for name in known}


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to split a name into a prefix with its dot and the rest, the whole name first."""
    yield "", name
    for dot in (position for position, sign in enumerate(name) if sign == "."):
        yield name[: dot + 1], name[dot + 1 :]


def _renamed(name: str, plain: Mapping[str, str]) -> str | None:
    """Return the network's name, one in `plain` (see `_by_plain_name`), for an older name; None where there is none."""
    for pattern, replacement in _RENAMES:
        renamed = pattern.sub(replacement, name)
        if renamed in plain:
            return plain[renamed]
    return None
