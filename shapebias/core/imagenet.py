"""ImageNet's 1000 classes: WordNet ids in sorted order (the order of every ImageNet network's outputs) and names."""

import json
from functools import cache
from importlib import resources


@cache
def _reference() -> dict[str, list[str]]:
    text = resources.files("shapebias.core").joinpath("reference/imagenet_classes.json").read_text("utf-8")
    reference: dict[str, list[str]] = json.loads(text)
    return reference


def wnids() -> list[str]:
    """Return the 1000 WordNet ids (`n01440764` first), in class order."""
    return _reference()["wnids"]


def class_names() -> list[str]:
    """Return the 1000 class names (`tench` first), in class order."""
    return _reference()["names"]
