"""Attacks by name."""

import pytest

from shapebias.core.errors import UsageError
from shapebias.precompute.attacks.attack import Attack, parse_attack


@pytest.mark.parametrize(
    ("text", "norm", "epsilon"), [("l2:3", "l2", 3), ("linf:0.016", "linf", 0.016), ("linf:4/255", "linf", 4 / 255)]
)
def test_attacks_are_parsed(text: str, norm: str, epsilon: float) -> None:
    assert parse_attack(text) == Attack(norm, epsilon, 20, 2.5 * epsilon / 20)


@pytest.mark.parametrize(
    "text",
    ["", "l2", "l2:", "l3:1", "l2:0", "l2:-1", "l2:nan", "linf:inf", "l2:1:2", "linf:/255", "linf:4/256", "\x1b:1"],
)
def test_attacks_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="NORM:EPSILON"):
        parse_attack(text)
