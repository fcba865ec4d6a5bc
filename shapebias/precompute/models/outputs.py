"""Finds the class scores in a network's result: a tensor, or one of several in dictionaries, tuples and objects."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_NAMES = frozenset(  # usual names of class scores
    (
        "out",
        "output",
        "outputs",
        "scores",
        "score",
        "pred",
        "preds",
        "prediction",
        "predictions",
        "y",
    )
)
_DEPTH = 3


@dataclass(frozen=True)
class Leaf:
    """A tensor in a network's result, and the `steps` that lead to it.

    A step is a pair: `item` and a key or index, or `attribute` and its name. A result that is a tensor has none.
    """

    tensor: Tensor = field(compare=False)
    steps: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """The path to the tensor: `logits`, or `head.logits` where it is nested; empty where it is the whole result."""
        return ".".join(str(key) for _, key in self.steps)

    @property
    def scores(self) -> Tensor | None:
        """The tensor as scores [B, classes], without further axes of size 1.

        None where it has another shape, or no floats.
        """
        shape = self.tensor.shape
        if not self.tensor.is_floating_point() or len(shape) < 2 or any(size != 1 for size in shape[2:]):
            return None
        return self.tensor.flatten(1)


def leaves(result: Any, steps: tuple[tuple[str, Any], ...] = ()) -> Iterator[Leaf]:
    """Yield the tensors in a network's result, at most three `steps` deep; `steps` lead to `result` itself."""
    if isinstance(result, Tensor):
        yield Leaf(result, steps)
        return
    if len(steps) == _DEPTH:
        return
    for kind, key, item in _parts(result):
        yield from leaves(item, (*steps, (kind, key)))


def _parts(result: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(result, dict):
        yield from (("item", key, item) for key, item in result.items())
    elif isinstance(result, tuple) and hasattr(result, "_fields"):
        yield from (("attribute", name, getattr(result, name)) for name in result._fields)
    elif isinstance(result, list | tuple):
        yield from (("item", index, item) for index, item in enumerate(result))
    elif not isinstance(result, type | nn.Module | str | int | float | None):
        names = [name for name in dir(result) if not name.startswith("_")]
        items = ((name, getattr(result, name, None)) for name in names)
        yield from (("attribute", name, item) for name, item in items if isinstance(item, Tensor | dict | list | tuple))


def find_scores(label: str, result: Any, classes: int | None, wanted: str | None) -> Leaf | None:
    """Return the class scores in the result of the network `label`; None where nothing looks like scores [B, classes].

    They are what the user asked for (`wanted`), else the only candidate, else the one called `logits`, else the one
    with another usual name or with as many columns as there are `classes`. Raises UsageError where several remain,
    where a name and the number of classes point to different ones, or where `wanted` does not exist.
    """
    candidates = [leaf for leaf in leaves(result) if leaf.scores is not None]
    if wanted is not None:
        candidates = [leaf for leaf in candidates if wanted in (leaf.name, leaf.name.rpartition(".")[2])]
        if len(candidates) != 1:
            there = ", ".join(_described(leaf) for leaf in leaves(result)) or "nothing"
            raise UsageError(f"{label}: output={printable(wanted)} names no class scores; it returns {there}")
    elif len(candidates) > 1:
        candidates = _best(candidates, classes)
    if len(candidates) > 1:
        there = ", ".join(map(_described, candidates))
        raise UsageError(f"{label} returns {there}: say which are the class scores with output=NAME behind its source")
    return candidates[0] if candidates else None


def _best(candidates: list[Leaf], classes: int | None) -> list[Leaf]:
    """Return those candidates that are most likely the class scores.

    That is the only one called logits; else those with a usual name and as many columns as there are classes; else
    those with one of the two; else all.
    """
    surely = [leaf for leaf in candidates if _last_name(leaf).endswith(("logits", "logit"))]
    if len(surely) == 1:
        return surely
    named = [leaf for leaf in candidates if leaf in surely or _last_name(leaf) in _NAMES]
    sized = [leaf for leaf in candidates if leaf.tensor.shape[1] == classes]
    both = [leaf for leaf in named if leaf in sized]
    return both or named + sized or candidates


def _last_name(leaf: Leaf) -> str:
    return leaf.name.rpartition(".")[2].lower()


def _described(leaf: Leaf) -> str:
    return f"{printable(leaf.name, 60) or 'a tensor'} {['N', *leaf.tensor.shape[1:]]}".replace("'", "")


def return_scores(network: nn.Module, leaf: Leaf) -> None:
    """Change a network so that every later forward returns only its class scores, float [B, classes].

    `leaf` says which part of the network's result they are (see `find_scores`).
    """
    if leaf.steps or leaf.tensor.ndim != 2:
        network.register_forward_hook(lambda module, inputs, result: _at(result, leaf.steps).flatten(1))


def _at(result: Any, steps: tuple[tuple[str, Any], ...]) -> Tensor:
    for kind, key in steps:
        result = result[key] if kind == "item" else getattr(result, key)
    tensor: Tensor = result
    return tensor
