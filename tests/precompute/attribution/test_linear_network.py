"""A linear network, for which every method's answer is known: a pixel adds to the logit its weight times its
value less the baseline's."""

import pytest
import torch
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attribution.explanation import Question
from shapebias.precompute.attribution.lime import superpixels
from shapebias.precompute.attribution.samples import draw_baselines
from shapebias.precompute.attribution.subject import NotApplicable
from tests.support.attribution import STD, Linear, explained, pictures, subject_of

SIZE = 32
IMAGES = pictures(3, SIZE)
SUBJECT = subject_of(Linear(SIZE), SIZE, most=7)
WEIGHTS = (Linear(SIZE).weights.detach() / torch.tensor(STD).view(3, 1, 1))[:3]  # of the i-th image the i-th output


def maps_of(name: str, **settings: int | float | str) -> Tensor:
    return explained(SUBJECT, Choice.of(name, **settings), IMAGES).maps


def baselines(kind: str, count: int = 1) -> Tensor:
    question = Question(IMAGES, torch.arange(3), [0, 1, 2])
    return draw_baselines(kind, question, question.generators(), count)


def assert_close(ours: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_gradients() -> None:
    assert_close(maps_of("gradient"), WEIGHTS.sum(1))
    assert_close(maps_of("smoothgrad", samples=9), WEIGHTS.sum(1))
    assert_close(maps_of("input-x-gradient"), (WEIGHTS * IMAGES).sum(1))


@pytest.mark.parametrize("kind", ["black", "grey", "random"])
@pytest.mark.parametrize(("rule", "steps"), [("trapezoid", 2), ("trapezoid", 9), ("gauss-legendre", 3)])
def test_integrated_gradients_are_complete(kind: str, rule: str, steps: int) -> None:
    explanation = explained(SUBJECT, Choice.of("integrated-gradients", baseline=kind, rule=rule, steps=steps), IMAGES)
    assert_close(explanation.maps, (WEIGHTS * (IMAGES - baselines(kind)[:, 0])).sum(1))
    assert explanation.gap is not None
    assert float(explanation.gap.max()) < 1e-4


@pytest.mark.parametrize("kind", ["black", "random"])
def test_shap(kind: str) -> None:
    """Baselines take turns: of 12 samples each of 3 has 4."""
    deeplift = explained(SUBJECT, Choice.of("deeplift-shap", baseline=kind, baselines=3), IMAGES)
    assert_close(deeplift.maps, (WEIGHTS * (IMAGES - baselines(kind, 3).mean(1))).sum(1))
    assert deeplift.fallback is None
    generators = Question(IMAGES, torch.arange(3), [0, 1, 2]).generators()
    for generator in generators:
        torch.rand(12, generator=generator)  # positions are drawn first
    drawn = draw_baselines(kind, Question(IMAGES, torch.arange(3), [0, 1, 2]), generators, 3)
    gradient = explained(SUBJECT, Choice.of("gradient-shap", baseline=kind, baselines=3, samples=12), IMAGES)
    assert_close(gradient.maps, (WEIGHTS * (IMAGES - drawn.mean(1))).sum(1))
    for explanation in (deeplift, gradient):
        assert explanation.gap is not None
        assert float(explanation.gap.max()) < 1e-4


@pytest.mark.parametrize("kind", ["grey", "random"])
def test_occlusion(kind: str) -> None:
    """Patches of 9 px every 5 px: at 0, 5, 10, 15, 20 and, cut off, 25."""
    contributions = (WEIGHTS * (IMAGES - baselines(kind)[:, 0])).sum(1)
    total, count = torch.zeros_like(contributions), torch.zeros_like(contributions)
    for y in range(0, 26, 5):
        for x in range(0, 26, 5):
            window = (slice(None), slice(y, y + 9), slice(x, x + 9))
            total[window] += contributions[window].sum((1, 2))[:, None, None]
            count[window] += 1
    assert_close(maps_of("occlusion", patch=63, stride=35, baseline=kind, of="logit"), total / count)


@pytest.mark.parametrize("segments", ["slic", "grid"])
@pytest.mark.parametrize("baseline", ["grey", "mean"])
def test_lime(segments: str, baseline: str) -> None:
    settings = {"segments": segments, "superpixels": 9, "samples": 60, "ridge": 0.0, "of": "logit"}
    choice = Choice.of("lime", baseline=baseline, **settings)
    wanted = torch.zeros(3, SIZE, SIZE)
    for image, weights, out in zip(IMAGES, WEIGHTS, wanted, strict=True):
        areas = superpixels(choice, image)
        for number in areas.unique():
            inside = areas == number
            hidden = image[:, inside].mean(1, keepdim=True) if baseline == "mean" else 0.5
            out[inside] = ((image[:, inside] - hidden) * weights[:, inside]).sum()
    assert_close(explained(SUBJECT, choice, IMAGES).maps, wanted)


def test_meaningful_perturbation_blurs_the_evidence_for_the_class() -> None:
    """With one cell per pixel, and neither cost nor smoothness, each pixel is decided by itself."""
    free = {"cells": SIZE, "smooth": 0.1, "jitter": 1, "area": 0.0, "variation": 0.0, "of": "logit", "steps": 60}
    maps = maps_of("mp", blur=14.0, **free)
    places = torch.arange(SIZE, dtype=torch.float64)
    kernel = torch.exp(-((places[:, None] - places) ** 2) / (2 * 2.0**2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).float()
    speaks = (WEIGHTS * (IMAGES - kernel @ IMAGES @ kernel.T)).sum(1)
    clear = speaks.abs() > 1e-4
    assert ((maps == (speaks > 0).float()) | ~clear).all()


def test_methods_that_need_maps() -> None:
    with pytest.raises(NotApplicable, match="its class scores are not one linear layer behind global average"):
        maps_of("cam")
    with pytest.raises(NotApplicable, match="its class scores have no gradient by maps"):
        maps_of("grad-cam")
