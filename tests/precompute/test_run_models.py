"""`precompute` with several checkpoints, and classes that are matched by name."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms

from shapebias.core.analysis.describe import store_facts
from shapebias.core.errors import UsageError
from shapebias.core.store.opening import open_store
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.own import SMALL
from shapebias.precompute.models.own.small_cnn import SmallCNN
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.models.trained import Trained, trained_bytes, usual_preprocessing
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.scanning.local import LocalEngine
from shapebias.precompute.scanning.scan import Scan
from shapebias.precompute.settings import Settings
from shapebias.precompute.summary import ModelSummary, Summary

NETWORK = """
import torch
from torch import nn

class Brightness(nn.Module):
    '''Scores each class by how near the image's mean red is to the class's.'''
    pretrained_cfg = {"input_size": (3, 16, 16), "crop_pct": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)}

    def __init__(self, levels):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.register_buffer("levels", torch.tensor(levels))

    def forward(self, x):
        self.conv(x)
        return -(x[:, :1].mean((2, 3)) - self.levels).abs()

def build():
    return Brightness([0.9, 0.1, 0.5, 0.3])
"""


def run(images: Path, store: Path, *models: str) -> Summary:
    settings = {"models": parse_specs(list(models)), "images": str(images), "store": store}
    return precompute(Settings(**settings, device="cpu", workers=0, top=3, batch_size=8), Silent())  # type: ignore[arg-type]


@pytest.fixture
def levels(tmp_path: Path) -> Path:
    """Class folders of plain pictures: dark, grey, light and one that the network does not know."""
    for name, level in (("dark", 26), ("grey", 128), ("light", 230), ("other", 77)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(3):
            picture = Image.new("RGB", (20, 20), (level + number, level, level))
            picture.save(tmp_path / "images" / name / f"{number}.png")
    (tmp_path / "net.py").write_text(NETWORK)
    return tmp_path


def test_classes_are_matched_by_name(levels: Path) -> None:
    """The network's order is not that of the folders; images of a class that it does not have do not count."""
    (levels / "names.json").write_text(json.dumps({"0": "light", "1": "dark", "2": "grey", "3": "dim"}))
    (levels / "wrong.json").write_text(json.dumps(["dark", "light", "grey", "dim"]))
    summary = run(
        levels / "images",
        levels / "a.zarr",
        f"Right={levels}/net.py:build,classes={levels}/names.json",
        f"Wrong={levels}/net.py:build,classes={levels}/wrong.json",
        f"ByPosition={levels}/net.py:build",
    )
    assert [(model.label, model.top1, model.labelled) for model in summary.models] == [
        ("Right", 1.0, 9),
        ("Wrong", pytest.approx(1 / 3), 9),
        ("ByPosition", 0.25, 12),  # only the fourth folder is at its place
    ]
    assert summary.models[0].chance == 1 / 4


def test_a_list_of_another_number_of_classes_is_one_line(levels: Path) -> None:
    (levels / "names.txt").write_text("a\nb\nc\n")
    with pytest.raises(UsageError, match="3 classes are named, but the network has 4"):
        run(levels / "images", levels / "a.zarr", f"A={levels}/net.py:build,classes={levels}/names.txt")


def test_standard_and_robust_share_decoding(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One geometry, two ways to normalise: each network sees what its file says."""
    torch.manual_seed(1)
    network = torchvision.models.squeezenet1_1(num_classes=10).eval()
    state = dict(network.state_dict())
    torch.save(state, tmp_path / "a.pth")
    robust: dict[str, Any] = {f"module.model.{name}": value for name, value in state.items()}
    robust |= {
        "module.normalizer.new_mean": torch.full((3, 1, 1), 0.25),
        "module.normalizer.new_std": torch.ones(3, 1, 1),
    }
    torch.save({"model": robust}, tmp_path / "r.pt")
    scanned: list[str] = []
    usual = LocalEngine.run

    def counted(self: LocalEngine, scan: Scan) -> Any:
        scanned.append(scan.title)
        return usual(self, scan)

    monkeypatch.setattr(LocalEngine, "run", counted)
    specs = (f"S=squeezenet1_1@{tmp_path}/a.pth", f"R=squeezenet1_1@{tmp_path}/r.pt")
    settings = Settings(
        models=parse_specs(list(specs)),
        images=str(image_folder),
        store=tmp_path / "a.zarr",
        layers="features.0",
        limit=3,
        device="cpu",
        workers=0,
        top=3,
    )
    summary = precompute(settings, Silent())
    assert scanned == ["S, R"]  # one scan for both
    assert "the checkpoint's normaliser" in summary.models[1].preprocessing
    assert "mean 0.25 0.25 0.25" in summary.text()
    store = open_store(tmp_path / "a.zarr")
    assert len(list((tmp_path / "a.zarr/images/probe/thumbnails").glob("*/zarr.json"))) == 1
    means = [store.layer_read(label, next(iter(store.layers(label))), "activations/mean") for label in "SR"]
    assert not np.allclose(*means)
    assert store.models["S"].weights_sha256 == store.models["R"].weights_sha256
    facts = {model["label"]: model["file_sha256"] for model in store_facts(store)["models"]}
    for label, name in (("S", "a.pth"), ("R", "r.pt")):
        assert facts[label] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def test_a_network_of_train_is_matched_by_the_names_it_learned(image_folder: Path, tmp_path: Path) -> None:
    """The order is that of its header, here the reverse of the folders'."""
    ids = [f"class{number}" for number in reversed(range(10))]
    torch.manual_seed(0)
    network: nn.Module = SmallCNN(10)
    trained = Trained(architecture=SMALL, class_ids=ids, class_names=ids, preprocessing=usual_preprocessing(SMALL))
    (tmp_path / "w.safetensors").write_bytes(trained_bytes(trained, network))
    summary = run(image_folder, tmp_path / "a.zarr", f"A={tmp_path}/w.safetensors")
    model = load_model(parse_specs([f"{tmp_path}/w.safetensors"])[0])
    assert model.class_ids == ids
    images, _ = list_images(image_folder)
    pixels = np.stack([np.asarray(fit(image_folder / os.fsdecode(path))) for path in images.paths])
    with torch.inference_mode():
        scores = model.network(choose_device("cpu", "auto").images(pixels, model.preprocessing))
    expected = 9 - images.labels
    assert summary.models[0].top1 == pytest.approx((scores.argmax(1).numpy() == expected).mean())
    assert summary.models[0].labelled == 50


def fit(path: Path) -> Image.Image:
    resize = transforms.Compose([transforms.Resize(64), transforms.CenterCrop(64)])
    fitted: Image.Image = resize(Image.open(path).convert("RGB"))
    return fitted


@pytest.mark.parametrize(
    ("top1", "warning", "line"),
    [
        (0.5, None, "  top-1 accuracy  50.0% (100 of 1,000 images, classes by number)"),
        (0.01, "the accuracy is near chance", "  warning: the accuracy is near chance"),
        (None, None, "  top-1 accuracy  unknown: by number"),
    ],
)
def test_the_lines_of_a_model(top1: float | None, warning: str | None, line: str) -> None:
    model = ModelSummary(
        label="A",
        architecture="alexnet",
        top1=top1,
        chance=0.001,
        layers=5,
        units=100,
        images=1000,
        images_per_second=10.0,
        network_images_per_second=11.0,
        preprocessing="mean 0",
        labelled=100,
        classes="by number",
        warning=warning,
        notes=["a note"],
    )
    assert line in model.lines()
    assert "  note: a note" in model.lines()
    assert ("warning: the accuracy is near chance" in model.remarks()) == (warning is not None)
