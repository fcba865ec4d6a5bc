"""The screens of a layer and of the models: their numbers are those of the store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from textual.containers import VerticalScroll
from zarr.codecs import Crc32cCodec

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.comparison import living
from shapebias.core.analysis.criteria import criteria, criteria_rows
from shapebias.core.analysis.dissection import count_detectors
from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text
from shapebias.core.store.concepts import read_concepts
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.tui.screens.layer import LayerScreen
from shapebias.tui.screens.models import ModelScreen
from tests.support.explorer_pilot import exploring, press, screen_lines, session_of
from tests.support.map_scores import add_scores
from tests.support.ood_store import add_set

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rich_store(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    passes = ("noise", "distortions", "dissection")
    return make_store(tmp_path_factory.mktemp("rich") / "rich.zarr", passes=passes, distortions=("grey", "shuffle-2"))


@pytest.mark.parametrize("size", [(160, 48), (60, 15)])
async def test_keys_open_and_close_them(rich_store: Path, size: tuple[int, int]) -> None:
    async with exploring(open_store(rich_store), size=size) as (app, pilot):
        for key, screen in (("l", LayerScreen), ("o", ModelScreen)):
            await press(app, pilot, key)
            assert isinstance(app.screen, screen)
            await pilot.pause(0.05)
            view = app.screen.query_one(VerticalScroll)
            before = view.scroll_y
            await pilot.press("j")
            assert view.scroll_y > before or view.max_scroll_y == 0
            await pilot.press(key)
            assert not isinstance(app.screen, screen)


def lines_of(screen: LayerScreen, part: str) -> list[str]:
    return [line.plain for line in getattr(screen, part)(70)]


def test_a_layers_numbers_are_the_stores(rich_store: Path) -> None:
    store = open_store(rich_store)
    screen = LayerScreen(session_of(store), ("Tiny", "block2"))
    metric_lines = lines_of(screen, "metrics")
    for name in ("smoothness", "max", "tv_noisy"):
        values = living(store, "Tiny", "block2", name)
        [line] = [
            metric_line for metric_line in metric_lines if metric_line.startswith(f"{METRICS[name].title} ".ljust(14))
        ]
        parts = line.split()
        assert parts[2] == number_text(float(np.median(values)))
        assert parts[3] == number_text(float(values.min()))
        assert parts[-1] == number_text(float(values.max()))
    concepts = read_concepts(store)
    assert concepts is not None
    [detectors_by_category] = count_detectors(store, concepts, [("Tiny", "block2")])
    detectors = lines_of(screen, "detectors")
    for category, count in detectors_by_category.detectors.items():
        assert any(
            detector_line.startswith(category) and detector_line.endswith(f" {count}") for detector_line in detectors
        ) == bool(count)
    assert screen.noise(70, 10)[0].plain == "total variation: clean images to the right, noisy images up"


def test_filters_are_shown_of_the_first_layer_only(rich_store: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(rich_store, tmp_path / "copy.zarr"))
    kernels = np.random.default_rng(0).normal(size=(24, 3, 5, 5)).astype(np.float32)
    group = zarr.open_group(copy, mode="r+")["models/Tiny"]
    assert isinstance(group, zarr.Group)
    if "filters" in group:
        del group["filters"]
    group.create_array("filters", data=kernels, compressors=[Crc32cCodec()])
    store = open_store(copy)
    assert lines_of(LayerScreen(session_of(store), ("Tiny", "block2")), "filters") == []
    filter_lines = lines_of(LayerScreen(session_of(store), ("Tiny", "block1")), "filters")
    assert filter_lines[0] == "filters of Tiny"
    assert {len(line) for line in filter_lines[1:-1]} == {6 * 11 + 1}, "eleven in a row of 70 cells"


def test_what_a_store_lacks_is_said(make_store: Callable[..., Path], tmp_path: Path) -> None:
    store = open_store(make_store(tmp_path / "bare.zarr", passes=()))
    screen = LayerScreen(session_of(store), ("Tiny", "block2"))
    assert "--passes noise" in screen.noise(70, 10)[0].plain
    assert "--passes dissection" in lines_of(screen, "detectors")[0]
    text = ModelScreen(session_of(store)).text(100).plain
    assert "no shape bias: the store was made without --cue-conflict DIR" in text
    assert "without --passes distortions" in text
    assert "no accuracy out of distribution: the store was made without --ood NAME=IMAGES" in text


def test_the_models_accuracies_are_the_stores(rich_store: Path) -> None:
    store = open_store(rich_store)
    text = ModelScreen(session_of(store)).text(120).plain
    for accuracy in accuracies(store):
        [line] = [line for line in text.splitlines() if line.startswith(f"{accuracy.condition} ")]
        assert line.endswith(f"{accuracy.accuracy:6.1%}")
    assert store.models["Tiny"].weights_sha256[:8] in text


def test_chance_is_said_where_a_network_has_some_of_the_sixteen_categories(cue_conflict_store: Path) -> None:
    text = ModelScreen(session_of(open_store(cue_conflict_store))).text(120).plain
    assert "4 categories (cat, dog, elephant, knife): " in text
    assert "by chance 25.0% of" in text


def test_sets_of_stimuli_have_a_bar_each_and_their_mean(store_copy: Path) -> None:
    images = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
    add_set(store_copy, "edge", images, ["cat", "cat", "cat", "dog"])
    add_set(store_copy, "silhouette", images, ["cat", "dog", "cat", "dog"])
    lines = ModelScreen(session_of(open_store(store_copy))).text(100).plain.splitlines()
    first = lines.index("accuracy out of distribution")
    rows = [(line.split()[0], line.split()[-1]) for line in lines[first + 1 : first + 4]]
    assert rows == [("edge", "75.0%"), ("silhouette", "50.0%"), ("mean", "62.5%")]


def test_shape_bias_is_by_category(cue_conflict_store: Path) -> None:
    text = ModelScreen(session_of(open_store(cue_conflict_store))).text(120).plain
    assert "Tiny  0.667" in text, "of three decisions two are by shape"
    assert "(2 shape, 1 texture, 1 other, model stimuli)" in text, "a store that does not say it was made so"
    named = [line.split()[0] for line in text.splitlines() if line.startswith(("cat", "dog", "elephant"))]
    assert named == ["cat", "dog", "elephant"]


def test_layers_of_the_same_name_are_side_by_side(small_store: Path, rich_store: Path) -> None:
    store = open_stores([small_store, rich_store])
    metric_lines = lines_of(LayerScreen(session_of(store), ("Tiny@rich", "block2")), "metrics")
    first = next(index for index, line in enumerate(metric_lines) if line.startswith("smooth "))
    assert ("○" in metric_lines[first], "■" in metric_lines[first + 1]) == (True, True)


@pytest.fixture
def criteria_store(store_copy: Path, tmp_path: Path) -> Path:
    """The folder of two stores, `copy.zarr` with all three criteria and `bare.zarr` with accuracy alone."""
    shutil.copytree(store_copy, tmp_path / "bare.zarr")
    images = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
    add_set(store_copy, "edge", images, ["cat", "cat", "cat", "dog"])
    add_scores(store_copy)
    return tmp_path


@pytest.mark.parametrize("size", [(160, 48), (80, 24), (60, 15)])
async def test_the_criteria_are_those_of_info(criteria_store: Path, size: tuple[int, int]) -> None:
    store = open_stores([criteria_store / "copy.zarr", criteria_store / "bare.zarr"])
    rows = criteria_rows(criteria(store))
    async with exploring(store, size=size) as (app, pilot):
        await press(app, pilot, "o")
        text = "\n".join(line.text.rstrip() for line in screen_lines(app))
        screen = app.screen
        assert isinstance(screen, ModelScreen)
        page = screen.text(size[0] - 4).plain
    assert "criteria" in text
    lines = page[page.index("criteria") :].partition("\n\n")[0]
    assert max(map(len, lines.splitlines())) <= size[0] - 4
    for head, first, second in zip(*rows, strict=True):
        assert head in lines
        assert first in lines
        assert second in lines
    marked = [line for line in lines.splitlines() if line.startswith("■ ")]
    assert marked[0].split()[1:3] == ["Tiny@bare", rows[2][1].split()[0]]
    assert "–" in marked[0], "it has no accuracy out of distribution, which is not 0"
    flat = " ".join(lines.split())
    assert "no accuracy out of distribution of Tiny@bare: precompute it with --ood NAME=IMAGES" in flat
    assert "explainability: insertion / max (higher is better), the mean over gradient; rise; grad-cam; center" in flat


def test_without_criteria_one_line_says_how(small_store: Path) -> None:
    text = ModelScreen(session_of(open_store(small_store))).text(100).plain
    assert "no explainability: the store was made without --passes attribution" in text
    assert "criteria" not in text
