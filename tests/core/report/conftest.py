"""Stores that have something of everything that a report can say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec

from shapebias.core.report.page import html_of
from shapebias.core.report.report import report_of
from shapebias.core.report.scope import Scope, scope_of
from shapebias.core.store.opening import open_store
from shapebias.core.units.marks import Marks
from tests.support.cue_conflict_store import STIMULI, add_cue_conflict
from tests.support.hostile_store import CLOSING, MARKUP, hostile_copy
from tests.support.map_scores import add_scores

CATEGORIES = ["cat", "dog", "elephant", "knife"]
DECIDED = {"Tiny": [0, 2, 3, 2], "R": [0, 0, 1, 2]}


@pytest.fixture(scope="session")
def two_networks(make_store: Callable[..., Path], network_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of Tiny and R, the same network with other weights: all passes that need no files, decisions for
    cue-conflict images, scored attribution maps. Do not change it."""
    from shapebias.precompute.attacks.attack import parse_attack
    from shapebias.precompute.models.spec import parse_spec

    folder = tmp_path_factory.mktemp("report")
    other = folder / "other.py"
    other.write_text(network_file.read_text().replace("manual_seed(0)", "manual_seed(1)"))
    path = make_store(
        folder / "two.zarr",
        models=[parse_spec(f"Tiny={network_file}:build"), parse_spec(f"R={other}:build")],
        passes=("noise", "sensitivity", "distortions", "dissection"),
        distortions=("grey", "shuffle-2", "shuffle-4", "noise"),
        attacks=(parse_attack("l2:0.5"),),
    )
    add_cue_conflict(path, CATEGORIES, STIMULI, shape=[0, 0, 1, 2], texture=[1, 2, 0, 1], decision=DECIDED["Tiny"])
    zarr.open_group(path, mode="a").create_array(
        "models/R/cue_conflict/decision",
        data=np.asarray(DECIDED["R"], np.int32),
        compressors=[Crc32cCodec()],
        config={"write_empty_chunks": True},
    )
    add_scores(path)
    return path


@pytest.fixture
def scope(two_networks: Path) -> Scope:
    return scope_of(open_store(two_networks), None, light=False)


@pytest.fixture(scope="session")
def hostile_store(concept_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose names are markup. Do not change it."""
    return hostile_copy(concept_store, tmp_path_factory.mktemp("hostile") / "hostile.zarr")


@pytest.fixture(scope="session")
def hostile_page(hostile_store: Path) -> Path:
    """A light report of it, with a marked unit whose note is markup."""
    store = open_store(hostile_store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(hostile_store.parent))
        marks = Marks(store)
        marks.load()
        marks.set(store.unit(f"{MARKUP}/block3/0"), CLOSING)
        file = hostile_store.parent / "report.html"
        file.write_text(html_of(report_of(scope_of(store, None, light=True)), CLOSING), "utf-8")
    return file
