"""Rows checked in bfloat16: the decisions are those of float32, however close."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shapebias.precompute.ablation.bfloat16 import Bfloat16Check, DecisionRows, DecisionRule, category_choice
from shapebias.precompute.device import BF16, CPU, Device

ROOM = 1_000_000
ROWS, MOST = 700, 200
BY_CLASS = DecisionRule(lambda scores: scores.argmax(1).int().numpy(), lambda scores: scores)


class SteppingClock:
    """A clock that goes on by what each row takes, in float32 and in bfloat16."""

    def __init__(self, exact: float, rough: float) -> None:
        self.now, self.exact, self.rough = 0.0, exact, rough

    def __call__(self) -> float:
        return self.now

    def run(self, rows: int) -> None:
        self.now += rows * (self.rough if torch.is_autocast_enabled("cpu") else self.exact)


def rows_of(exact: Tensor, rough: Tensor, known: int, clock: SteppingClock) -> DecisionRows:
    """Rows whose scores [R, classes] are these in float32 and in bfloat16."""

    def scores(some: Tensor) -> Tensor:
        clock.run(len(some))
        return (rough if torch.is_autocast_enabled("cpu") else exact)[some]

    return DecisionRows(scores, BY_CLASS, np.full(len(exact), known, np.int32), device=CPU.device, most=MOST)


def made(clock: SteppingClock) -> Bfloat16Check:
    check = Bfloat16Check(nn.Linear(2, 2), CPU, ROOM)
    check._clock = clock
    return check


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0.01, 100), missing=st.booleans())
def test_close_decisions_are_those_of_float32(seed: int, spread: float, missing: bool) -> None:
    """Leads from far within the errors to a hundred times as large, and scores that are not finite."""
    random = torch.Generator().manual_seed(seed)
    exact = spread * torch.randn(ROWS, 5, generator=random)
    exact[:, 0] = exact[:, 1:].amax(1) + spread * (torch.rand(ROWS, generator=random) - 0.1)
    rough = exact + 2 * torch.rand(ROWS, 5, generator=random) - 1
    if missing:
        rough[::50] = torch.nan
    clock = SteppingClock(1, 0.3)
    check, rows = made(clock), rows_of(exact, rough, 0, clock)
    check.decide(rows)
    assert (rows.decided == exact.argmax(1).numpy()).all()
    assert (check.rows, check.again) == (ROWS, int(rows.done.sum()))
    if spread > 50:
        assert check.share() == f"{check.again / ROWS:.0%}"
        assert check.again < ROWS / 2
    if spread < 0.1:
        assert (rough.argmax(1) != exact.argmax(1)).any()
        assert check.share().endswith("% of the first rows, then all (too few rows were certain)")


def test_a_model_that_decided_nothing_is_run_in_float32() -> None:
    exact = torch.randn(ROWS, 5)
    clock = SteppingClock(1, 0.3)
    rows = rows_of(exact, exact, -1, clock)
    made(clock).decide(rows)
    assert rows.done.all()
    assert (rows.decided == exact.argmax(1).numpy()).all()


def test_it_is_given_up_where_it_is_no_faster_or_fails() -> None:
    exact = torch.randn(ROWS, 5) + torch.tensor([100.0, 0, 0, 0, 0])
    clock = SteppingClock(1, 0.9)
    check, rows = made(clock), rows_of(exact, exact, 0, clock)
    check.decide(rows)
    assert check.given_up == "bfloat16 is no faster here"
    assert not rows.done[:MOST].all()
    assert rows.done[MOST:].all()  # the first forward was the only one
    before = clock.now
    check.decide(rows_of(exact, exact, 0, clock))
    assert clock.now - before == ROWS  # nothing in bfloat16 any more

    def fails(some: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not in bfloat16")
        return exact[some]

    check, rows = made(clock), DecisionRows(fails, BY_CLASS, np.zeros(ROWS, np.int32), device=CPU.device, most=MOST)
    check.decide(rows)
    assert check.given_up == "the network fails in bfloat16 (RuntimeError)"
    assert rows.done.all()


def test_few_rows_other_precisions_and_little_memory_are_not_checked() -> None:
    exact = torch.randn(ROWS, 5)
    clock = SteppingClock(1, 0.3)
    for check, count in (
        (made(clock), 400),
        (Bfloat16Check(nn.Linear(2, 2), Device(CPU.device, BF16), ROOM), ROWS),
        (Bfloat16Check(nn.Linear(1000, 1000), CPU, ROOM), ROWS),
    ):
        rows = rows_of(exact[:count], exact[:count], 0, clock)
        check.decide(rows)
        assert rows.done.all()
        assert check.rows == 0


def test_the_evidence_of_a_category_is_its_mean_probability() -> None:
    choice = category_choice({"a": [0, 3], "b": [1], "c": [2, 4, 5]})
    scores = torch.randn(100, 7) * 5
    assert (choice.evidence(scores).argmax(1).numpy() == choice.decide(scores)).all()
    lead = choice.lead(scores, torch.from_numpy(choice.decide(scores)).long())
    assert (lead > 0).all()
    assert torch.isnan(choice.lead(scores[:1], torch.tensor([-1]))).all()
