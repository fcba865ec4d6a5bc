"""Shared by all tests: a tiny network, a folder of generated images, and a small store made of them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.attribution_store import add_attribution
from tests.support.cue_conflict_store import STIMULI, add_cue_conflict

# Before torch is imported, for it and all processes that tests start: their networks are so small that threads
# cost more than they save (the suite takes half the time).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels for GPUs run on the CPU, as Python

SLOW = (  # beside what is marked itself: whole runs, whole screens
    *("tui", "commands", "precompute/measures", "precompute/ablation", "precompute/training", "precompute/scanning"),
    *("precompute/test_resume.py", "precompute/test_run.py", "precompute/test_run_models.py"),
    *(
        "precompute/test_code_styles.py",
        "precompute/images/sources/test_variants.py",
        "precompute/images/test_loader.py",
    ),
)
ALONE = ("tui/terminal", "tui/test_leaving.py", "precompute/test_resume.py::test_signals_stop_a_run_in_one_line")
CLASSES = 10
NETWORK = '''
"""Three blocks; the last has no nonlinearity, so that its activations are negative too."""

import torch
from torch import nn


def block(inputs, outputs, stride, *after):
    norm = nn.BatchNorm2d(outputs)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    nn.init.uniform_(norm.running_var, 0.2, 1.0)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), norm, *after)


class Tiny(nn.Module):
    pretrained_cfg = {
        "input_size": (3, 32, 32),
        "crop_pct": 0.8,
        "interpolation": "bicubic",
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
    }

    def __init__(self):
        super().__init__()
        self.block1 = block(3, 16, 2, nn.ReLU(inplace=True))
        self.block2 = block(16, 21, 2, nn.ReLU())
        self.block3 = block(21, 33, 2)
        self.head = nn.Linear(33, 10)

    def forward(self, x):
        return self.head(self.block3(self.block2(self.block1(x))).mean((2, 3)))


def build():
    torch.manual_seed(0)
    return Tiny()
'''


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `SLOW` as slow, which `make check` leaves out, and those of `ALONE`."""
    here = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(here).as_posix()
        if path.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        if f"{path}::{item.name}".startswith(ALONE):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder for each test: what a user marked or chose neither changes tests nor is changed by them."""
    path = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python file whose function `build` returns a small random network for 32 x 32 images and 10 classes."""
    path = tmp_path_factory.mktemp("network") / "tiny.py"
    path.write_text(NETWORK)
    return path


def smooth_noise(seed: int, width: int, height: int) -> Image.Image:
    """A picture that looks a little like a photo: blurred noise of several scales."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for scale in (2, 5, 11):
        coarse = Image.fromarray(rng.integers(0, 256, (scale, scale, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
    return Image.fromarray((total / 3).astype(np.uint8))


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 class folders of 5 images, JPEG and PNG of different sizes; some of them equal, so that activations tie."""
    root = tmp_path_factory.mktemp("images")
    for label in range(CLASSES):
        folder = root / f"class{label}"
        folder.mkdir()
        for number in range(5):
            seed = 7 if number == 4 else 100 * label + number  # the last image of every class is the same
            width, height = (40, 40) if number == 4 else (33 + 7 * number, 61 - 5 * label)
            suffix = "png" if number % 2 == 0 else "jpg"
            smooth_noise(seed, width, height).save(folder / f"image{number}.{suffix}")
    return root


@pytest.fixture(scope="session")
def make_store(network_file: Path, image_folder: Path) -> Callable[..., Path]:
    """Makes a store with the real `precompute`: make_store(path, **settings)."""

    def make(path: Path, **changes: object) -> Path:
        from shapebias.precompute.models.spec import parse_spec
        from shapebias.precompute.progress import Silent
        from shapebias.precompute.run import precompute
        from shapebias.precompute.settings import Settings

        facts = {"models": [parse_spec(f"Tiny={network_file}:build")], "images": str(image_folder), "store": path}
        settings = facts | {"top": 6, "device": "cpu", "workers": 0, "batch_size": 16} | changes
        precompute(Settings(**settings), Silent())  # type: ignore[arg-type]
        return path

    return make


@pytest.fixture(scope="session")
def small_store(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the tiny network (70 units in 3 layers) over the 50 images. Do not change it: see `store_copy`."""
    return make_store(tmp_path_factory.mktemp("store") / "small.zarr")


@pytest.fixture(scope="session")
def concept_store(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as `small_store`, whose units were dissected: by the colours of the images. Do not change it."""
    return make_store(tmp_path_factory.mktemp("store") / "concepts.zarr", passes=("dissection",))


@pytest.fixture(scope="session")
def attributed_store(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as `small_store`, with attribution maps of six images. Do not change it."""
    path = Path(shutil.copytree(small_store, tmp_path_factory.mktemp("store") / "attributed.zarr"))
    add_attribution(path)
    return path


@pytest.fixture
def store_copy(small_store: Path, tmp_path: Path) -> Path:
    """A copy of `small_store` to damage."""
    return Path(shutil.copytree(small_store, tmp_path / "copy.zarr"))


@pytest.fixture(scope="session")
def ablation_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return settings of `make_store`: ablation of two layers of the built-in robust network on 32 cue conflicts."""
    from shapebias.precompute.images.builtin.export import export_builtin
    from shapebias.precompute.models.spec import parse_spec
    from shapebias.precompute.progress import Silent

    folder = tmp_path_factory.mktemp("conflict") / "images"
    export_builtin(folder, "cue-conflict", 32, 0, Silent())
    facts = {"models": [parse_spec("demo-r")], "images": "builtin:probe", "limit": 16, "layers": "conv4,conv5"}
    return facts | {"cue_conflict": str(folder), "passes": ("ablation",)}


@pytest.fixture
def cue_conflict_store(store_copy: Path) -> Path:
    """A copy of `small_store` with decisions for 4 cue-conflict images: shape, texture, neither, shape."""
    categories = ["cat", "dog", "elephant", "knife"]
    facts = {"shape": [0, 0, 1, 2], "texture": [1, 2, 0, 1], "decision": [0, 2, 3, 2]}
    add_cue_conflict(store_copy, categories, STIMULI, excluded=1, **facts)
    return store_copy
