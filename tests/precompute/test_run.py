"""`precompute` from image files to a store, against torchvision's transforms and a plain loop."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from PIL import Image
from torchvision import transforms

from shapebias.core.analysis.describe import store_facts
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.store.opening import open_store
from shapebias.precompute.images.builtin.drawing import builtin_set, draw_path
from shapebias.precompute.images.image_set import image_keys
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings
from shapebias.precompute.summary import Summary

LAYERS = ["block1", "block2", "block3"]
EVIL = [b"line\nbreak.png", b"\x1b]0;title\x07.png", b"caf\xe9 \xff.png", "\u202egnp.png".encode()]


def run(images: Path | str, store: Path, *models: Path | str, **changes: Any) -> Summary:
    facts = {"models": parse_specs([str(model) for model in models]), "images": str(images), "store": store}
    return precompute(Settings(**(facts | {"device": "cpu", "workers": 0, "top": 6} | changes)), Silent())


def expected(network_file: Path, files: list[Path]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The layers' outputs for the images, and the network's decisions."""
    space: dict = {}
    exec(network_file.read_text(), space)
    network = space["build"]().eval()
    transform = transforms.Compose(
        [
            transforms.Resize(40, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)),
        ]
    )
    batch = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    maps: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        x = batch
        for name in LAYERS:
            x = getattr(network, name)(x)
            maps[name] = x.numpy().copy()
        decided = network.head(x.mean((2, 3))).argmax(1).numpy()
    return maps, decided


def listed(folder: Path) -> list[Path]:
    return [folder / name for name in sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))]


def test_images_that_are_no_files(network_file: Path, tmp_path: Path) -> None:
    """The built-in images make the same store as their files."""
    for path in builtin_set("probe").spread(32).paths:
        file = tmp_path / "probe" / path.decode()
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_path(path)).save(file)
    run(tmp_path / "probe", tmp_path / "files.zarr", f"Tiny={network_file}:build")
    run("builtin:probe", tmp_path / "drawn.zarr", f"Tiny={network_file}:build", limit=32, workers=1)
    for path in (f"images/probe/path/{name}" for name in ("data", "offsets")):
        drawn, files = (zarr.open_array(tmp_path / name / path, mode="r")[:] for name in ("drawn.zarr", "files.zarr"))
        assert np.array_equal(drawn, files)
    for layer in LAYERS:
        stores = [open_store(tmp_path / name) for name in ("drawn.zarr", "files.zarr")]
        drawn, files = (store.layer_read("Tiny", layer, "activations/max") for store in stores)
        assert np.array_equal(drawn, files)


def test_the_store_holds_what_a_plain_loop_finds(small_store: Path, network_file: Path, image_folder: Path) -> None:
    files = listed(image_folder)
    maps, decided = expected(network_file, files)
    labels = np.repeat(np.arange(10), 5)
    store = open_store(small_store)
    assert store.image_paths == [os.fsencode(file.relative_to(image_folder)) for file in files]
    assert store.models["Tiny"].top1 == (decided == labels).mean()
    for name in LAYERS:
        exact = maps[name].astype(np.float64)
        flat = exact.transpose(1, 0, 2, 3).reshape(exact.shape[1], -1)
        size = np.abs(flat).max(1)
        activation = exact.max((2, 3))
        stored = {kind: store.activations("Tiny", name, kind)[...] for kind in ("max", "mean")}
        assert stored["max"].dtype == stored["mean"].dtype == np.float16
        np.testing.assert_allclose(stored["max"], activation, rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(stored["mean"], exact.mean((2, 3)), rtol=2e-3, atol=1e-3)
        metric = {
            metric_name: store.metric("Tiny", name, metric_name) for metric_name in store.metric_names("Tiny", name)
        }
        np.testing.assert_allclose(metric["max"], flat.max(1), rtol=1e-4, atol=1e-5)
        assert (np.abs(metric["mean"] - flat.mean(1)) <= 1e-4 * size).all()
        np.testing.assert_allclose(metric["std"], flat.std(1), rtol=1e-4)
        np.testing.assert_allclose(metric["sparsity"], (flat <= 0).mean(1), atol=2 / flat.shape[1])
        above = int(0.005 * flat.shape[1] + 1e-9)
        np.testing.assert_allclose(metric["q995"], -np.sort(-flat, axis=1)[:, above], rtol=1e-4, atol=1e-5)
        means = activation.reshape(10, 5, -1).mean(1)
        others = (means.sum(0) - means.max(0)) / 9
        both = means.max(0) + others
        selectivity = np.divide(means.max(0) - others, both, out=np.zeros_like(both), where=both != 0)
        if name == "block3":  # signed
            selectivity[:] = np.nan
        np.testing.assert_allclose(metric["selectivity"], selectivity, rtol=2e-3, atol=1e-5)
        for unit in range(exact.shape[1]):
            top = store.top(store.unit(f"Tiny/{name}/{unit}"))
            best = -np.sort(-activation[:, unit])[:6]
            np.testing.assert_allclose(top.value, best, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(activation[top.image, unit], best, rtol=1e-4, atol=1e-5)
            at = maps[name][top.image, unit][np.arange(6), top.position[:, 0], top.position[:, 1]]
            np.testing.assert_allclose(at, best, rtol=1e-4, atol=1e-5)
            ties = np.diff(top.value) == 0
            means = exact[top.image, unit].mean((1, 2))
            assert (np.diff(means)[ties] <= 1e-5 * np.abs(means).max()).all()


def test_equal_images_tie_in_the_order_of_their_keys(small_store: Path) -> None:
    """Every fifth image is the same picture."""
    store = open_store(small_store)
    wanted = [image for image in np.argsort(image_keys(store.image_paths, 0)).tolist() if image % 5 == 4]
    checked = 0
    for name in LAYERS:
        images = store.top_lists("Tiny", name, "image")
        for row in images[(images % 5 == 4).sum(1) >= 2]:
            same = row[row % 5 == 4]
            np.testing.assert_array_equal(same, wanted[: len(same)])
            checked += 1
    assert checked


def test_thumbnails_are_what_the_network_saw(small_store: Path, image_folder: Path) -> None:
    store = open_store(small_store)
    image = int(store.top_lists("Tiny", "block1", "image")[0, 0])
    (key,) = [path.name for path in (small_store / "images/probe/thumbnails").iterdir() if path.is_dir()]
    assert key == store.models["Tiny"].thumbnails
    geometry = transforms.Compose(
        [transforms.Resize(40, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(32)]
    )
    seen = geometry(Image.open(image_folder / store.image_name(image)).convert("RGB"))
    import io

    thumbnail = Image.open(io.BytesIO(store.thumbnail("Tiny", image)))
    np.testing.assert_array_equal(np.asarray(thumbnail), np.asarray(seen))


@pytest.mark.slow
def test_batches_and_workers_change_nothing(small_store: Path, make_store: Callable[..., Path], tmp_path: Path) -> None:
    other = open_store(make_store(tmp_path / "other.zarr", batch_size=7, workers=2))
    store = open_store(small_store)
    for name in LAYERS:
        for metric in store.metric_names("Tiny", name):
            np.testing.assert_allclose(
                other.metric("Tiny", name, metric), store.metric("Tiny", name, metric), rtol=1e-4, atol=1e-5
            )
        np.testing.assert_allclose(
            other.top_lists("Tiny", name, "value"), store.top_lists("Tiny", name, "value"), rtol=1e-4, atol=1e-5
        )


@pytest.fixture
def broken_folder(image_folder: Path, tmp_path: Path) -> Path:
    """Two classes with broken files among good ones, and names that nobody should print."""
    root = tmp_path / "broken"
    for label in (0, 1):
        shutil.copytree(image_folder / f"class{label}", root / f"class{label}")
    folder = root / "class0"
    jpeg = (folder / "image1.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "link.png").symlink_to("nowhere.png")
    png = (folder / "image0.png").read_bytes()
    for name in EVIL:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(png)
    Path(os.fsdecode(os.fsencode(folder) + b"/\x1b[31mempty\n.png")).write_bytes(b"")
    return root


def test_broken_images_are_named_with_reasons(broken_folder: Path, network_file: Path, tmp_path: Path) -> None:
    summary = run(broken_folder, tmp_path / "a.zarr", f"Tiny={network_file}:build", batch_size=4)
    reasons = {image.path: image.reason for image in summary.skipped}
    assert set(reasons) == {
        b"class0/cut.jpg",
        b"class0/empty.png",
        b"class0/text.jpg",
        b"class0/link.png",
        b"class0/\x1b[31mempty\n.png",
    }
    assert reasons[b"class0/empty.png"] == "empty file"
    assert "truncated" in reasons[b"class0/cut.jpg"]
    assert "link" in reasons[b"class0/link.png"]
    assert "not a JPEG" in reasons[b"class0/text.jpg"]
    assert summary.images == 14
    store = open_store(tmp_path / "a.zarr")
    assert len(store.labels) == 14
    assert {f"class0/{os.fsdecode(name)}" for name in EVIL} <= {store.image_name(image) for image in range(14)}
    facts = json.loads(json.dumps(store_facts(store)))
    wanted = [{"path": "class0/\\x1b[31mempty\\n.png", "reason": "empty file"}]
    assert wanted[0] in facts["skipped"]
    assert wanted[0] in summary.to_json()["skipped"]
    assert facts["skipped"] == summary.to_json()["skipped"]
    assert "5 images skipped" in summary.text()
    for text in (summary.text(), json.dumps(summary.to_json()), json.dumps(facts)):
        assert not {"\x1b", "\x07", "\u202e", "\udcff"} & set(text)
    # the rows are those of the images that were used
    good = [broken_folder / store.image_name(image) for image in range(14)]
    maps, decided = expected(network_file, good)
    activations = store.layer_read("Tiny", "block2", "activations/max")
    np.testing.assert_allclose(activations, maps["block2"].max((2, 3)), rtol=2e-3, atol=1e-3)
    labels = np.array([int(file.parent.name[-1]) for file in good])
    np.testing.assert_array_equal(store.labels, labels)
    assert decided.shape == (14,)


def test_the_summary_is_json_with_the_promised_facts(image_folder: Path, network_file: Path, tmp_path: Path) -> None:
    summary = run(image_folder, tmp_path / "a.zarr", f"A={network_file}:build", limit=6, layers="block1")
    facts = json.loads(json.dumps(summary.to_json()))
    assert facts["store"] == str(tmp_path / "a.zarr")
    assert facts["images"] == 6
    (model,) = facts["models"]
    assert {"label", "top1", "units", "images", "images_per_second"} <= set(model)
    assert (model["label"], model["units"], model["images"]) == ("A", 16, 6)
    assert facts["store_bytes"] == sum(
        file.stat().st_size for file in (tmp_path / "a.zarr").rglob("*") if file.is_file()
    )
    assert open_store(tmp_path / "a.zarr").image_name(1) == "class1/image3.jpg"  # 6 of 50, evenly spread


SQUARES = """
import torch
from torch import nn

def build(side=16, outputs=10):
    torch.manual_seed(side)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 6, 3), nn.ReLU(), nn.Conv2d(6, 7, 3), nn.ReLU())
    net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(7, outputs))
    net.pretrained_cfg = {"input_size": (3, side, side), "crop_pct": 1.0}
    return net

def large():
    return build(24)

def three():
    return build(16, 3)

def fails():
    net = build()
    net.insert(1, nn.Linear(99, 3))
    return net
"""


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    (tmp_path / "squares.py").write_text(SQUARES)
    return tmp_path / "squares.py"


def test_models_of_two_geometries_share_the_images(
    squares: Path, network_file: Path, broken_folder: Path, tmp_path: Path
) -> None:
    models = (f"A={squares}:build", f"B={squares}:large", f"C={squares}:three", f"T={network_file}:build")
    summary = run(broken_folder, tmp_path / "a.zarr", *models)
    assert [model.label for model in summary.models] == ["A", "B", "C", "T"]
    assert len(summary.skipped) == 5  # once, not once a geometry
    store = open_store(tmp_path / "a.zarr")
    assert {label: model.thumbnails for label, model in store.models.items()} == {
        "A": "resize16-crop16-bilinear",
        "B": "resize24-crop24-bilinear",
        "C": "resize16-crop16-bilinear",
        "T": "resize40-crop32-bicubic",
    }
    assert store.models["C"].top1 is None  # 3 outputs, 2 classes
    for label in store.models:
        for layer in store.layers(label):
            for image in np.unique(store.top_lists(label, layer, "image")):
                if image >= 0:
                    store.thumbnail(label, int(image))


def test_fewer_images_than_the_top_list_has_places(squares: Path, image_folder: Path, tmp_path: Path) -> None:
    run(image_folder, tmp_path / "a.zarr", f"A={squares}:build", limit=2, top=5)
    store = open_store(tmp_path / "a.zarr")
    layer = next(iter(store.layers("A")))
    assert np.isnan(store.top_lists("A", layer, "value")[:, 2:]).all()
    assert (store.top_lists("A", layer, "image")[:, 2:] == -1).all()
    assert len(store.top(store.unit(f"A/{layer}/0")).image) == 2


@pytest.mark.parametrize(
    ("model", "changes", "kind", "said"),
    [
        ("fails", {}, ShapebiasError, "fails on 16 x 16 images"),
        ("build", {"layers": "nothing"}, UsageError, "no layer nothing"),
        ("build", {"device": "cuda:99"}, UsageError, "--device"),
        ("build", {"device": "potato\x1b"}, UsageError, "--device"),
        ("build", {"device": "meta"}, UsageError, "--device"),
        ("build", {"precision": "float8"}, UsageError, "--precision"),
        ("missing", {}, UsageError, "no function"),
    ],
)
def test_a_run_that_cannot_go_on_is_one_line_and_leaves_nothing(
    squares: Path, image_folder: Path, tmp_path: Path, model: str, changes: dict, kind: type, said: str
) -> None:
    with pytest.raises(kind) as error:
        run(image_folder, tmp_path / "out" / "a.zarr", f"A={squares}:{model}", **changes)
    assert said in str(error.value)
    assert not {"\n", "\x1b"} & set(str(error.value))
    assert not list((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else True


def test_a_folder_of_nothing_but_broken_images_is_one_line(squares: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.png"):
        (tmp_path / "images" / name).write_bytes(b"")
    with pytest.raises(ShapebiasError, match=r"none of the 2 images .* can be used: empty file"):
        run(tmp_path / "images", tmp_path / "a.zarr", f"A={squares}:build")
    assert not (tmp_path / "a.zarr").exists()


STUMBLES = """
import torch
from torch import nn

class Net(nn.Module):
    pretrained_cfg = {"input_size": (3, 16, 16), "crop_pct": 1.0}

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls > 3:
            raise ERROR("on its fourth batch")
        return self.conv(x)

def build():
    return Net()
"""


@pytest.mark.parametrize("error", ["RuntimeError", "ValueError", "AssertionError", "IndexError"])
def test_a_network_that_fails_later_is_one_line_and_the_old_store_stays(
    tmp_path: Path, image_folder: Path, store_copy: Path, error: str
) -> None:
    (tmp_path / "net.py").write_text(STUMBLES.replace("ERROR", error))
    with pytest.raises(ShapebiasError, match="fourth batch"):
        run(image_folder, store_copy, f"A={tmp_path}/net.py:build", batch_size=8, overwrite=True)
    assert list(open_store(store_copy).models) == ["Tiny"]
    assert sorted(path.name for path in tmp_path.iterdir() if "zarr" in path.name) == ["copy.zarr"]


OVERFLOWS = (
    SQUARES
    + """
class Huge(nn.Module):
    def forward(self, x):
        return (x + 5) * 1e38 * 1e3

def huge():
    net = build()
    net.insert(2, Huge())
    return net
"""
)


def test_a_network_that_overflows_still_makes_a_store_that_can_be_read(tmp_path: Path, image_folder: Path) -> None:
    """As float16 forwards do."""
    from shapebias.core.units.table import load_units, unit_records

    (tmp_path / "net.py").write_text(OVERFLOWS)
    run(image_folder, tmp_path / "a.zarr", f"A={tmp_path}/net.py:huge", limit=10, layers="0,2,5")
    store = open_store(tmp_path / "a.zarr")
    table = load_units(store)
    json.dumps(unit_records(store, table), allow_nan=False)


def test_half_precision_is_near(small_store: Path, make_store: Callable[..., Path], tmp_path: Path) -> None:
    other = open_store(make_store(tmp_path / "b.zarr", precision="bf16", limit=20))
    same = open_store(make_store(tmp_path / "c.zarr", limit=20))
    a, b = (store.metric("Tiny", "block1", "max") for store in (other, same))
    np.testing.assert_allclose(a, b, rtol=0.05, atol=0.05)
    assert (a != b).any()
