"""The preprocessing of images for a network: resize, crop, scale to [0, 1], normalise."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from shapebias.core.errors import ShapebiasError
from shapebias.core.text import printable
from shapebias.precompute.images.crop_modes import CROP_MODES, Bordered
from shapebias.precompute.images.geometry import Geometry

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NORMALIZATIONS = {  # by the name in `preprocess=NAME`: mean and std of RGB in [0, 1]
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "advprop": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # x * 2 - 1
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_MAX_SIDE = 4096  # px
_LARGEST_CROP = 2  # crop_pct: above 1 the image is smaller than the crop, and black around it
_INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos")


@dataclass(frozen=True)
class Preprocessing:
    """Images are resized and cropped by `geometry`; then `mean` is subtracted from RGB in [0, 1] and the result divided
    by `std`.

    `origin` says where these values came from.
    """

    geometry: Geometry
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str

    def to_attributes(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON, as the store keeps them; `stored_preprocessing` reads them."""
        return asdict(self)

    def __str__(self) -> str:
        mean, std = (" ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        geometry = self.geometry
        mode = getattr(geometry, "mode", "resize")
        return (
            f"{mode} {geometry.resize} {geometry.interpolation}, crop {geometry.crop}, mean {mean}, std {std} "
            f"(from {self.origin})"
        )


def stored_preprocessing(attributes: dict[str, Any]) -> Preprocessing:
    """Return the preprocessing that `Preprocessing.to_attributes` wrote.

    Raises ShapebiasError where it makes no sense.
    """
    try:
        geometry = _stored_geometry(attributes["geometry"])
        mean, std = (tuple(float(value) for value in attributes[name]) for name in ("mean", "std"))
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0 or geometry.interpolation not in _INTERPOLATIONS:
            raise ValueError("a value out of range")
        if not all(type(size) is int and 0 < size <= _MAX_SIDE for size in (geometry.resize, geometry.crop)):
            raise ValueError("a size out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise ShapebiasError(f"the stored preprocessing cannot be read: {printable(str(error), 120)}") from error
    return Preprocessing(geometry, mean, std, printable(str(attributes.get("origin"))))


def _stored_geometry(attributes: dict[str, Any]) -> Geometry:
    sizes = {name: value for name, value in attributes.items() if name not in ("mode", "fill")}
    if "fill" in attributes:
        red, green, blue = map(int, attributes["fill"])
        return Bordered(**sizes, fill=(red, green, blue))
    return CROP_MODES[attributes.get("mode", "center")](**sizes)


def imagenet_preprocessing() -> Preprocessing:
    """Return the usual preprocessing for ImageNet networks: short side 256, centre crop 224."""
    return Preprocessing(Geometry(256, 224, "bilinear"), IMAGENET_MEAN, IMAGENET_STD, "ImageNet's usual values")


def from_pretrained_cfg(cfg: Any) -> Preprocessing:
    """Return the preprocessing of timm's `pretrained_cfg` (a dict, or an object with `to_dict`); missing values are
    ImageNet's.

    timm resizes the short side to floor(input size / crop_pct); with crop_mode `squash` both sides, with `border` the
    long side, and the border gets the mean's colour. Raises ShapebiasError where a value makes no sense, or the input
    is not square RGB.
    """
    usual = imagenet_preprocessing()
    try:
        facts = dict(cfg.to_dict() if hasattr(cfg, "to_dict") else cfg)
        channels, height, width = map(int, facts.get("input_size", (3, usual.geometry.crop, usual.geometry.crop)))
        crop_pct = float(facts.get("crop_pct") or 0.875)
        mode = str(facts.get("crop_mode") or "center")
        interpolation = str(facts.get("interpolation") or "bilinear")
        mean = tuple(float(value) for value in facts.get("mean", usual.mean))
        std = tuple(float(value) for value in facts.get("std", usual.std))
    except Exception as error:
        raise ShapebiasError(f"the model's pretrained_cfg cannot be read: {printable(str(error), 120)}") from error
    if channels != 3 or height != width or height < 1:
        size = printable(f"{channels} x {height} x {width}")
        raise ShapebiasError(f"the model's pretrained_cfg wants {size} input; shapebias feeds square RGB images")
    if not 0 < crop_pct <= _LARGEST_CROP or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ShapebiasError("the model's pretrained_cfg has a crop_pct, mean or std out of range")
    if interpolation not in _INTERPOLATIONS:
        interpolation = "bicubic"  # timm's "random" and "box" are for training; it evaluates them as bicubic
    if mode not in CROP_MODES:
        modes = ", ".join(CROP_MODES)
        raise ShapebiasError(f"the model's pretrained_cfg has crop_mode {printable(mode, 40)}: there are {modes}")
    geometry = CROP_MODES[mode](math.floor(height / crop_pct), height, interpolation)
    if isinstance(geometry, Bordered):
        red, green, blue = (round(255 * value) for value in mean)
        geometry = replace(geometry, fill=(red, green, blue))
    return Preprocessing(geometry, mean, std, "the model's pretrained_cfg")


def from_torchvision(weights: Any, origin: str) -> Preprocessing:
    """Return the preprocessing of a member of a torchvision weights enum; nothing is downloaded."""
    return from_transform(weights.transforms(), origin)


def from_transform(transform: Any, origin: str) -> Preprocessing:
    """Return the preprocessing of a torchvision transform, as `WEIGHTS.transforms()` returns it."""
    geometry = Geometry(int(transform.resize_size[0]), int(transform.crop_size[0]), str(transform.interpolation.value))
    return Preprocessing(geometry, tuple(transform.mean), tuple(transform.std), origin)
