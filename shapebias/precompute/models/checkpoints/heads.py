"""The last layer of a checkpoint: inside a Sequential, under another name, for other outputs, or missing."""

import re
from collections.abc import Mapping

from torch import Tensor

from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.contents import State

HEAD = re.compile(r"^(fc|classifier|heads?|head_dist|linear|last_linear|last_layer|logits?|output|cls)(\d*)(\.|$)")
_SUFFIX = re.compile(r"\.(weight|bias)$")


def is_head(missing: set[str], wanted: Mapping[str, Tensor]) -> bool:
    """Return whether the names missing in a file are the network's head: its last module, or layers with usual names.

    The head holds a matrix, and at most half of the network's names.
    """
    if not missing or len(missing) * 2 > len(wanted) or max(wanted[name].ndim for name in missing) != 2:
        return False
    last = list(wanted)[-1].partition(".")[0]
    whole = {name for name in wanted if name.partition(".")[0] == last}
    return missing == whole or all(HEAD.match(name) for name in missing)


def head_elsewhere(missing: set[str], wanted: Mapping[str, Tensor], rest: State) -> dict[str, str]:
    """Return the names in `rest` of a network's last linear layer, by the network's names.

    The result is {} where that is not certain. It is certain where the `missing` names are those of one layer, and only
    one layer in `rest` has the usual name of a head, and as many inputs.
    """
    modules = {_SUFFIX.sub("", name) for name in missing}
    if len(modules) != 1 or any(not _SUFFIX.search(name) for name in missing):
        return {}
    (module,) = modules
    weights = [name for name in rest if name.endswith(".weight") and rest[name].ndim == 2 and _may_be_head(name)]
    candidates = [
        names
        for weight in weights
        if (names := _names_of(weight, module, missing, rest))
        and rest[weight].shape[1:] == wanted[f"{module}.weight"].shape[1:]
    ]
    return candidates[0] if len(weights) == 1 and candidates else {}


def _may_be_head(name: str) -> bool:
    return any(HEAD.match(part) for part in name.split("."))


def _names_of(weight: str, module: str, missing: set[str], rest: State) -> dict[str, str]:
    other = weight.removesuffix(".weight")
    names = {name: other + name.removeprefix(module) for name in missing}
    return names if all(name in rest for name in names.values()) else {}


def head_notes(names: Mapping[str, str], keys: str) -> list[str]:
    """Return a note where a head has another name in the file than in the network; else [].

    `names` are the file's names by the network's; `keys` is the prefix of the chosen weights in the file.
    """
    if not names:
        return []
    network, file = (min(group) for group in (names.keys(), names.values()))
    module, other = _SUFFIX.sub("", network), _SUFFIX.sub("", file).removeprefix(keys)
    if (
        module == other
        or re.fullmatch(rf"{re.escape(module)}\.\d+", other)
        or re.fullmatch(rf"{re.escape(other)}\.\d+", module)
    ):
        return []
    return [f"its {printable(other, 60)} was taken for the network's {printable(module, 60)}"]
