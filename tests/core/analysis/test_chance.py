"""Class diversity by chance: against all draws of a few images, and a formula for two."""

import json
import math
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.analysis.chance import chance_class_diversity, chance_text, class_diversity_by_chance
from shapebias.core.store.opening import open_store
from shapebias.tui.screens.details import DetailsScreen
from shapebias.tui.screens.layer import LayerScreen
from tests.support.explorer_pilot import exploring, press, screen_lines


def effective(labels: tuple[int, ...]) -> float:
    counts = Counter(label for label in labels if label >= 0)
    total = sum(counts.values())
    return math.exp(-sum(n / total * math.log(n / total) for n in counts.values())) if total else math.nan


@pytest.mark.parametrize(
    ("labels", "count"),
    [([0, 0, 0, 1, 1, 2, 3, 3], 3), ([0, 0, 0, 0, 1, 2], 4), ([0, 1, 1, -1, -1, 2, 2], 3), ([0, 1, 2], 5)],
)
def test_it_is_the_mean_over_all_draws(labels: list[int], count: int) -> None:
    every = [effective(drawn) for drawn in combinations(labels, min(count, len(labels)))]
    expected = np.nanmean(every)
    assert chance_class_diversity(np.array(labels, np.int32), count) == pytest.approx(expected, abs=0.05)


def test_two_images_by_the_formula() -> None:
    sizes = np.array([50, 30, 15, 5])
    labels = np.repeat(np.arange(4), sizes).astype(np.int32)
    same = (sizes * (sizes - 1)).sum() / (100 * 99)
    assert chance_class_diversity(labels, 2) == pytest.approx(1 * same + 2 * (1 - same), abs=0.04)


def test_25_images_of_16_balanced_classes_give_11_and_not_16() -> None:
    labels = np.tile(np.arange(16, dtype=np.int32), 125)
    assert chance_class_diversity(labels, 25) == pytest.approx(11.4, abs=0.1)


def test_without_labels_there_is_no_chance_level() -> None:
    assert math.isnan(chance_class_diversity(np.full(9, -1, np.int32), 3))


async def test_it_is_shown(small_store: Path) -> None:
    store = open_store(small_store)
    chance = class_diversity_by_chance(store, "Tiny", "block1")
    assert chance is not None
    count, expected = chance
    assert count == store.top(store.unit("Tiny/block1/0")).image.size
    assert 1 < expected < count
    facts = json.loads(CliRunner().invoke(app, ["info", str(small_store), "--json"]).output)
    assert facts["class_diversity_by_chance"] == {"images": count, "classes": expected}
    assert chance_text(chance) in CliRunner().invoke(app, ["info", str(small_store)]).output
    async with exploring(store, unit="Tiny/block1/0") as (app_, pilot):
        await press(app_, pilot, "d")
        assert isinstance(app_.screen, DetailsScreen)
        assert chance_text(chance) in "".join(line.text for line in screen_lines(app_))
        await press(app_, pilot, "d", "l")
        assert isinstance(app_.screen, LayerScreen)
        assert chance_text(chance) in "".join(line.text for line in screen_lines(app_))
