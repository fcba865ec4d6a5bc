"""`shapebias ablate` as a shell sees it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from shapebias.core.store.opening import open_store
from shapebias.precompute.memory import OutOfMemoryError
from shapebias.precompute.runner import Runner
from tests.support.cli import fails, succeeds

NO_WORKERS = ("--workers", "0")


@pytest.fixture(scope="module")
def ablated(
    make_store: Callable[..., Path], ablation_settings: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return make_store(tmp_path_factory.mktemp("ablate") / "robust.zarr", **ablation_settings)


def test_the_summary_is_of_the_stored_scores(ablated: Path, tmp_path: Path) -> None:
    records = json.loads(succeeds("ablate", ablated, "--json"))
    assert [record["layer"] for record in records] == ["conv4", "conv5"]
    stored = open_store(ablated).metric("demo-r", "conv5", "texture_score")
    assert records[1]["texture_total"] == stored.sum()
    assert records[1]["without_texture"] == pytest.approx((stored == 0).mean())
    plot = tmp_path / "scores.svg"
    assert len(succeeds("ablate", ablated, "--plot", plot).splitlines()) == 3
    assert b"<svg" in plot.read_bytes()
    head = succeeds("units", ablated, "--format", "csv", "--limit", "1").splitlines()[0]
    assert "shape_score,texture_score" in head


def test_one_unit_is_the_units_score(ablated: Path) -> None:
    """A group of one unit loses at most as many decisions as the unit's scores say, and exactly as many where no other
    image turns to shape or texture."""
    opened = open_store(ablated)
    score = opened.metric("demo-r", "conv5", "shape_score") + opened.metric("demo-r", "conv5", "texture_score")
    unit = int(np.argmax(score))
    assert score[unit] > 0
    (record,) = json.loads(
        succeeds("ablate", ablated, "--units", f"layer = conv5 and unit = {unit}", "--json", *NO_WORKERS)
    )
    decisions = opened.cue_conflict("demo-r")
    assert decisions is not None
    assert record["before"]["shape"] == (decisions.decision == decisions.shape).sum()
    assert record["before"]["texture"] == (decisions.decision == decisions.texture).sum()
    assert record["before"]["accuracy"] == pytest.approx(opened.models["demo-r"].top1)
    assert record["after"] != record["before"]
    assert (record["zeroed"], record["units"], record["labelled"]) == (1, 256, 16)


def test_groups_are_zeroed_in_smaller_parts_where_memory_is_short(
    ablated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("ablate", ablated, "--units", "layer = conv5 and unit < 9", "--json", *NO_WORKERS)
    whole, forward, refused = succeeds(*command), Runner.forward, []

    def short(self: Runner, pixels: Any, see: Any = None) -> Any:
        if len(pixels) > 5:
            refused.append(len(pixels))
            raise OutOfMemoryError("full")
        return forward(self, pixels, see)

    monkeypatch.setattr(Runner, "forward", short)
    assert succeeds(*command) == whole
    assert refused


def test_keep_zeroes_the_others_of_the_same_layers(ablated: Path) -> None:
    chosen = "(layer = conv4 or layer = conv5) and unit < 4"
    (kept,) = json.loads(succeeds("ablate", ablated, "--units", chosen, "--keep", "--json", *NO_WORKERS))
    others = "(layer = conv4 or layer = conv5) and unit >= 4"
    (zeroed,) = json.loads(succeeds("ablate", ablated, "--units", others, "--json", *NO_WORKERS))
    assert kept == zeroed
    assert kept["zeroed"] == 92 + 156
    text = succeeds("ablate", ablated, "--units", others, *NO_WORKERS)
    assert "demo-r: 248 of 256 units set to zero" in text
    assert "top-1 accuracy" in text
    assert "shape bias" in text


def test_mistakes_are_one_line(ablated: Path, small_store: Path, image_folder: Path, tmp_path: Path) -> None:
    assert "selects no unit" in fails(2, "ablate", ablated, "--units", "max > 1e30")
    assert "selects every unit of demo-r" in fails(2, "ablate", ablated, "--units", "unit >= 0")
    assert "at column" in fails(2, "ablate", ablated, "--units", "max >")
    assert "name them with --units" in fails(2, "ablate", ablated, "--keep")
    assert "leave out images, models and limits" in fails(2, "ablate", ablated, "--limit", 5)
    assert "has no ablation scores" in fails(1, "ablate", small_store)
    assert "figures are written as" in fails(2, "ablate", ablated, "--plot", tmp_path / "scores.txt")
    assert "no model" in fails(2, "ablate", ablated, "--units", "unit = 0", "--model", "Other=alexnet")
    unlabelled = ("--images", image_folder / "class0", *NO_WORKERS)
    assert "neither labelled" in fails(2, "ablate", small_store, "--units", "unit = 0", *unlabelled)


def test_other_weights_are_noticed(ablated: Path) -> None:
    line = fails(1, "ablate", ablated, "--units", "unit = 0", "--model", "demo-r=demo-s", *NO_WORKERS)
    assert "holds other weights now" in line


def test_a_store_is_not_trusted(ablated: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ablated, tmp_path / "copy.zarr"))
    group = zarr.open_group(copy, mode="a")["models/demo-r"]
    group.attrs["preprocessing"] = {"geometry": {"resize": -1}}  # type: ignore[union-attr]
    assert "preprocessing cannot be read" in fails(1, "ablate", copy, "--units", "unit = 0", *NO_WORKERS)
