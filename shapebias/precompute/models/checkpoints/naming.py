"""How a file's names become a network's: prefixes of wrappers, parts of names that wrappers put in, old names."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

_WRAPPERS = re.compile(  # what data parallelism, torch.compile, FSDP and activation checkpoints put into names
    r"(?:(?<=^)|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_RENAMES = (  # (what a name holds, what to write instead), where the network knows the new name only
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),  # torchvision's published DenseNets
    (re.compile(r"^last_layer\."), "classifier.6."),  # AlexNet and VGG of `robustness`
    (re.compile(r"(^|\.)branch4_conv\."), r"\1branch4.1."),  # GoogLeNet of `robustness`
)
_RENAMED = re.compile(r"denselayer|last_layer|branch4_conv")


def plain_name(name: str) -> str:
    """Return a name without the parts that wrappers put in: `layer1.module.0.weight` is `layer1.0.weight`."""
    return _WRAPPERS.sub("", name)


def names_by_prefix(names: Collection[str], wanted: Collection[str]) -> Mapping[str, dict[str, str]]:
    """Return for every prefix that leads to names of a network, `wanted`, which of `names` each of them is.

    A name may be there under several prefixes: `layer1.conv1.weight` holds `conv1.weight`, too.
    """
    if len(names) < 2 * len(wanted) and all(name in names for name in wanted):
        return {"": {name: name for name in wanted}}  # there is no room for a second network
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
    """Return the prefixes behind which a network has most of its names, the longest first: a file may hold that part
    alone."""
    names = list(wanted)
    counts = Counter(prefix for name in names for prefix, _ in _cuts(name) if prefix)
    return sorted((prefix for prefix, count in counts.items() if count * 2 > len(names)), key=len, reverse=True)


def _by_plain_name(wanted: Iterable[str]) -> dict[str, str]:
    """Return the names by what they are without wrappers. Where two would be one, both keep their own."""
    known = list(wanted)
    plain: dict[str, str] = {}
    for name in known:
        plain.setdefault(plain_name(name), name)
    return plain | {name: name for name in known}


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """Return the ways to cut a name in two, the whole name first: its prefix with the dot, and the rest."""
    yield "", name
    for dot in (place for place, sign in enumerate(name) if sign == "."):
        yield name[: dot + 1], name[dot + 1 :]


def _renamed(name: str, plain: Mapping[str, str]) -> str | None:
    """Return a network's name for an older one, None where it has none."""
    for pattern, replacement in _RENAMES:
        renamed = pattern.sub(replacement, name)
        if renamed in plain:
            return plain[renamed]
    return None
