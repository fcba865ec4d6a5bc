"""Networks of all kinds: how their code is written, where their last maps are, what they take and what they lack."""

import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torchvision
from torch import Tensor, nn

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.methods import CAM, CONTROL, GRADIENT, METHODS
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.subject import Budget, NotApplicable, Subject
from shapebias.precompute.device import CPU
from tests.support.attribution import MEAN, STD, Plain, explained, pictures, subject_of

SIZE = 24
FAST = {
    "smoothgrad": {"samples": 5},
    "integrated-gradients": {"steps": 5},
    "gradient-shap": {"samples": 5, "baselines": 2},
    "deeplift-shap": {"baselines": 2},
    "occlusion": {"patch": 80, "stride": 60},
    "lime": {"samples": 20, "superpixels": 9},
    "mp": {"steps": 4, "cells": 6},
    "rise": {"masks": 20, "grid": 3},
}
CHOICES = [Choice.of(name, **FAST.get(name, {})) for name in METHODS]
NEEDS_GRADIENT = {name for name, method in METHODS.items() if method.family in (GRADIENT, CAM)} | {"mp"}
by_name = pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)


class StyledNetwork(nn.Module):
    """Two layers and a head; `style` says how its code is written, which does not change what it computes."""

    def __init__(self, style: str = "modules") -> None:
        super().__init__()
        torch.manual_seed(2)
        self.style = style
        self.first, self.second, self.head = nn.Conv2d(3, 8, 5, 2), nn.Conv2d(8, 8, 3, 1, 1), nn.Linear(8, 3)
        self.norm = nn.BatchNorm2d(8)
        nn.init.uniform_(self.norm.running_mean, -0.1, 0.1)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(2))
        self.in_place = nn.ReLU(inplace=True)  # one module for all

    def act(self, maps: Tensor, number: int) -> Tensor:
        return {
            "modules": self.relus[number],
            "reused module": self.in_place,
            "function": F.relu,
            "function in place": lambda maps: F.relu(maps, inplace=True),
            "method in place": lambda maps: maps.relu_(),
            "clamp": lambda maps: maps.clamp(min=0),
        }[self.style](maps)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.norm(self.first(images)), 0)
        maps = F.max_pool2d(maps, 2) if self.style.startswith("function") else nn.MaxPool2d(2)(maps)
        maps = self.act(self.second(maps), 1)
        return self.head(maps.mean((2, 3)))


@by_name
@pytest.mark.parametrize("style", ["reused module", "function", "function in place", "method in place", "clamp"])
def test_how_the_code_is_written_does_not_matter(choice: Choice, style: str) -> None:
    images = pictures(2, SIZE)
    wanted, ours = (
        explained(subject_of(StyledNetwork(written), SIZE), choice, images) for written in ("modules", style)
    )
    torch.testing.assert_close(ours.maps, wanted.maps, rtol=1e-4, atol=1e-6)
    assert ours.fallback is None


@by_name
def test_maps_depend_on_neither_batch_nor_order(choice: Choice) -> None:
    images = pictures(4, SIZE)
    maps = explained(subject_of(StyledNetwork(), SIZE), choice, images, seed=0).maps
    for most in (1, 3, 7):
        subject = subject_of(StyledNetwork(), SIZE, most=most)
        alone = explained(subject, choice, images[:1], seed=0).maps
        torch.testing.assert_close(explained(subject, choice, images, seed=0).maps, maps, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone, maps[:1], rtol=1e-4, atol=1e-5)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad


@by_name
def test_networks_see_the_same_pixels_whatever_their_normalisation(choice: Choice) -> None:
    """So that two networks have one baseline, and the same noise and masks."""

    def seen(mean: tuple[float, ...], std: tuple[float, ...]) -> list[Tensor]:
        batches = []

        def scores(inputs: Tensor) -> Tensor:
            """The same function of pixels."""
            pixels = inputs * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)
            batches.append(pixels.detach())
            return network(pixels)

        subject = Subject(network=Normalised(Plain(scores), mean, std), size=SIZE)
        explained(subject, choice, pictures(2, SIZE))
        return batches

    network = StyledNetwork().eval().requires_grad_(False)
    for one, other in zip(seen(MEAN, STD), seen((0.0,) * 3, (1.0,) * 3), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


@by_name
def test_a_network_that_takes_no_single_image(choice: Choice) -> None:
    def of_two(images: Tensor) -> Tensor:
        assert len(images) > 1
        return network(images)

    network = StyledNetwork().eval().requires_grad_(False)
    images = pictures(1, SIZE)
    ours = explained(subject_of(Plain(of_two), SIZE, takes_one=False, most=3), choice, images).maps
    torch.testing.assert_close(ours, explained(subject_of(network, SIZE), choice, images).maps, rtol=1e-4, atol=1e-5)


@by_name
def test_without_a_gradient_methods_that_need_none_go_on(choice: Choice) -> None:
    subject = subject_of(Plain(torch.no_grad()(StyledNetwork().eval())), SIZE)
    if choice.name in NEEDS_GRADIENT:
        with pytest.raises(NotApplicable, match=r"no gradient|not one linear layer"):
            explained(subject, choice, pictures(2, SIZE))
    else:
        assert explained(subject, choice, pictures(2, SIZE)).maps.isfinite().all()


@by_name
def test_scores_that_never_change_are_no_evidence(choice: Choice) -> None:
    """Not for masks either, whose mean is not the same everywhere; nor for LIME, whose coefficients are rounding."""

    def scores(images: Tensor) -> Tensor:
        return network(images) * 0 + 3

    network, subject = StyledNetwork().eval().requires_grad_(False), subject_of(Plain(scores), SIZE)
    if choice.name == "grad-cam":
        with pytest.raises(NotApplicable, match="no gradient by maps"):
            explained(subject, choice, pictures(2, SIZE))
    else:
        maps = explained(subject, choice, pictures(2, SIZE)).maps
        assert choice.method.family == CONTROL or (maps == 0).all()


@by_name
def test_one_broken_image_leaves_the_others_alone(choice: Choice) -> None:
    images = pictures(3, SIZE)
    subject = subject_of(StyledNetwork(), SIZE)
    wanted = explained(subject, choice, images).maps
    if choice.method.family == CONTROL or choice.name == "lime":  # no scores are asked for; there are no superpixels
        return
    images[1] = torch.nan
    maps = explained(subject, choice, images).maps
    torch.testing.assert_close(maps[[0, 2]], wanted[[0, 2]], rtol=1e-4, atol=1e-5)
    assert maps[1].isnan().all()


def of_hook(network: nn.Module, module: nn.Module, images: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
    """Grad-CAM by a hook on a module, whose output `act` turns into the last map."""
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        kept.append(act(output).detach().requires_grad_())
        return kept[0].clone()  # what follows may change it in place

    handle = module.register_forward_hook(keep)
    scores = network(images)
    handle.remove()
    logits = scores[torch.arange(len(images)), torch.arange(len(images)) % 3]
    (slopes,) = torch.autograd.grad(logits.sum(), kept[0])
    return (slopes.mean((2, 3), keepdim=True) * kept[0]).sum(1).clamp_min(0).detach()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "act"),
    [
        ("alexnet", "features.11", lambda maps: maps),  # the last layer, before it is pooled
        ("densenet121", "features", lambda maps: F.relu(maps) + 1e-7),  # F.relu in its forward, here once more
        ("googlenet", "inception5b", lambda maps: maps),  # with auxiliary outputs
        ("resnet18", "layer4", lambda maps: maps),
        ("mobilenet_v2", "features", lambda maps: maps),
        ("shufflenet_v2_x0_5", "conv5", lambda maps: maps),
        ("squeezenet1_1", "classifier.2", lambda maps: maps),
    ],
)
def test_grad_cam_is_that_of_a_hook_on_the_last_layer(name: str, layer: str, act: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    options = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    network = CPU.to(getattr(torchvision.models, name)(weights=None, **options).eval())  # channels_last, as in a run
    images = pictures(2, 96)
    subject = Subject(network=Normalised(network, (0.0,) * 3, (1.0,) * 3), size=96, budget=Budget(2))
    wanted = of_hook(network, network.get_submodule(layer), images, act)
    ours = explained(subject, "grad-cam", images).maps
    torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))
    if name in ("alexnet", "squeezenet1_1"):
        with pytest.raises(NotApplicable):
            explained(subject, "cam", images)
    else:
        positive = explained(subject, "cam", images).maps.clamp_min(0) / wanted[0].numel()
        torch.testing.assert_close(positive, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.slow
def test_the_last_maps_of_a_vision_transformer_are_those_that_the_class_token_sees() -> None:
    torch.manual_seed(0)
    options = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32}
    network = torchvision.models.VisionTransformer(**options, num_classes=5).eval()
    nn.init.normal_(network.heads.head.weight)
    maps = explained(subject_of(network, 32), "grad-cam", pictures(2, 32)).maps
    assert maps.shape == (2, 4, 4)
    assert (maps.flatten(1).amax(1) > 0).all()


def test_deeplift_gives_way_where_activations_are_multiplied() -> None:
    class Gated(StyledNetwork):
        def forward(self, images: Tensor) -> Tensor:
            maps = self.norm(self.first(images))
            return self.head((maps * maps.mean((2, 3), keepdim=True).sigmoid() * maps.tanh()).mean((2, 3)))

    subject = subject_of(Gated(), SIZE)
    choice = Choice.of("deeplift-shap", baselines=2, baseline="random")
    explanation = explained(subject, choice, pictures(2, SIZE))
    assert explanation.fallback == "gradient-shap"
    assert len(subject.notes) == 1
    assert re.fullmatch(
        r"deeplift-shap: contributions miss .* by \d+% in a trial, .*: gradient-shap .*", *subject.notes
    )
    wanted = explained(subject, Choice.of("gradient-shap", baselines=2), pictures(2, SIZE))
    torch.testing.assert_close(explanation.maps, wanted.maps)


@pytest.mark.parametrize(
    "act",
    [
        F.relu6,
        F.leaky_relu,
        F.elu,
        F.gelu,
        F.silu,
        F.hardswish,
        F.softplus,
        F.mish,
        torch.sigmoid,
        torch.tanh,
        torch.abs,
    ],
)
def test_deeplift_is_complete_with_every_nonlinearity(act: Callable[[Tensor], Tensor]) -> None:
    net = StyledNetwork()
    net.act = lambda maps, number: act(maps)  # type: ignore[method-assign]
    explanation = explained(subject_of(net, SIZE), Choice.of("deeplift-shap", baselines=2), pictures(3, SIZE))
    assert explanation.fallback is None
    assert explanation.gap is not None
    assert float(explanation.gap.max()) < 1e-3


def test_deeplift_with_overlapping_windows() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(6, 6, 3), nn.ReLU())
    network = nn.Sequential(
        layers, nn.MaxPool2d(3, 1, ceil_mode=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    explanation = explained(subject_of(network, SIZE), Choice.of("deeplift-shap", baselines=2), pictures(3, SIZE))
    assert explanation.gap is not None
    assert float(explanation.gap.max()) < 1e-3


class Unpooling(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(images, 2, return_indices=True)
        return F.max_unpool2d(pooled, places, 2).mean((2, 3))


def test_deeplift_leaves_pooling_that_returns_its_places_as_it_is() -> None:
    explanation = explained(subject_of(Unpooling(), SIZE), Choice.of("deeplift-shap", baselines=2), pictures(2, SIZE))
    assert explanation.fallback == "gradient-shap"  # by its gradient contributions do not sum up


def test_a_budget_that_does_not_suffice_changes_no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapebias.precompute.attribution.subject.release", lambda: None)  # collects garbage: slow here

    def scores(images: Tensor) -> Tensor:
        if len(images) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return network(images)

    network, images = StyledNetwork().eval().requires_grad_(False), pictures(5, SIZE)
    for choice in CHOICES:
        subject = subject_of(Plain(scores), SIZE, most=8)
        maps = explained(subject, choice, images).maps
        wanted = explained(subject_of(network, SIZE), choice, images).maps
        torch.testing.assert_close(maps, wanted, rtol=1e-4, atol=1e-5)
        if choice.method.family != CONTROL:
            assert subject.notes[-1].startswith("not enough memory for ")
