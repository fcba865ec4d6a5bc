"""Preprocessing equals torchvision's transforms and timm's rules."""

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.device import choose_device
from shapebias.precompute.models.preprocessing import (
    from_pretrained_cfg,
    from_torchvision,
    imagenet_preprocessing,
    stored_preprocessing,
)

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (301, 407, 3), dtype=np.uint8))


def fed(preprocessing: Any, picture: Image.Image) -> torch.Tensor:
    """Return the tensor that the network would get."""
    pixels = np.array(preprocessing.geometry(picture))[None]
    return choose_device("cpu", "auto").images(pixels, preprocessing)


@pytest.mark.parametrize("name", ["alexnet", "resnet50", "efficientnet_b0", "inception_v3"])
def test_a_torchvision_network_gets_what_its_transform_gives(name: str) -> None:
    for weights in torchvision.models.get_model_weights(name):
        tensor = fed(from_torchvision(weights, "test"), PICTURE)
        expected = weights.transforms()(PICTURE)[None]
        assert tensor.shape == expected.shape
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-5)


def test_the_usual_one_is_resize_256_crop_224() -> None:
    usual = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    tensor = fed(imagenet_preprocessing(), PICTURE)
    torch.testing.assert_close(tensor, usual(PICTURE)[None], rtol=1e-5, atol=1e-5)


def test_the_input_is_channels_last_float32() -> None:
    tensor = fed(imagenet_preprocessing(), PICTURE)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_a_pretrained_cfg_is_read_as_timm_reads_it() -> None:
    cfg = {
        "input_size": (3, 288, 288),
        "crop_pct": 0.95,
        "interpolation": "bicubic",
        "mean": (0.5, 0.4, 0.3),
        "std": (0.1, 0.2, 0.3),
        "classifier": "fc",
    }
    preprocessing = from_pretrained_cfg(cfg)
    assert (preprocessing.geometry.resize, preprocessing.geometry.crop) == (303, 288)  # floor(288 / 0.95 = 303.16)
    timm = transforms.Compose(
        [
            transforms.Resize(303, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(288),
            transforms.ToTensor(),
            transforms.Normalize(cfg["mean"], cfg["std"]),  # type: ignore[arg-type]
        ]
    )
    torch.testing.assert_close(fed(preprocessing, PICTURE), timm(PICTURE)[None], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(301, 407), (407, 301), (90, 333), (224, 224), (50, 61)])
@pytest.mark.parametrize("crop_pct", [0.875, 1.0, 1.15])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_crop_modes_are_timms_own(mode: str, crop_pct: float, size: tuple[int, int]) -> None:
    data = pytest.importorskip("timm.data")
    cfg = {
        "input_size": (3, 224, 224),
        "crop_pct": crop_pct,
        "crop_mode": mode,
        "interpolation": "bicubic",
        "mean": (0.5, 0.4, 0.3),
        "std": (0.1, 0.2, 0.3),
    }
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8))
    expected = data.create_transform(**cfg, is_training=False)(picture)[None]
    preprocessing = from_pretrained_cfg(cfg)
    torch.testing.assert_close(fed(preprocessing, picture), expected, rtol=1e-5, atol=1e-5)
    assert stored_preprocessing(preprocessing.to_attributes()) == preprocessing


def test_crop_modes_have_keys_of_their_own() -> None:
    modes = ("center", "squash", "border")
    keys = {from_pretrained_cfg({"crop_mode": mode}).geometry.key for mode in modes}
    assert len(keys) == 3


class Cfg:
    def __init__(self, **facts: Any) -> None:
        self.facts = facts

    def to_dict(self) -> dict[str, Any]:
        return self.facts


@pytest.mark.parametrize("cfg", [{}, Cfg(), {"crop_pct": None, "interpolation": ""}])
def test_what_a_cfg_leaves_out_is_imagenets(cfg: Any) -> None:
    preprocessing = from_pretrained_cfg(cfg)
    usual = imagenet_preprocessing()
    assert (preprocessing.geometry, preprocessing.mean, preprocessing.std) == (usual.geometry, usual.mean, usual.std)


def test_interpolation_for_training_is_bicubic() -> None:
    assert from_pretrained_cfg({"interpolation": "random"}).geometry.interpolation == "bicubic"


@pytest.mark.parametrize(
    "cfg",
    [
        {"input_size": (1, 28, 28)},
        {"input_size": (3, 32, 64)},
        {"input_size": (3, 0, 0)},
        {"input_size": (3, -5, -5)},
        {"input_size": 224},
        {"input_size": "abc"},
        {"input_size": (3, "a", "a")},
        {"crop_pct": -1},
        {"crop_pct": 2.5},
        {"crop_mode": "tile"},
        {"crop_pct": float("nan")},
        {"crop_pct": "x"},
        {"mean": (0.5,)},
        {"mean": None},
        {"std": (1, 1, 0)},
        {"std": (1, 1, 1, 1)},
        7,
        "text",
        [1, 2],
    ],
)
def test_a_cfg_that_makes_no_sense_is_one_line(cfg: Any) -> None:
    with pytest.raises(ShapebiasError) as error:
        from_pretrained_cfg(cfg)
    assert "pretrained_cfg" in str(error.value)
    assert "\n" not in str(error.value)


def test_it_says_what_it_is() -> None:
    assert str(imagenet_preprocessing()) == (
        "resize 256 bilinear, crop 224, mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (from ImageNet's usual values)"
    )
