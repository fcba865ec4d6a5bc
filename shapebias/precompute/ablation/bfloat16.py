"""Decisions for many rows (images, each without one unit) in bfloat16, checked exactly wherever rounding could
change one.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.core.shape_bias.decisions import decide
from shapebias.precompute.device import Device
from shapebias.precompute.memory import is_out_of_memory
from shapebias.precompute.models.hooks import replaced

_SAMPLE = 64  # so many rows are run in both precisions before bfloat16 is trusted
_LATER_SAMPLE = 16  # sampled rows of every further batch of images
_LEAST = 8 * _SAMPLE  # fewest rows: of fewer, the sample would be a large part
# The bound is this times the largest known error; of 29,129 rows none exceeded 1.55 times (docs/ablation.md).
_SAFETY = 4.0
_BEHIND = 0.8  # bfloat16 must take at most this fraction of float32's time, or it is given up


@dataclass(frozen=True)
class DecisionRule:
    """The rule that turns scores [R, classes] into decisions for R rows.

    decide:    returns the decisions, int32 [R]
    evidence:  returns float [R, choices]: the decision is the choice with the largest value
    """

    decide: Callable[[Tensor], NDArray[np.int32]]
    evidence: Callable[[Tensor], Tensor]

    def lead(self, scores: Tensor, decision: Tensor) -> Tensor:
        """Return how far `decision`, int64 [R], is ahead of the best other choice, [R].

        Negative where another choice is ahead, NaN where `decision` is -1 (none).
        """
        evidence = self.evidence(scores.float())
        chosen = decision.clamp(min=0)[:, None]
        others = evidence.scatter(1, chosen, -torch.inf).amax(1)
        return (evidence.gather(1, chosen)[:, 0] - others).masked_fill(decision < 0, torch.nan)


def category_choice(mapping: Mapping[str, Sequence[int]]) -> DecisionRule:
    """Return the rule that decides for the category with the largest mean probability.

    `mapping` has the classes of each category. The evidence for a category is that mean's logarithm, up to a constant.
    """

    def decided(scores: Tensor) -> NDArray[np.int32]:
        return decide(torch.softmax(scores.float(), 1).cpu().numpy(), mapping)

    def evidence(scores: Tensor) -> Tensor:
        means = [scores[:, list(classes)].logsumexp(1) - math.log(len(classes)) for classes in mapping.values()]
        return torch.stack(means, 1)

    return DecisionRule(decided, evidence)


class Bfloat16Check:
    """Finds decisions for rows, most of which have a known decision that does not change, as exactly as the device is
    set to compute (float32, TF32, or half precision where `--precision` says so).

    On a device that computes in float32 or TF32, all rows are run in bfloat16, some random ones exactly too. A row
    keeps its known decision where that is ahead by more than `_SAFETY` times the largest error of a lead among the rows
    that were run in both precisions. The other rows are run exactly: their decisions count, and their errors can raise
    that bound, until no row is unsure. So bfloat16 only ever says that nothing changed. Where it saves no time it is
    given up; `given_up` says why, else it is None. Of the `rows` that were run in bfloat16 since `begin`, `again` were
    run exactly, too. On a device of half precision all rows are run once, in that.
    """

    def __init__(self, network: nn.Module, device: Device, room: int) -> None:
        """Prepare the check. `room`: the bytes that a module's weights may take in bfloat16 while they are used."""
        self._network, self._device = network, device.device
        self._warms_up = device.is_cuda  # the first run on a GPU loads code, so it is not timed
        # On the CPU only the time of this process counts, as others may be busy.
        self._clock = time.perf_counter if device.is_cuda else time.process_time
        self.weight_bytes = max((parameter.numel() * 2 for parameter in network.parameters()), default=0)
        self._possible = device.dtype == torch.float32 and self.weight_bytes <= room
        if not self._possible:
            self.weight_bytes = 0
        self.begin()

    def begin(self) -> None:
        """Reset the check for other images and another rule."""
        self._error = self._row_seconds = 0.0
        self.given_up: str | None = None
        self.rows = self.again = 0  # rows run in bfloat16, and rows of these also run exactly

    def share(self) -> str:
        """Return the share of the rows that was run exactly, as text, with the reason where bfloat16 was given up.

        `rows` must not be 0.
        """
        why = "" if self.given_up is None else f" of the first rows, then all ({self.given_up})"
        return f"{self.again / self.rows:.0%}{why}"

    @contextmanager
    def _bfloat16(self) -> Iterator[None]:
        """Run the network in bfloat16 during the block, except its last linear layer, whose rounding would directly
        change scores.
        """
        kind = self._device.type
        heads = [module for module in self._network.modules() if isinstance(module, nn.Linear)][-1:]

        def exact(function: Callable[..., Any]) -> Callable[..., Any]:
            def forward(inputs: Tensor) -> Any:
                with torch.autocast(kind, torch.bfloat16, enabled=False):
                    return function(inputs.float())

            return forward

        with ExitStack() as stack:
            stack.enter_context(torch.autocast(kind, torch.bfloat16, cache_enabled=False))
            for head in heads:
                stack.enter_context(replaced(head, exact))
            yield

    def decide(self, rows: "DecisionRows") -> None:
        """Set the rows' `decided` to the decisions in the device's own precision."""
        if not self._possible or self.given_up is not None or len(rows.known) < _LEAST:
            rows.run_exactly(rows.unsure(0.0))
            return
        began, count = self._clock(), len(rows.known)
        self._sample(rows)
        self._run_roughly(rows)
        while len(unsure := rows.unsure(self._bound(rows))):
            rows.run_exactly(unsure)
        again = int(rows.done.sum())
        self.rows, self.again = self.rows + count, self.again + again
        if self.given_up is None and self._clock() - began > self._row_seconds * count:
            self.given_up = "too few rows were certain"

    def _sample(self, rows: "DecisionRows") -> None:
        """Run some random rows exactly, and measure how long one takes, if that is not known."""
        size = _LATER_SAMPLE if self.rows else self._first_sample(rows)
        drawn = torch.from_numpy(np.random.default_rng(0).permutation(len(rows.known))[:size]).to(self._device)
        if self._warms_up and not self._row_seconds:
            rows.run_exactly(drawn)
        start = self._clock()
        rows.run_exactly(drawn)
        self._row_seconds = self._row_seconds or (self._clock() - start) / size

    def _first_sample(self, rows: "DecisionRows") -> int:
        """Return how many rows to time: on a GPU as many as one forward takes, since fewer take the same time."""
        return max(_SAMPLE, min(rows.most, len(rows.known) // 16)) if self._warms_up else _SAMPLE

    def _run_roughly(self, rows: "DecisionRows") -> None:
        """Run all rows in bfloat16; give it up where it fails, or once enough rows have shown that it is no faster."""
        chunks = list(_chunks(torch.arange(len(rows.known), device=self._device), rows.most))
        warming, count, start = chunks[:1] if self._warms_up and not self.rows else [], 0, self._clock()
        for some in [*warming, *chunks]:
            try:
                with self._bfloat16():
                    rows.run_roughly(some)
            except Exception as error:  # a forward of any kind
                if is_out_of_memory(error):
                    raise
                self.given_up = f"the network fails in bfloat16 ({type(error).__name__})"
                return
            if warming:
                warming, start = [], self._clock()
                continue
            count += len(some)
            if self._clock() - start > _BEHIND * self._row_seconds * count:
                self.given_up = "bfloat16 is no faster here"
                return

    def _bound(self, rows: "DecisionRows") -> float:
        """Return the lead above which bfloat16's decision counts: `_SAFETY` times the largest error since `begin`."""
        self._error = max(self._error, rows.largest_error())
        return _SAFETY * self._error


class DecisionRows:
    """Rows that probably have known decisions, and their results so far.

    known:    int64 [R] on the device, the decisions that they probably have
    decided:  int32 [R], the decisions: the known ones, until a row is run exactly
    done:     bool [R] on the device, whether a row was run exactly: in the device's own precision
    most:     how many rows a forward takes
    """

    def __init__(
        self,
        scores: Callable[[Tensor], Tensor],
        choice: DecisionRule,
        decisions: NDArray[np.int32],
        *,
        device: torch.device,
        most: int,
    ) -> None:
        """Prepare the rows.

        scores:     returns float [r, classes] for the indices of r rows, int64 [r], at most `most` of them
        choice:     the rule that turns these scores into decisions
        decisions:  int32 [R], the decisions that the rows probably have
        device:     the device that `scores` computes on
        """
        self.known = torch.from_numpy(decisions).to(device).long()
        self.decided, self.most = decisions.copy(), most
        self._scores, self._choice = scores, choice
        self.done = torch.zeros_like(self.known, dtype=torch.bool)
        self._exact, self._rough = (  # lead of the known decision, exact and in bfloat16; NaN: not run
            torch.full_like(self.known, torch.nan, dtype=torch.float32) for _ in range(2)
        )

    def run_exactly(self, rows: Tensor) -> None:
        """Run the rows with these indices in the device's own precision, outside `_bfloat16`: their `decided` is then
        final, and their `done` is set.
        """
        for some in _chunks(rows, self.most):
            scores = self._scores(some)
            self.decided[some.cpu().numpy()] = self._choice.decide(scores)
            self._exact[some] = self._choice.lead(scores, self.known[some])
            self.done[some] = True

    def run_roughly(self, rows: Tensor) -> None:
        """Run the rows with these indices in the currently set precision, and wait for the device."""
        self._rough[rows] = self._choice.lead(self._scores(rows), self.known[rows])
        float(self._rough[rows[0]])  # this waits for the device

    def largest_error(self) -> float:
        """Return the largest error of a lead among the rows that were run in both precisions; 0 without any."""
        return float((self._rough - self._exact).abs().nan_to_num(0.0, posinf=torch.inf).max())

    def unsure(self, bound: float) -> Tensor:
        """Return the indices of the rows, int64, that were not run exactly and whose lead in bfloat16 is unknown or not
        above `bound`.
        """
        return (~((self._rough > bound) | self.done)).nonzero()[:, 0]


def _chunks(rows: Tensor, most: int) -> Iterator[Tensor]:
    """Yield the rows in chunks of `most`."""
    for first in range(0, len(rows), most):
        yield rows[first : first + most]
