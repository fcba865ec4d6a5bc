"""ImageNet-R and -A are decided among their own 200 classes; other folders of some classes among all."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.imagenet import variant_of, wnids
from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_specs
from tests.conftest import smooth_noise

# Decides for one of 1000 classes by the mean colour.
NETWORK = """
import torch
from torch import nn

class Thousand(nn.Module):
    pretrained_cfg = {"input_size": (3, 16, 16), "crop_pct": 1.0, "interpolation": "bilinear",
                      "mean": (0.5, 0.5, 0.5), "std": (0.1, 0.1, 0.1)}

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2)
        self.head = nn.Linear(3, 1000)

    def forward(self, x):
        return self.head(x.mean((2, 3)) + 0 * self.conv(x).mean())

def build():
    torch.manual_seed(1)
    return Thousand().eval()
"""


@pytest.mark.parametrize(
    ("change", "is_variant"),
    [
        (lambda ids: ids, True),
        (lambda ids: [f"{wnid}_name" for wnid in reversed(ids)], True),
        (lambda ids: ids[:-1], False),
        (lambda ids: [*ids, next(wnid for wnid in wnids() if wnid not in ids)], False),
        (lambda ids: [*ids, "notes"], False),
    ],
)
@pytest.mark.parametrize("name", ["ImageNet-R", "ImageNet-A"])
def test_only_exactly_these_classes_are_the_data_set(
    name: str, change: Callable[[list[str]], list[str]], is_variant: bool
) -> None:
    known = {"ImageNet-R": [1, 2, 4, 6, 8], "ImageNet-A": [6, 11, 13, 15, 17]}
    ids = own_ids(name)
    assert len(set(ids)) == 200
    assert set(ids) <= set(wnids())
    assert [wnids().index(wnid) for wnid in ids[:5]] == known[name], "as the published code lists them"
    assert variant_of(change(ids)) == ((name, ids) if is_variant else None)


def own_ids(name: str) -> list[str]:
    text = resources.files("shapebias.core").joinpath("reference/imagenet_variants.json").read_text("utf-8")
    return list(json.loads(text)["classes"][name])


@pytest.mark.slow
def test_they_are_decided_among(make_store: Callable[..., Path], tmp_path: Path) -> None:
    """Against the network's scores: of a whole set among its 200 classes, of one class less among all 1000.

    Of each class there is a picture, and of the class that the network decides for among the 200 another hundred.
    """
    (tmp_path / "net.py").write_text(NETWORK)
    space: dict = {}
    exec(NETWORK, space)
    ids = own_ids("ImageNet-R")
    own = np.array([wnids().index(wnid) for wnid in ids])
    pictures = [smooth_noise(seed, 16, 16) for seed in range(300)]
    pixels = torch.from_numpy(np.stack(list(map(np.asarray, pictures)))).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        scores = space["build"]()((pixels - 0.5) / 0.1).numpy()
    among = scores[:, own].argmax(1)
    classes = np.concatenate([np.arange(200), among[200:]])
    for number, (picture, label) in enumerate(zip(pictures, classes, strict=True)):
        for folder in ("whole", "part") if label else ("whole",):
            (tmp_path / folder / ids[label]).mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / folder / ids[label] / f"{number}.png")
    path = make_store(
        tmp_path / "a.zarr",
        models=parse_specs([f"Net={tmp_path}/net.py:build"]),
        images=str(tmp_path / "whole"),
        layers="conv",
        variants=tuple((name, str(tmp_path / name)) for name in ("whole", "part")),
    )
    store = open_store(path)
    by_variant = {one.condition: one.accuracy for one in accuracies(store) if one.kind == "variant"}
    of_all = scores.argmax(1) == own[classes]
    assert by_variant["whole"] == (among == classes).mean() >= 1 / 3
    assert by_variant["part"] == of_all[classes > 0].mean() < by_variant["whole"]
    notes = [note for note in store.attributes["notes"] if "decided among" in note]
    assert notes == ["Net: whole is decided among ImageNet-R's 200 classes"]
