"""`shapebias attribute`: pictures and arrays of the built-in pair on built-in images that were saved as files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from tests.support.cli import fails, invoke, succeeds

FLAT_HEAD = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 28 * 28, 5))
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three built-in images as files, in the folders of their classes."""
    folder = tmp_path_factory.mktemp("attribute") / "shapes"
    succeeds("export-images", folder, "--split", "probe", "--count", "16")
    files = sorted(folder.rglob("*.png"))
    assert len(files) == 16
    return [next(file for file in files if file.parent.name == name) for name in ("arrow", "circle", "star")]


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_maps_of_two_networks_as_a_picture_and_as_arrays(images: list[Path], tmp_path: Path) -> None:
    picture, arrays = tmp_path / "maps.png", tmp_path / "maps.npz"
    methods = ("--method", "integrated-gradients:steps=5,gradient", "--method", "grad-cam")
    text = succeeds("attribute", "demo-s", *images, "--model", "R=demo-r", *methods, "-o", picture, "-o", arrays)
    lines = text.splitlines()
    assert [line.split()[1:3] for line in lines[1:7]] == [
        [m, c] for c in ("arrow", "circle", "star") for m in ("demo-s", "R")
    ]
    assert lines[7:] == [f"picture: {picture}", f"maps: {arrays}"]
    with Image.open(picture) as opened:
        assert opened.mode == "RGB"
        assert opened.width >= 4 * 112  # the photo and three methods
        assert opened.height >= 6 * 112
    content = load(arrays)
    assert content["models"].tolist() == ["demo-s", "R"]
    assert content["images"].tolist() == [str(image) for image in images]
    assert content["methods"].tolist() == ["gradient", "grad-cam", "integrated-gradients"], "the cheapest first"
    assert content["output"].tolist() == [["arrow", "circle", "star"]] * 2
    assert content["gap"].shape == (2, 3, 3)
    assert np.isnan(content["gap"]).tolist() == [[[True] * 3, [True] * 3, [False] * 3]] * 2
    settings = json.loads(str(content["settings"]))
    assert settings["target"] == "predicted"
    assert settings["methods"][2]["settings"]["steps"] == 5
    for label, source in (("demo-s", "demo-s"), ("R", "demo-r")):
        maps, target, probability = naive_gradients(source, images)
        assert content[f"{label}/gradient"].dtype == np.float32
        assert content[f"{label}/grad-cam"].shape == (3, 4, 4)
        np.testing.assert_allclose(content[f"{label}/gradient"], maps, rtol=1e-3, atol=1e-4 * np.abs(maps).max())
        row = content["models"].tolist().index(label)
        assert content["target"][row].tolist() == target
        np.testing.assert_allclose(content["probability"][row], probability, rtol=1e-4)


def naive_gradients(source: str, images: list[Path]) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Return the gradients of the decisions' logits summed over colours, the decisions, and their probabilities."""
    model = load_model(parse_spec(source))
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.preprocessing.mean, model.preprocessing.std))
    pixels = np.stack([np.asarray(Image.open(image).convert("RGB")) for image in images])
    batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).requires_grad_()
    scores = model.network((batch - mean) / std)
    top = scores.max(1)
    (gradients,) = torch.autograd.grad(top.values.sum(), batch)
    return gradients.sum(1).numpy(), top.indices.tolist(), scores.softmax(1).amax(1).detach().numpy()


def test_a_map_does_not_depend_on_the_other_images(images: list[Path], tmp_path: Path) -> None:
    methods = ("--method", "smoothgrad:samples=3,random")
    runs = {"all": images, "reversed": images[::-1], "one": images[1:2]}
    maps = {}
    for name, files in runs.items():
        succeeds("attribute", "demo-r", *files, *methods, "-o", tmp_path / f"{name}.npz")
        maps[name] = load(tmp_path / f"{name}.npz")
    assert (maps["all"]["demo-r/random"] == maps["reversed"]["demo-r/random"][::-1]).all()
    assert (maps["all"]["demo-r/random"][0] != maps["all"]["demo-r/random"][1]).any()
    for other, own in (
        (maps["reversed"]["demo-r/smoothgrad"][::-1], slice(None)),
        (maps["one"]["demo-r/smoothgrad"], slice(1, 2)),
    ):
        expected = maps["all"]["demo-r/smoothgrad"][own]
        np.testing.assert_allclose(other, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    succeeds("attribute", "demo-r", images[1], *methods, "--seed", 1, "-o", tmp_path / "seed.npz")
    assert (load(tmp_path / "seed.npz")["demo-r/random"] != maps["one"]["demo-r/random"]).any()


@pytest.mark.parametrize(
    ("target", "expected"),
    [("label", ["arrow", "circle", "star"]), ("star", ["star"] * 3), ("0", ["arrow"] * 3)],
)
def test_the_output_to_explain_is_chosen(images: list[Path], tmp_path: Path, target: str, expected: list[str]) -> None:
    arrays = tmp_path / "maps.npz"
    succeeds("attribute", "demo-s", *images, "--method", "gradient", "--target", target, "-o", arrays)
    assert load(arrays)["output"].tolist() == [expected]


def test_folders_and_patterns_stand_for_their_images(images: list[Path], tmp_path: Path) -> None:
    options = ("--method", "center", "-o", tmp_path / "maps.npz")
    succeeds("attribute", "demo-s", images[0].parent, f"{images[1].parent}/*.png", *options)
    files = [*sorted(images[0].parent.iterdir()), *sorted(images[1].parent.glob("*.png"))]
    assert load(tmp_path / "maps.npz")["images"].tolist() == [str(file) for file in files]


def test_a_method_that_does_not_hold_is_said_and_left_out(images: list[Path], tmp_path: Path) -> None:
    """CAM needs an average before the last linear layer; the others go on."""
    code = tmp_path / "flat.py"
    code.write_text(FLAT_HEAD)
    picture, arrays = tmp_path / "maps.png", tmp_path / "maps.npz"
    result = invoke(
        "attribute",
        "demo-s",
        images[0],
        "--model",
        f"F={code}:build",
        "--method",
        "cam,gradient",
        "-o",
        picture,
        "-o",
        arrays,
    )
    assert result.exit_code == 0, result.output
    (note,) = [line for line in result.stderr.splitlines() if "cam" in line]
    assert note.startswith("shapebias: F: cam is left out: its class scores are not one linear layer")
    content = load(arrays)
    assert {"demo-s/cam", "demo-s/gradient", "F/gradient"} <= set(content)
    assert "F/cam" not in content
    assert content["output"][1].tolist()[0].startswith("output ")
    assert picture.stat().st_size > 0


def test_mistakes_are_one_line(images: list[Path], tmp_path: Path) -> None:
    one, broken = images[0], tmp_path / "photos" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(one.read_bytes()[:100])
    (tmp_path / "photos" / "photo.png").write_bytes(one.read_bytes())
    photo = tmp_path / "photos" / "photo.png"
    assert "no image" in fails(2, "attribute", "demo-s", tmp_path / "nothing.png")
    assert "broken.png is no image that can be explained: truncated" in fails(2, "attribute", "demo-s", one, broken)
    assert "no attribution method gradcam" in fails(2, "attribute", "demo-s", one, "--method", "gradcam")
    assert "FILE.png for the picture" in fails(2, "attribute", "demo-s", one, "-o", tmp_path / "maps.svg")
    assert "the folder does not exist" in fails(2, "attribute", "demo-s", one, "-o", tmp_path / "no" / "maps.png")
    assert "two models are called demo-s" in fails(2, "attribute", "demo-s", one, "--model", "demo-s")
    assert "0 to 15" in fails(2, "attribute", "demo-s", one, "--target", "16")
    assert "0 to 15" in fails(2, "attribute", "demo-s", one, "--target", "tench")
    assert "is no class of demo-s" in fails(2, "attribute", "demo-s", photo, "--target", "label")
    assert "65 images are too many: name at most 64" in fails(2, "attribute", "demo-s", *[one] * 65)
