"""Gradients of scalars, node by node as autograd recorded them: without the streams and threads of its own engine."""

from collections.abc import Sequence
from typing import Any

import torch


def grad(output: torch.Tensor, inputs: torch.Tensor | Sequence[torch.Tensor], **_: Any) -> tuple[torch.Tensor, ...]:
    """Return the gradient of a scalar by one or several tensors, as `torch.autograd.grad` does."""
    tensors = [inputs] if isinstance(inputs, torch.Tensor) else inputs
    edges = [torch.autograd.graph.get_gradient_edge(tensor) for tensor in tensors]
    known = _gradients(output)
    return tuple(known[edge.node][edge.output_nr] for edge in edges)


def backward(loss: torch.Tensor, *_: Any, **__: Any) -> None:
    """Add a scalar's gradients to those of the leaves, as `Tensor.backward` does."""
    for node, gradients in _gradients(loss).items():
        if hasattr(node, "variable"):
            leaf, gradient = node.variable, gradients[0]
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient


def _gradients(output: torch.Tensor) -> dict[Any, list[Any]]:
    """Return the gradients of a scalar by the outputs of every node of its graph, a list for each node."""
    root = output.grad_fn
    waiting: dict[Any, list[torch.Tensor | None]] = {root: [torch.ones_like(output.detach())]}
    known = {}
    for node in _in_order(root):
        gradients = waiting.pop(node, None)
        if gradients is None:
            continue
        known[node] = gradients
        if hasattr(node, "variable"):
            continue
        with torch.no_grad():
            further = node(*gradients)
        for (after, number), gradient in zip(node.next_functions, _as_tuple(further), strict=True):
            if after is not None and gradient is not None:
                _add(waiting.setdefault(after, [None] * len(after._input_metadata)), after, number, gradient)
    return known


def _add(gradients: list[torch.Tensor | None], node: Any, number: int, gradient: torch.Tensor) -> None:
    """Add `gradient`, which another node gives, to that of output `number` of `node`, in that output's shape and dtype.

    `gradients` are those of the node's outputs; None stands for 0.
    """
    facts = node._input_metadata[number]
    with torch.no_grad():
        gradient = gradient.sum_to_size(tuple(facts.shape)).to(facts.dtype)
        known = gradients[number]
        gradients[number] = gradient if known is None else known + gradient


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _in_order(root: Any) -> list[Any]:
    """Return the nodes of a graph, each before those that its gradient goes to."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(after, False) for after, _ in node.next_functions if after is not None]
    return order[::-1]
