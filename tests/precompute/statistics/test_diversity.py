"""Diversity of top images against brute force over all pairs."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.analysis.describe import rulers_of, store_text
from shapebias.core.store import manifest
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_spec, parse_specs
from shapebias.precompute.statistics.diversity import class_diversity, mean_over_rulers, visual_diversity
from tests.support.plain_run import LAYERS, MODELS, PlainRun


@pytest.mark.slow
def test_only_a_third_network_measures_similarity(
    make_store: Callable[..., Path], network_file: Path, tmp_path: Path
) -> None:
    """It has the same architecture and other weights, and is in no other part of the store."""
    code = tmp_path / "net.py"
    code.write_text(network_file.read_text() + "\n\ndef other():\n    torch.manual_seed(9)\n    return Tiny()\n")
    facts: dict[str, object] = {"models": parse_specs([f"A={code}:build"]), "shard_size": 16}
    store = open_store(make_store(tmp_path / "a.zarr", embedding=parse_spec(f"Eye={code}:other"), **facts))
    swapped = facts | {"models": parse_specs([f"A={code}:build", f"Eye={code}:other"])}
    both = open_store(make_store(tmp_path / "b.zarr", **swapped))
    alone = open_store(make_store(tmp_path / "c.zarr", **facts))
    assert list(store.models) == ["A"]
    assert [(ruler.label, ruler.layer) for ruler in rulers_of(store)] == [("Eye", "block3")]
    assert [ruler.label for ruler in rulers_of(both)] == ["A", "Eye"]
    assert rulers_of(both)[1] == rulers_of(store)[0]
    assert "visual diversity by Eye block3" in store_text(store)
    assert "visual diversity by A block3, Eye block3 (the mean)" in store_text(both)
    for layer in LAYERS:
        eye, mean, own = (opened.metric("A", layer, "visual_diversity") for opened in (store, both, alone))
        np.testing.assert_allclose((eye + own) / 2, mean, rtol=1e-3, atol=1e-5)  # embeddings in float16 or float32
        assert np.nanmax(np.abs(eye - own)) > 0.001


def test_the_mean_is_over_the_networks_whose_similarity_is_defined() -> None:
    nan = np.nan
    distances = [[np.float32([1, nan, 3, nan])], [np.float32([2, 5, nan, nan])]]
    np.testing.assert_array_equal(mean_over_rulers(distances)[0], np.float32([1.5, 5, 3, nan]))


def test_early_and_joined_stores_name_the_networks_that_measure_similarity(small_store: Path, tmp_path: Path) -> None:
    early = Path(shutil.copytree(small_store, tmp_path / "early.zarr"))
    group = zarr.open_group(early, mode="a")
    attributes = dict(group.attrs)
    del attributes["rulers"]
    group.attrs.put(attributes)
    shutil.rmtree(early / manifest.ARRAY)
    assert [(ruler.label, ruler.layer) for ruler in rulers_of(open_store(early))] == [("Tiny", "block3")]
    assert "visual diversity by Tiny block3" in store_text(open_store(early))
    group.attrs["rulers"] = [{"label": "X"}]
    with pytest.raises(StoreError, match="its rulers lack facts about their networks"):
        rulers_of(open_store(early))


def blocks(embeddings: np.ndarray, size: int = 7) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(embeddings), size):
        yield first, embeddings[first : first + size]


def mean_distance(vectors: np.ndarray) -> float:
    """The mean cosine distance over all pairs."""
    vectors = [vector.astype(np.float64) for vector in vectors if np.abs(vector).max() > 0]
    pairs = [1 - a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in combinations(vectors, 2)]
    return float(np.mean(pairs)) if pairs else np.nan


def effective_number(labels: list[int]) -> float:
    """exp(entropy), by logarithms of base 2."""
    counts = np.array(list(Counter(label for label in labels if label >= 0).values()))
    if not len(counts):
        return np.nan
    share = counts / counts.sum()
    return float(2 ** -(share * np.log2(share)).sum())


@pytest.mark.parametrize("model", MODELS)
def test_a_stores_diversities(plain_run: PlainRun, model: str) -> None:
    """Two rulers for both: the last layer of either."""
    rulers = [plain_run.maps(ruler, plain_run.pixels)["block3"].mean((2, 3)) for ruler in MODELS]
    for layer in LAYERS:
        top = plain_run.store.top_lists(model, layer, "image")
        visual = [np.mean([mean_distance(embeddings[row]) for embeddings in rulers]) for row in top]
        np.testing.assert_allclose(
            plain_run.store.metric(model, layer, "visual_diversity"), visual, rtol=2e-2, atol=1e-4
        )
        classes = [effective_number(plain_run.labels[row].tolist()) for row in top]
        np.testing.assert_allclose(plain_run.store.metric(model, layer, "class_diversity"), classes, rtol=1e-6)


def test_equal_images_have_no_diversity_and_images_of_all_classes_have_the_largest() -> None:
    top = np.arange(25)[None].repeat(3, 0)
    same = np.random.default_rng(0).normal(size=(1, 40)).astype(np.float16).repeat(25, 0)
    np.testing.assert_allclose(visual_diversity([top], blocks(same), 40)[0], 0, atol=1e-6)
    np.testing.assert_allclose(visual_diversity([top], blocks(np.eye(25, dtype=np.float16)), 25)[0], 1, rtol=1e-6)
    np.testing.assert_allclose(class_diversity(top, np.arange(25, dtype=np.int32)), 25, rtol=1e-6)
    np.testing.assert_allclose(class_diversity(top, np.full(25, 3, np.int32)), 1, rtol=1e-6)


def test_opposite_images_are_as_far_apart_as_can_be() -> None:
    pair = np.array([[1, 2], [-2, -4]], np.float16)
    assert visual_diversity([np.array([[0, 1]])], blocks(pair), 2)[0] == [2]


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 30),
    k=st.integers(1, 8),
    size=st.integers(1, 12),
    rows=st.integers(1, 31),
)
def test_any_top_lists_equal_brute_force(seed: int, images: int, k: int, size: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    embeddings = random.normal(random.uniform(0, 3), 1, (images, size)).astype(np.float16)
    embeddings[random.random(images) < 0.2] = 0
    labels = random.integers(-1, 4, images).astype(np.int32)
    layers = []
    for units in (5, 1):
        lists = [random.permutation(images)[:k] for _ in range(units)]
        layers.append(np.array([[*images, *[-1] * (k - len(images))] for images in lists]))
        layers[-1][random.random((units, k)) < 0.1] = -1
    by_layer = visual_diversity(layers, blocks(embeddings, rows), size)
    for lists, distances in zip(layers, by_layer, strict=True):
        expected = [mean_distance(embeddings[row[row >= 0]]) for row in lists]
        np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-6)
        classes = [effective_number(labels[row[row >= 0]].tolist()) for row in lists]
        np.testing.assert_allclose(class_diversity(lists, labels), classes, rtol=1e-6)
