"""The published sets: their conditions, which of them count, and how conditions are compared."""

import pytest

from shapebias.core.ood.sets import PUBLISHED, condition_key, in_order, is_left_out


def test_there_are_seventeen_of_which_twelve_have_conditions() -> None:
    assert len(PUBLISHED) == 17
    assert sum(bool(one.conditions) for one in PUBLISHED.values()) == 12
    for name, one in PUBLISHED.items():
        assert set(one.left_out) < set(one.conditions) or not one.conditions, name
        assert [condition_key(condition) for condition in one.conditions] == list(one.conditions), "keys, all of them"


@pytest.mark.parametrize(
    ("written", "key"),
    [
        *[("0.10", "0.1"), ("3.0", "3"), (".55", "0.55"), ("inf", "inf"), ("0", "0"), ("c05", "c05"), ("True", "true")],
        *[("128-10-10", "128-10-10"), ("NaN", ""), ("", ""), ("pow", "pow"), ("bw", "bw")],
    ],
)
def test_one_condition_is_written_in_several_ways(written: str, key: str) -> None:
    assert condition_key(written) == key


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        *[("contrast", "c100"), ("high-pass", "inf"), ("uniform-noise", "0.00"), ("uniform-noise", "0.60")],
        *[("false-colour", "True"), ("eidolonI", "64-10-10"), ("eidolonIII", "16-0-10"), ("rotation", "0")],
    ],
)
def test_conditions_that_do_not_count(name: str, condition: str) -> None:
    assert is_left_out(name, condition)


@pytest.mark.parametrize(
    ("name", "condition"),
    [("contrast", "c50"), ("eidolonI", "32-10-10"), ("eidolonII", "16-3-10"), ("edge", "0"), ("mine", "c100")],
)
def test_conditions_that_count(name: str, condition: str) -> None:
    assert not is_left_out(name, condition)


def test_conditions_are_in_the_published_order_and_others_by_their_numbers() -> None:
    assert in_order("contrast", {"c05", "c100", "c99", "c50"}) == ["c100", "c50", "c05", "c99"]
    assert in_order("mine", {"10", "9", "b", "a2", "a10"}) == ["9", "10", "a2", "a10", "b"]
