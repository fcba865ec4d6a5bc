"""The layers at the left: how many units, how smooth, how many detectors."""

import shutil
from pathlib import Path

import numpy as np
from textual.pilot import Pilot

from shapebias.core.concepts import DETECTOR
from shapebias.core.store.opening import open_store
from shapebias.tui.app import Explorer
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.widgets.text_plots import bar
from tests.support.explorer_pilot import exploring
from tests.support.old_store import as_version_1


async def lines(app: Explorer, pilot: Pilot[None]) -> list[str]:
    """The model's line, then one a layer, once all of their numbers are there."""
    branch = app.layers.root.children[1]  # the first is for all layers
    for _ in range(200):
        await pilot.pause(0.01)
        labels = [str(node.label) for node in [branch, *branch.children]]
        if "█" in "".join(labels):
            return labels
    raise AssertionError("the numbers never came")


async def test_layers_say_how_smooth_they_are_and_how_many_detect(concept_store: Path) -> None:
    store = open_store(concept_store)
    async with exploring(store, Graphics.NONE) as (app, pilot):
        width = app.layers.size.width
        head, *layers = await lines(app, pilot)
        assert head.split() == ["Tiny", "units", "smooth", "det."]
        assert app.layers.size.width == width, "nothing has moved"
    means = []
    for name in store.layers("Tiny"):
        alive = store.metric("Tiny", name, "max") > 0
        means.append(store.metric("Tiny", name, "smoothness")[alive].astype(float).mean())
    low, high = min(means), max(means)
    for line, mean, (name, info) in zip(layers, means, store.layers("Tiny").items(), strict=True):
        share = 0.15 + 0.85 * (mean - low) / (high - low)  # from the roughest layer to the smoothest
        detectors = int((store.metric("Tiny", name, "iou") >= np.float32(DETECTOR)).sum())
        assert line.split() == [name, str(info.units), bar(share, 6).strip(), str(detectors)]


async def test_without_dissection_there_are_no_detectors(small_store: Path) -> None:
    async with exploring(open_store(small_store), Graphics.NONE) as (app, pilot):
        head, *layers = await lines(app, pilot)
        assert head.split() == ["Tiny", "units", "smooth"]
        assert all(len(line.split()) == 3 for line in layers)


async def test_damage_elsewhere_does_not_matter(store_copy: Path) -> None:
    early = as_version_1(store_copy, store_copy.with_name("early.zarr"))
    shutil.rmtree(early / "models/Tiny/layers/block2/metrics/smoothness")
    (early / "models/Tiny/layers/block3/metrics/smoothness/c/0").write_bytes(b"\xff" * 4)
    async with exploring(open_store(early), Graphics.NONE) as (app, pilot):
        await pilot.pause(0.4)
        assert app.units.row_count == 16
