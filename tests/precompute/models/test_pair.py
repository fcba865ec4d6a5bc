"""The built-in pair: what it promises is measured on the weights that are shipped."""

import numpy as np
import pytest
import torch
import torchattacks
from torch import Tensor
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.errors import UsageError
from shapebias.core.paper import PHOTO_PAIR
from shapebias.core.shape_bias.categories import known_categories
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.attacks.descent import Normalised, robust_accuracy
from shapebias.precompute.images.builtin.drawing import SHAPES, builtin_set, draw_path, parse_path
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import PAIR, parse_spec
from shapebias.precompute.models.trained import SHIPPED, read_trained


def classifier(name: str) -> Normalised:
    model = load_model(parse_spec(name))
    return Normalised(model.network, model.preprocessing.mean, model.preprocessing.std).eval()


def images(split: str, count: int) -> tuple[Tensor, Tensor]:
    """float32 [count, 3, 64, 64] and (shape, texture) int64 [count, 2]."""
    paths = builtin_set(split).spread(count).paths
    pixels = np.stack([draw_path(path) for path in paths])
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255
    return inputs, torch.tensor([parse_path(path)[:2] for path in paths])


def test_they_are_small_and_differ_in_the_attack_only() -> None:
    standard, robust = (read_trained(SHIPPED[name]) for name in PAIR)
    assert standard is not None
    assert robust is not None
    assert all(SHIPPED[name].stat().st_size < 1_500_000 for name in PAIR)
    assert standard.class_ids == robust.class_ids == list(SHAPES)
    differing = {key for key in standard.recipe if standard.recipe[key] != robust.recipe[key]}
    assert differing == {"attack", "history"}
    assert standard.recipe["attack"] is None
    assert len(standard.recipe["history"]) == len(robust.recipe["history"]) == standard.recipe["epochs"]


def test_the_pair_on_photos_differs_in_the_attack_only() -> None:
    standard, robust = (read_trained(SHIPPED[name]) for name in PHOTO_PAIR)
    assert standard is not None
    assert robust is not None
    assert all(SHIPPED[name].stat().st_size < 3_000_000 for name in PHOTO_PAIR)
    assert standard.architecture == robust.architecture == "photo"
    assert standard.class_ids == robust.class_ids
    assert list(known_categories(standard.class_ids)) == ["airplane", "bird", "boat", "car", "cat", "dog", "truck"]
    assert {key for key in standard.recipe if standard.recipe[key] != robust.recipe[key]} == {"attack", "history"}
    assert standard.recipe["attack"] is None
    assert len(standard.recipe["history"]) == len(robust.recipe["history"]) == standard.recipe["epochs"]
    model = load_model(parse_spec("S=photo-s"))
    assert (model.source, model.architecture, model.preprocessing.geometry.crop) == ("photo-s", "photo", 32)


def test_the_pair_on_photos_says_what_images_it_needs() -> None:
    result = CliRunner().invoke(app, ["precompute", "--model", "S=photo-s", "--model", "photo-r"])
    assert result.exit_code == 2
    assert result.stderr.startswith("shapebias: photo-s knows photos")
    assert "--images cifar10:test" in result.stderr
    assert result.stderr.count("\n") == 1


def test_their_names_take_no_checkpoint() -> None:
    with pytest.raises(UsageError, match="has weights of its own"):
        load_model(parse_spec("demo-s@other.safetensors"))
    with pytest.raises(UsageError, match="photo@FILE"):
        load_model(parse_spec("photo-s@other.safetensors"))
    assert load_model(parse_spec("demo-r")).source == "demo-r"


@pytest.mark.slow
@torch.inference_mode()
def test_accuracy_and_shape_bias() -> None:
    probe, truth = images("probe", 320)
    conflict, cues = images("cue-conflict", 480)
    bias = {}
    for name, least in zip(PAIR, (0.95, 0.9), strict=True):
        network = classifier(name)
        assert (network(probe).argmax(1) == truth[:, 0]).float().mean() >= least
        by_shape, by_texture = ((network(conflict).argmax(1)[:, None] == cues).sum(0)).tolist()
        bias[name] = by_shape / (by_shape + by_texture)
    assert bias["demo-s"] < 0.15
    assert bias["demo-r"] > bias["demo-s"] + 0.3


@pytest.mark.slow
def test_robustness_is_no_artefact_of_a_weak_attack() -> None:
    """The attack that takes S below 20 % leaves R above 60 %; torchattacks finds no more errors than ours."""
    inputs, truth = images("probe", 64)
    labels = truth[:, 0]
    robust = {}
    for name in PAIR:
        network = classifier(name)
        generator = torch.Generator().manual_seed(0)
        robust[name] = robust_accuracy(network, [(inputs, labels)], [Attack.reaching("l2", 2.0, 20)], generator)[0]
        torch.manual_seed(0)
        other = torchattacks.PGDL2(network, eps=2.0, alpha=0.25, steps=20, random_start=True)
        theirs = (network(other(inputs, labels)).argmax(1) == labels).float().mean().item()
        assert robust[name] <= theirs + 0.05
    assert robust["demo-s"] < 0.2
    assert robust["demo-r"] > 0.6
