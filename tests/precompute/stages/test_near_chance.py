"""The cause of an accuracy near chance is named: networks right by construction, fed or ordered wrongly."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapebias.core.analysis.describe import store_text
from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings

pytestmark = pytest.mark.slow

NETWORKS = '''
import torch
from torch import nn

CENTRES = (torch.arange(12) + 0.5) / 12  # of grey levels, pixels in [0, 1]


class Nearest(nn.Module):
    """Its scores are largest for the colour nearest to its input's mean: |x - c|^2 = |x|^2 - 2 x c + |c|^2."""

    def __init__(self, centres, order=None):
        super().__init__()
        self.conv = nn.Conv2d(3, len(centres), 1)
        self.conv.weight.data = 2 * centres[:, :, None, None]
        self.conv.bias.data = -(centres**2).sum(1)
        self.order = torch.arange(len(centres)) if order is None else order

    def forward(self, x):
        return self.conv(x).mean((2, 3))[:, self.order]


def greys(scale=lambda x: x, order=None):
    return Nearest(scale(CENTRES)[:, None].repeat(1, 3), order)


def natural():
    return greys()


def by_characters():
    return greys(order=torch.tensor(sorted(range(12), key=str)))


def shifted():
    return greys(order=torch.arange(12).roll(1))


def minus_one_to_one():
    return greys(lambda x: 2 * x - 1)


def up_to_255():
    return greys(lambda x: 255 * x)


def blind():
    return Nearest(torch.cat([torch.ones(1, 3) * 0.5, torch.ones(11, 3) * 50]))


def bgr():
    return Nearest(torch.eye(3).flip(0), torch.tensor([2, 1, 0]))  # blue, green, red, as folders sort
'''


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "networks.py"
    path.write_text(NETWORKS)
    return path


def warnings(images: Path, network_file: Path, *functions: str) -> dict[str, str | None]:
    """Return a run's warnings about each network's accuracy."""
    specs = [parse_spec(f"{name}={network_file}:{name},preprocess=none") for name in functions]
    settings = Settings(models=specs, images=str(images), store=images / "a.zarr", device="cpu", workers=0)
    summary = precompute(settings, Silent())
    told = store_text(open_store(images / "a.zarr"))
    for model in summary.models:
        assert model.warning is None or f"{model.label}: warning: {model.warning}" in told
    return {model.label: model.warning for model in summary.models}


def colour(folder: Path, value: tuple[int, int, int], count: int) -> None:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.full((40, 40, 3), value, np.uint8)).save(folder / f"{number}.png")


def test_orders_and_scales(tmp_path: Path, network_file: Path) -> None:
    for level in range(12):
        colour(tmp_path / f"class{level}", (round((level + 0.5) / 12 * 255),) * 3, 4)
    names = ("natural", "by_characters", "shifted", "minus_one_to_one", "up_to_255", "blind")
    said = warnings(tmp_path, network_file, *names)
    assert said["by_characters"] is None
    assert said["natural"] == (
        "the accuracy is near chance (8 of 48 images): with its classes in natural order, as timm sorts folders, "
        "48 of 48 images are right instead of 8: list them in that order, classes=FILE"
    )
    near = "the accuracy is near chance ("
    assert all(said[name] and said[name].startswith(near) for name in ("shifted", "blind", "up_to_255"))
    assert "images of one class mostly get the same decision" in str(said["shifted"])
    assert "and not better with BGR, no normalisation" in str(said["blind"])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (
            "minus_one_to_one",
            "with pixels in [-1, 1], 48 of 48 images are right instead of 4: add ,preprocess=inception",
        ),
        ("up_to_255", "with pixels from 0 to 255, 48 of 48 images are right instead of 4: multiply its input by 255"),
    ],
)
def test_scales(tmp_path: Path, network_file: Path, name: str, remedy: str) -> None:
    for level in range(12):
        colour(tmp_path / f"{level:02d}", (round((level + 0.5) / 12 * 255),) * 3, 4)
    assert remedy in str(warnings(tmp_path, network_file, name)[name])


def test_bgr(tmp_path: Path, network_file: Path) -> None:
    for channel, name in enumerate(("red", "green", "blue")):
        value = [20, 20, 20]
        value[channel] = 230
        colour(tmp_path / name, tuple(value), 14)  # type: ignore[arg-type]
    assert warnings(tmp_path, network_file, "bgr")["bgr"] == (
        "the accuracy is near chance (14 of 42 images): with BGR input, 42 of 42 images are right instead of 14: "
        "let it flip its input's channels, x[:, [2, 1, 0]]"
    )
