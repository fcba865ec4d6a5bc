"""Units that saturate: many images reach their maximum, and which of them are listed depends on no order."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.table import load_units
from shapebias.precompute.images.image_set import image_keys
from shapebias.precompute.models.spec import parse_spec
from tests.support.explorer_pilot import exploring
from tests.support.old_store import as_version_1

LOW = """

def saturated():
    network = build()
    network.block2.append(torch.nn.Hardtanh(0.0, 0.02))
    return network
"""


@pytest.fixture(scope="module")
def stores(
    make_store: Callable[..., Path], network_file: Path, image_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Store]:
    """Those of one network over a list of images, and over the reversed list in other batches and shards."""
    root = tmp_path_factory.mktemp("ties")
    code = root / "net.py"
    code.write_text(network_file.read_text() + LOW)
    paths = sorted(map(str, image_folder.rglob("*.*")))
    made = []
    for number, listed in enumerate((paths, paths[::-1])):
        (root / f"{number}.txt").write_text("\n".join(listed))
        facts: dict[str, object] = {"models": [parse_spec(f"Low={code}:saturated")], "layers": "block2"}
        facts |= {"images": str(root / f"{number}.txt"), "batch_size": (25, 10)[number], "shard_size": (50, 10)[number]}
        made.append(open_store(make_store(root / f"{number}.zarr", **facts)))
    return made[0], made[1]


def test_the_order_of_the_listing_changes_no_top_list(stores: tuple[Store, Store]) -> None:
    lists = []
    for store in stores:
        image = store.top_lists("Low", "block2", "image")
        lists.append([[store.image_paths[index] for index in row] for row in image.tolist()])
    assert stores[0].image_paths == stores[1].image_paths[::-1]
    assert lists[0] == lists[1]
    np.testing.assert_array_equal(*(store.metric("Low", "block2", "tied") for store in stores))


def test_ties_are_counted_and_broken_by_the_mean_then_the_path(stores: tuple[Store, Store]) -> None:
    store = stores[0]
    activation = np.asarray(store.activations("Low", "block2", "max")[...])
    average = np.asarray(store.activations("Low", "block2", "mean")[...]).astype(float)
    largest = store.metric("Low", "block2", "max")
    tied = store.metric("Low", "block2", "tied")
    np.testing.assert_array_equal(tied, (activation == largest.astype(np.float16)).sum(0))
    assert (tied > 6).sum() > 10, "more than a list holds"
    image = store.top_lists("Low", "block2", "image")
    keys = image_keys(store.image_paths, seed=0)
    for unit in np.flatnonzero(tied > 6).tolist():
        chosen, others = (
            image[unit],
            np.setdiff1d(np.flatnonzero(activation[:, unit] == largest[unit].astype("f2")), image[unit]),
        )
        assert average[chosen, unit].min() >= average[others, unit].max()
        if largest[unit] == 0:  # dead: all means are 0, too
            assert chosen.tolist() == np.argsort(keys)[:6].tolist()


def test_keys_are_of_the_path_and_the_seed() -> None:
    paths = [f"class{number % 3}/{number}.png".encode() for number in range(2000)]
    keys = image_keys(paths, 0)
    np.testing.assert_array_equal(image_keys(paths[::-1], 0), keys[::-1])
    assert len(set(keys.tolist())) == 2000
    assert not np.array_equal(image_keys(paths, 1), keys)
    assert abs((keys > 0).mean() - 0.5) < 0.05


async def test_the_explorer_says_how_many_tie(stores: tuple[Store, Store]) -> None:
    tied = stores[0].metric("Low", "block2", "tied")
    unit = int(np.argmax((tied > 6) & (tied < 50)))
    async with exploring(stores[0], unit=f"Low/block2/{unit}") as (app, _):
        card = str(app.panel.query_one(".card").render())
        assert f"one of {tied[unit]:.0f} images with the maximum" in card


async def test_an_early_store_does_not_know_them(stores: tuple[Store, Store], tmp_path: Path) -> None:
    copy = as_version_1(Path(stores[0].path), tmp_path / "early.zarr")
    shutil.rmtree(copy / "models/Low/layers/block2/metrics/tied")
    (copy / "manifest.json").unlink()
    store = open_store(copy)
    assert "tied" not in load_units(store).columns
    async with exploring(store) as (app, _):
        assert "with the maximum" not in str(app.panel.query_one(".card").render())
