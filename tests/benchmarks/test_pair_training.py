"""The pages of the pairs say the commands with which they were trained."""

import shlex
from itertools import pairwise

import pytest

from benchmarks.pair_training import command, log, trained
from shapebias.core.paper import DEMO_PAIR, PHOTO_PAIR


@pytest.mark.parametrize("name", DEMO_PAIR + PHOTO_PAIR)
def test_a_command_says_all_that_is_not_usual(name: str) -> None:
    words = shlex.split(command(name, "DATA"))
    recipe = trained(name).recipe
    assert words[:6] == ["shapebias", "train", "--data", "DATA", "--output", f"{name}.safetensors"]
    options = dict(pairwise(words))
    assert int(options["--epochs"]) == recipe["epochs"]
    assert options.get("--architecture", "small") == trained(name).architecture
    assert ("--flip" in words, int(options.get("--shift", 0))) == (recipe["flip"], recipe["shift"])
    attack = recipe["attack"]
    assert options.get("--adversarial") == (attack and attack["norm"])
    assert len(log(name)) == recipe["epochs"] + 7
