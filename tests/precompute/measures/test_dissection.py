"""Dissection end to end: a store's counts against all maps kept, upsampled by torch in float64 and counted."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from shapebias.core.analysis.describe import store_text
from shapebias.core.analysis.dissection import count_detectors, detectors_text, dissection_facts, tally_csv
from shapebias.core.concepts import Concepts, LayerConcepts
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.store.concepts import layer_concepts, read_concepts
from shapebias.core.store.errors import StoreError
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.core.units.filter import filter_mask
from shapebias.core.units.table import load_units, unit_records
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.annotations import annotate, annotated_images
from shapebias.precompute.images.builtin.colours import COLOURS
from shapebias.precompute.images.builtin.drawing import SPLITS
from shapebias.precompute.images.builtin.export import export_builtin
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.progress import Silent
from shapebias.precompute.runner import prepare

IMAGES = 32
SATURATED = """

def saturated():
    network = build()
    network.block1.append(torch.nn.Hardtanh(0.0, 1e-4))
    return network
"""


@pytest.fixture(scope="module", autouse=True)
def few_images() -> Iterator[None]:
    """Fewer built-in images than usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPLITS, "cue-conflict", IMAGES)
        yield


@pytest.fixture(scope="module")
def whole_network(network_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, for whole images of 64 x 64: it crops nothing, so Broden's images are as the built-in ones."""
    path = tmp_path_factory.mktemp("network") / "whole.py"
    text = network_file.read_text().replace('"crop_pct": 0.8', '"crop_pct": 1.0').replace("32, 32", "64, 64")
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def dissected(make_store: Callable[..., Path], whole_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("store") / "dissected.zarr"
    models = [parse_spec(f"Tiny={whole_network}:build")]
    return open_store(make_store(path, models=models, images="builtin:cue-conflict", passes=("dissection",)))


def known(store: Store) -> Concepts:
    concepts = read_concepts(store)
    assert concepts is not None
    return concepts


def all_maps(network: Path, images_source: str) -> tuple[list[np.ndarray], list[list[np.ndarray]], Concepts]:
    """Every layer's maps [N, C, h, w], and for every image the concepts' masks bool [concepts, H, W]."""
    images, _ = find_images(images_source)
    runner = prepare(load_model(parse_spec(f"{network}:build")), images, choose_device("cpu", "auto"), "paper")
    every = annotate(annotated_images(images, None), runner.geometry)
    packed = np.stack([every.pack(bytes(images.root) + b"/" + path) for path in images.paths])
    labels = every.labels(packed)
    maps: dict[int, Tensor] = {}
    runner.forward(packed[:, 0], lambda index, output: maps.update({index: output.clone()}))
    numbers = np.arange(1, len(every.concepts) + 1)
    masks = [
        [(planes.reshape(-1, every.height, every.width) == number).any(0) for number in numbers]
        for planes in labels.planes
    ]
    return [maps[index].numpy() for index in range(len(maps))], masks, every.concepts


def test_counts_are_those_of_a_brute_force(dissected: Store, whole_network: Path) -> None:
    layers, masks, concepts = all_maps(whole_network, "builtin:cue-conflict")
    category = np.array(concepts.category)
    assert known(dissected) == concepts
    carrying = np.array(masks).reshape(IMAGES, len(concepts), -1)
    carried = np.stack([carrying[:, category == index].any((1, 2)) for index in range(4)], 1)
    for name, maps in zip(dissected.layers("Tiny"), layers, strict=True):
        threshold = dissected.metric("Tiny", name, "q995").astype(np.float64)
        large = interpolate(torch.from_numpy(maps).double(), (64, 64), mode="bilinear").numpy()
        above = (large > threshold[:, None, None]).reshape(IMAGES, len(threshold), -1)
        flat = [maps.transpose(1, 0, 2).reshape(maps.shape[1], -1).astype(np.float32) for maps in (above, carrying)]
        intersection = (flat[0] @ flat[1].T).astype(np.int64)
        union = np.zeros_like(intersection)
        for image in range(IMAGES):
            for concept in np.flatnonzero(carried[image, category]):
                union[:, concept] += (above[image] | carrying[image, concept]).sum(1)
        iou = intersection / np.maximum(union, 1)
        counts = layer_concepts(dissected, concepts, "Tiny", name)
        for index in range(4):
            members = np.flatnonzero(category == index)
            best = members[iou[:, members].argmax(1)]
            units = np.arange(len(best))
            np.testing.assert_array_equal(counts.label[:, index], best)
            np.testing.assert_array_equal(counts.intersection[:, index], intersection[units, best])
            both = counts.activation[:, index] + counts.truth[:, index] - counts.intersection[:, index]
            np.testing.assert_array_equal(both, union[units, best])
        undecided = ~above.any((0, 2))
        best, diversity = (np.where(undecided, np.nan, numbers) for numbers in (iou.max(1), (iou >= 0.04).sum(1)))
        np.testing.assert_allclose(dissected.metric("Tiny", name, "iou"), best, rtol=1e-6)
        np.testing.assert_array_equal(dissected.metric("Tiny", name, "concept_diversity"), diversity)


def test_a_broden_folder_gives_the_same_as_the_built_in_images(
    dissected: Store, make_store: Callable[..., Path], whole_network: Path, image_folder: Path, tmp_path: Path
) -> None:
    export_builtin(tmp_path / "new", "cue-conflict", None, 0, Silent(), broden=True)
    facts = {"models": [parse_spec(f"Tiny={whole_network}:build")], "images": str(image_folder)}
    folder = tmp_path / "new" / "cue-conflict"
    store = open_store(make_store(tmp_path / "broden.zarr", broden=folder, **facts))
    concepts = known(store)
    assert concepts == known(dissected)
    for layer in store.layers("Tiny"):
        counts, expected = (layer_concepts(opened, concepts, "Tiny", layer) for opened in (store, dissected))
        for kind in ("label", "intersection", "activation", "truth"):
            np.testing.assert_array_equal(getattr(counts, kind), getattr(expected, kind))
    (folder / "images" / "arrow" / "arrow-bricks-00000_object.png").unlink()
    store = open_store(make_store(tmp_path / "broken.zarr", broden=folder, **facts))
    attributes = store.attributes_of("concepts")
    assert attributes["images"] == IMAGES - 1
    assert attributes["skipped"] == [{"path": "arrow/arrow-bricks-00000.png", "reason": "a segmentation: no such file"}]


def test_no_usable_annotated_image_is_an_error(
    make_store: Callable[..., Path], network_file: Path, image_folder: Path, tmp_path: Path
) -> None:
    export_builtin(tmp_path / "new", "probe", 3, 0, Silent(), broden=True)
    folder = tmp_path / "new" / "probe"
    for file in folder.rglob("*_color.png"):
        file.unlink()
    with pytest.raises(
        ShapebiasError, match=r"none of the 3 annotated images in .* can be used: a segmentation: no such file"
    ):
        make_store(tmp_path / "none.zarr", broden=folder)
    assert not (tmp_path / "none.zarr").exists()


def test_any_folder_is_dissected_by_colours(concept_store: Path, image_folder: Path) -> None:
    store = open_store(concept_store)
    concepts = known(store)
    assert concepts.names == COLOURS
    assert concepts.categories == ("color",)
    counts = layer_concepts(store, concepts, "Tiny", "block1")
    assert (counts.truth[:, 0] > 0).any()
    images = list_images(image_folder)[0]
    assert (counts.activation <= len(images) * 32 * 32).all()
    table = load_units(store)
    assert set(table.columns["concept_category"].tolist()) <= {"color", ""}
    assert (table.columns["iou"] > 0).any()


def test_concepts_are_columns(dissected: Store) -> None:
    table = load_units(dissected)
    concepts = known(dissected)
    counts = layer_concepts(dissected, concepts, "Tiny", "block2")
    rows = [row for row in range(len(table)) if table.unit(row).layer == "block2"]
    for row, concept in zip(rows, counts.concept, strict=True):
        assert table.cell("concept", row) == (concepts.names[concept] if concept >= 0 else "")
    chosen = filter_mask("concept_category = color and iou > 0.01", table)
    expected = (table.columns["concept_category"] == "color") & (table.columns["iou"] > np.float32(0.01))
    np.testing.assert_array_equal(chosen, expected)
    order = [table.cell("concept", int(row)) for row in table.order("concept", ascending=True)]
    named = [name for name in order if name]
    assert named == sorted(named, key=str)
    assert order[: len(named)] == named
    record = unit_records(dissected, table, top=False)[rows[0]]
    assert record["concept"] == (table.cell("concept", rows[0]) or None)


def test_the_tally_is_in_the_reference_codes_format(dissected: Store) -> None:
    concepts = known(dissected)
    counts = layer_concepts(dissected, concepts, "Tiny", "block3")
    rows = list(csv.DictReader(io.StringIO(tally_csv(concepts, counts))))
    assert list(rows[0])[:6] == ["unit", "category", "label", "score", "color-label", "color-truth"]
    assert sorted(int(row["unit"]) for row in rows) == list(range(1, 34))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    for row in rows:
        assert float(row[f"{row['category']}-iou"]) == float(row["score"])
        assert row[f"{row['category']}-label"] == row["label"] != ""
        shared, active, truth = (int(row[f"part-{count}"]) for count in ("intersect", "activation", "truth"))
        assert float(row["part-iou"]) == pytest.approx(shared / max(active + truth - shared, 1))


def test_areas_as_in_netdissect_lite_are_recorded_and_smaller(
    dissected: Store, make_store: Callable[..., Path], whole_network: Path, tmp_path: Path
) -> None:
    models = [parse_spec(f"Tiny={whole_network}:build")]
    facts = {"models": models, "images": "builtin:cue-conflict", "passes": ("dissection",)}
    lite = open_store(make_store(tmp_path / "lite.zarr", iou_area="netdissect-lite", **facts))
    assert dissection_facts(lite)["iou_area"] == "netdissect-lite"
    assert dissection_facts(dissected)["iou_area"] == "published"
    assert "IoU area netdissect-lite" in store_text(lite)
    for layer in lite.layers("Tiny"):
        ours, theirs = (layer_concepts(store, known(store), "Tiny", layer) for store in (dissected, lite))
        assert (theirs.activation <= ours.activation).all()
        assert (theirs.iou >= ours.iou)[~np.isnan(theirs.iou)].all()
        assert (theirs.iou > ours.iou).any()
    with pytest.raises(UsageError, match="no --iou-area mine: there are published, netdissect-lite"):
        make_store(tmp_path / "mine.zarr", iou_area="mine", **facts)


def test_a_unit_without_any_overlap_is_named_after_the_first_category() -> None:
    concepts = Concepts(("red", "cat"), (1, 2), ("texture", "color", "object"))
    label = np.array([[-1, 0, 1], [-1, 0, 1]], np.int32)
    shared = np.array([[0, 0, 0], [0, 0, 5]], np.int64)
    fires = np.full((2, 3), 5)
    tally = tally_csv(concepts, LayerConcepts(label=label, intersection=shared, activation=fires, truth=fires))
    rows = list(csv.DictReader(io.StringIO(tally)))
    assert [(row["unit"], row["category"], row["label"]) for row in rows] == [
        ("2", "object", "cat"),
        ("1", "color", "red"),
    ]
    assert float(rows[1]["score"]) == 0


def test_detectors_are_counted_by_category(dissected: Store) -> None:
    concepts = known(dissected)
    counts = layer_concepts(dissected, concepts, "Tiny", "block1")
    (counted,) = count_detectors(dissected, concepts, [("Tiny", "block1")])
    detecting = [unit for unit in range(16) if counts.score[unit] >= 0.04]
    for index, category in enumerate(concepts.categories):
        units = [unit for unit in detecting if counts.best[unit] == index]
        assert counted.detectors[category] == len(units)
        assert counted.unique[category] == len({counts.concept[unit] for unit in units})
    assert counted.undecided == sum(not counts.activation[unit].any() for unit in range(16))
    assert f"{len(detecting)} (" in detectors_text([counted])


def test_equal_ious_go_to_the_first_category_and_units_without_one_have_no_concept() -> None:
    label = np.array([[0, 1], [0, 1], [0, -1]], np.int32)
    counts = np.array([[5, 5], [0, 0], [0, 0]], np.int64)
    counted = LayerConcepts(label=label, intersection=counts, activation=counts * 2 + [[0], [1], [0]], truth=counts * 2)
    assert counted.best.tolist() == [0, -1, -1]
    assert counted.concept.tolist() == [0, -1, -1]
    assert counted.score[:2].tolist() == [pytest.approx(5 / 15), 0]
    assert np.isnan(counted.score[2]), "it fires nowhere: what it detects is undecided"
    assert counted.undecided.tolist() == [False, False, True]


def test_units_whose_threshold_is_their_maximum_are_undecided(
    make_store: Callable[..., Path], whole_network: Path, tmp_path: Path
) -> None:
    """Every unit of a layer that ends at 1e-4 has more than 0.5 % of its positions there, unless it is dead."""
    text = whole_network.read_text()
    code = tmp_path / "saturated.py"
    code.write_text(text + SATURATED)
    run: dict[str, object] = {"models": [parse_spec(f"Low={code}:saturated")], "images": "builtin:cue-conflict"}
    store = open_store(make_store(tmp_path / "store.zarr", passes=("dissection",), **run))
    name = next(iter(store.layers("Low")))
    largest, threshold = (store.metric("Low", name, metric) for metric in ("max", "q995"))
    np.testing.assert_array_equal(largest, threshold)
    assert (largest > 0).any(), "not all are dead"
    for metric in ("iou", "concept_diversity"):
        assert np.isnan(store.metric("Low", name, metric)).all()
    (counted,) = count_detectors(store, known(store), [("Low", name)])
    assert counted.to_record() | {"detectors": 0, "unique_concepts": 0} == {
        "model": "Low",
        "layer": name,
        "units": 16,
        "undecided": 16,
        "detectors": 0,
        "unique_concepts": 0,
    }
    assert not any(counted.detectors.values())
    assert set(load_units(store, "Low", name).columns["concept"]) == {""}


def test_damage_is_one_line(dissected: Store, tmp_path: Path) -> None:
    import shutil

    import zarr

    copy = Path(shutil.copytree(dissected.path, tmp_path / "copy.zarr"))
    zarr.open_group(copy, mode="a")["concepts"].attrs["category"] = [99]
    with pytest.raises(StoreError, match="its concepts and their categories do not match"):
        load_units(open_store(copy))
    zarr.open_group(copy, mode="a")["concepts"].attrs.update(
        {"category": [0], "names": ["x"], "categories": list("abcd")}
    )
    with pytest.raises(StoreError, match="a label that is no concept"):
        load_units(open_store(copy))
