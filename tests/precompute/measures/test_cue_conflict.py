"""Decisions for cue-conflict images, image for image: softmax, mean over a category's classes, the largest."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.shape_bias.decisions import score
from shapebias.core.shape_bias.recorded import read_decisions
from shapebias.core.store.opening import open_store
from shapebias.precompute.images.builtin.drawing import SHAPES, SPLITS, TEXTURES, draw_path
from shapebias.precompute.models.load import SHIPPED
from shapebias.precompute.models.own.photo_cnn import PhotoCNN
from shapebias.precompute.models.own.small_cnn import SmallCNN
from shapebias.precompute.models.spec import PAIR, parse_specs
from shapebias.precompute.models.trained import Trained, trained_bytes, usual_preprocessing
from tests.support.plain_run import MODELS, PlainRun, native_pixels


@pytest.mark.parametrize("model", MODELS)
def test_decisions_by_a_file_of_categories(plain_run: PlainRun, model: str) -> None:
    conflict = plain_run.store.cue_conflict(model)
    assert conflict is not None
    categories = json.loads(plain_run.categories.read_text())
    assert conflict.categories == list(categories)
    files = [plain_run.conflict / name for name in conflict.images]
    assert files == sorted(path for path in plain_run.conflict.glob("*/*-*.png") if path.stem != "dog91-cat1")
    assert len(files) == 19
    scores = np.exp(plain_run.scores(model, native_pixels(files)).astype(np.float64))
    shares = scores / scores.sum(1, keepdims=True)
    means = np.stack([shares[:, classes].mean(1) for classes in categories.values()], 1)
    np.testing.assert_array_equal(conflict.decision, means.argmax(1))
    assert len(np.unique(conflict.decision)) > 1
    textures = [file.stem.split("-")[1].rstrip("0123456789") for file in files]
    assert [conflict.categories[category] for category in conflict.shape] == [file.parent.name for file in files]
    assert [conflict.categories[category] for category in conflict.texture] == textures


def test_the_export_has_images_without_a_conflict_too(plain_run: PlainRun, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["cue-conflict", str(plain_run.path), "--export", str(tmp_path)])
    assert done.exit_code == 0, done.output
    exported = read_decisions([tmp_path], list(json.loads(plain_run.categories.read_text()))).subjects
    for model in MODELS:
        conflict = plain_run.store.cue_conflict(model)
        assert conflict is not None
        assert exported[model].images == [name.partition("/")[2] for name in conflict.images]
        assert "cat90-cat1.png" in exported[model].images
        assert exported[model].decision.tolist() == [
            exported[model].categories.index(conflict.categories[index]) for index in conflict.decision
        ]
        assert score(exported[model]).counts == score(conflict).counts


def test_what_could_not_be_used_is_said(plain_run: PlainRun) -> None:
    facts = plain_run.store.attributes_of("images/cue-conflict")
    assert (facts["excluded"], facts["stimuli"]) == (0, "native")
    decisions = plain_run.store.cue_conflict("Tiny")
    assert decisions is not None
    assert score(decisions).excluded == 1
    assert facts["skipped"] == [
        {"path": "cat/a photo.png", "reason": "not named like cat1-elephant2.png"},
        {"path": "dog/dog91-cat1.png", "reason": "empty file"},
    ]


@pytest.mark.slow
def test_the_built_in_pair(monkeypatch: pytest.MonkeyPatch, make_store: Callable[..., Path], tmp_path: Path) -> None:
    monkeypatch.setitem(SPLITS, "cue-conflict", 48)
    path = make_store(
        tmp_path / "pair.zarr",
        models=parse_specs(list(PAIR)),
        images="builtin:probe",
        limit=2,
        layers="conv1",
        cue_conflict="builtin:cue-conflict",
    )
    store = open_store(path)
    by_shape: list[int] = []
    for model in PAIR:
        conflict = store.cue_conflict(model)
        assert conflict is not None
        assert len(conflict.images) == 48
        images = np.stack([draw_path(name.encode()) for name in conflict.images])
        network = SmallCNN(16)
        network.load_state_dict(load_file(SHIPPED[model]))
        facts = store.models[model].preprocessing
        mean, std = (np.array(facts[key]) for key in ("mean", "std"))
        with torch.inference_mode():
            inputs = torch.from_numpy((images / 255 - mean) / std).float().permute(0, 3, 1, 2)
            decided = network.eval()(inputs).argmax(1).numpy()
        np.testing.assert_array_equal(conflict.decision, decided)
        names = [tuple(name.split("/")[-1].split("-")[:2]) for name in conflict.images]
        assert names == [(SHAPES[a], TEXTURES[b]) for a, b in zip(conflict.shape, conflict.texture, strict=True)]
        by_shape.append((conflict.decision == conflict.shape).sum())
    assert by_shape[0] < by_shape[1], "the robust one goes by shape more often"


def test_a_network_of_few_classes_decides_among_those_of_the_categories_that_it_has(
    make_store: Callable[..., Path], tmp_path: Path
) -> None:
    """Classes called cat, ship and frog: of the 16 categories cat and boat, and only images of these two."""
    names = ["cat", "frog", "ship"]
    trained = Trained(
        architecture="photo", class_ids=names, class_names=names, preprocessing=usual_preprocessing("photo")
    )
    torch.manual_seed(0)
    network = PhotoCNN(3).eval()
    (tmp_path / "net.safetensors").write_bytes(trained_bytes(trained, network))
    rng = np.random.default_rng(0)
    for file in ("cat/cat1-boat1.png", "boat/boat1-cat1.png", "cat/cat1-oven1.png", "oven/oven1-bear2.png"):
        (tmp_path / "cues" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / "cues" / file)
    path = make_store(
        tmp_path / "a.zarr",
        models=parse_specs([f"Few={tmp_path}/net.safetensors"]),
        limit=2,
        layers="conv6",
        cue_conflict=str(tmp_path / "cues"),
    )
    store = open_store(path)
    conflict = store.cue_conflict("Few")
    assert conflict is not None
    assert (conflict.categories, conflict.images) == (["boat", "cat"], ["boat/boat1-cat1.png", "cat/cat1-boat1.png"])
    pixels = np.stack([np.asarray(Image.open(tmp_path / "cues" / name)) for name in conflict.images])
    mean, std = (np.array(value) for value in (trained.preprocessing.mean, trained.preprocessing.std))
    with torch.inference_mode():
        scores = network(torch.from_numpy((pixels / 255 - mean) / std).float().permute(0, 3, 1, 2)).numpy()
    assert conflict.decision.tolist() == scores[:, [2, 0]].argmax(1).tolist()
    assert store.attributes_of("images/cue-conflict")["skipped"] == []
    (note,) = (note for note in store.attributes["notes"] if note.startswith("cue conflict"))
    assert note == (
        "cue conflict: 2 of the 16 categories (boat: ship, cat), chance 50.0%: 2 images of two of them, 2 images of "
        "others left out"
    )


# --- what makes no sense is said before the long passes ---------------------------------------------------------------


class BegunError(Exception):
    """The long passes began."""


@pytest.fixture
def early(plain_run: PlainRun, make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run that may not come to its first batch."""

    def begun(*_: object) -> None:
        raise BegunError

    monkeypatch.setattr("shapebias.precompute.run.measure_activations", begun)

    def run(**changes: object) -> None:
        models = parse_specs([f"Tiny={plain_run.path.parent}/net.py:tiny"])
        make_store(tmp_path / "a.zarr", models=models, images=str(plain_run.images), **changes)

    with pytest.raises(BegunError):
        run(cue_conflict=str(plain_run.conflict), categories=plain_run.categories)
    return run


def test_a_network_without_the_categories(early: Callable[..., None], plain_run: PlainRun) -> None:
    with pytest.raises(ShapebiasError, match=r"Tiny has 10 classes that are not ImageNet's.*--categories FILE"):
        early(cue_conflict=str(plain_run.conflict))


def test_a_folder_of_other_images(early: Callable[..., None], plain_run: PlainRun) -> None:
    with pytest.raises(ShapebiasError, match=r"no cue-conflict images in .*: not named like cat1-elephant2\.png"):
        early(cue_conflict=str(plain_run.images), categories=plain_run.categories)


def test_a_variant_or_stylized_images_of_something_else(early: Callable[..., None], plain_run: PlainRun) -> None:
    with pytest.raises(UsageError, match="no folders of the probe images' classes"):
        early(variants=(("C", str(plain_run.conflict)),))
    with pytest.raises(UsageError, match="is named as a probe image is"):
        early(stylized=str(plain_run.conflict))


def test_a_folder_of_unreadable_images_is_one_line(
    plain_run: PlainRun, make_store: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "images/cat").mkdir(parents=True)
    (tmp_path / "images/cat/cat1-dog2.png").write_bytes(b"")
    Image.new("RGB", (20, 20)).save(tmp_path / "images/cat/photo.png")
    with pytest.raises(ShapebiasError, match=r"no cue-conflict image in .* can be used: empty file"):
        make_store(
            tmp_path / "a.zarr",
            limit=2,
            layers="block1",
            cue_conflict=str(tmp_path / "images"),
            categories=plain_run.categories,
        )
    assert not (tmp_path / "a.zarr").exists()
