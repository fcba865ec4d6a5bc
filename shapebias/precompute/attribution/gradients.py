"""Attribution by the gradient of the class's logit with respect to the image: at the image, near it, or on a path to
it.

A map is the sum over the colours, as completeness requires: the gradient's map says how the logit changes when a pixel
becomes brighter.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.methods import LOGIT
from shapebias.precompute.attribution.explanation import Explanation, Question, relative_gap
from shapebias.precompute.attribution.samples import blocks, by_image, draw_baselines, draw_pictures
from shapebias.precompute.attribution.subject import Subject


def gradient(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the derivative of the logit with respect to each pixel, summed over its colours: float32 [B, H, W]."""
    _, gradients = subject.gradients(question.images, question.targets)
    return Explanation(maps=gradients.sum(1))


def input_x_gradient(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return x * dS/dx, for pixels x in [0, 1] and the logit S, summed over the colours: float32 [B, H, W].

    Black pixels get 0.
    """
    _, gradients = subject.gradients(question.images, question.targets)
    return Explanation(maps=gradients.mul_(question.images).sum(1))


def smoothgrad(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the mean of dS/dx, the derivative of the logit, over noisy versions of the image: float32 [B, H, W].

    The noise is Gaussian; pixels may leave [0, 1].
    """
    samples, sigma = choice.count("samples"), choice.number("sigma")
    generators = question.generators()
    total = torch.zeros_like(question.images)
    for images, part in blocks(len(question), samples, subject.budget.images):
        count = part.stop - part.start
        noisy = draw_pictures(torch.randn, generators[images], count, question.images).mul_(sigma)
        by_image(noisy, count).add_(question.images[images, None])
        _, gradients = subject.gradients(noisy, question.targets[images].repeat_interleave(count))
        total[images] += by_image(gradients, count).sum(1)
    return Explanation(maps=total.sum(1) / samples)


def integrated_gradients(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return (x - b) times the integral of dS/dx on the straight path from the baseline b to the image x.

    S is the logit. The maps are float32 [B, H, W], with their completeness gap.
    """
    positions, weights = quadrature(choice.word("rule"), choice.count("steps"))
    baselines = draw_baselines(choice.word("baseline"), question, question.generators())
    return _explain_along(subject, question, _Ways(baselines, positions.expand(len(question), -1), weights))


def gradient_shap(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the mean of (x - b) * dS/dx at random points between baselines b and the image x.

    S is the logit. The points use the baselines in turn. The maps are float32 [B, H, W], with their completeness gap.
    """
    samples, generators = choice.count("samples"), question.generators()
    positions = torch.stack([torch.rand(samples, generator=generator) for generator in generators])
    baselines = draw_baselines(choice.word("baseline"), question, generators, choice.count("baselines"))
    return _explain_along(subject, question, _Ways(baselines, positions, torch.full((samples,), 1 / samples)))


def quadrature(rule: str, steps: int) -> tuple[Tensor, Tensor]:
    """Return the positions in [0, 1] at which to evaluate a function, and their weights, for its integral.

    Both are float32 [steps]; the weights add up to 1. The `rule` is `trapezoid`, whose positions contain both ends, or
    else that of Gauss and Legendre. (captum's `riemann_trapezoid` has the trapezoid rule's positions, but weights that
    add up to 1 - 1 / steps.)
    """
    if rule == "trapezoid":
        weights = torch.full((steps,), 1 / (steps - 1))
        weights[[0, -1]] /= 2
        return torch.linspace(0, 1, steps), weights
    nodes, masses = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((nodes + 1) / 2).float(), torch.from_numpy(masses / 2).float()


@dataclass(frozen=True)
class _Ways:
    """Points between baselines and images, at which gradients are taken: the samples of each image.

    baselines:  float32 [B, baselines, 3, H, W] in [0, 1]; sample i uses baseline i modulo their number
    positions:  float32 [B, samples], 0 at the baseline and 1 at the image
    weights:    float32 [samples], of the samples in the sum; they add up to 1
    """

    baselines: Tensor
    positions: Tensor
    weights: Tensor

    def starts(self, images: slice, part: slice) -> Tensor:
        """Return the baselines of the samples `part` of some images, [images, samples, 3, H, W]."""
        numbers = torch.arange(part.start, part.stop) % self.baselines.shape[1]
        return self.baselines[images][:, numbers.to(self.baselines.device)]


def _explain_along(subject: Subject, question: Question, ways: _Ways) -> Explanation:
    """Return the weighted sum of (x - b) * dS/dx over the points `ways`, with its completeness gap.

    x is the image, b the point's baseline and S the logit.
    """
    device = question.images.device
    positions, weights = (numbers.to(device)[..., None, None, None] for numbers in (ways.positions, ways.weights))
    total = torch.zeros_like(question.images)
    for images, part in blocks(len(question), len(ways.weights), subject.budget.images):
        starts = ways.starts(images, part)
        difference = question.images[images, None] - starts
        points = (difference * positions[images, part]).add_(starts).flatten(0, 1)
        _, gradients = subject.gradients(points, question.targets[images].repeat_interleave(part.stop - part.start))
        products = gradients.view_as(difference).mul_(difference).mul_(weights[part])
        total[images] += products.sum(1)
    maps = total.sum(1)
    return Explanation(maps=maps, gap=relative_gap(maps, _score_rise(subject, question, ways)))


def _score_rise(subject: Subject, question: Question, ways: _Ways) -> Tensor:
    """Return each image's logit minus the mean logit of its baselines, float32 [B].

    In the mean, a baseline counts as much as the samples that use it.
    """
    count = ways.baselines.shape[1]
    shares = torch.bincount(torch.arange(len(ways.weights)) % count, ways.weights, count).to(ways.baselines.device)
    targets = question.targets.repeat_interleave(count)
    below = subject.score(ways.baselines.flatten(0, 1), targets, LOGIT).view(-1, count)
    return subject.score(question.images, question.targets, LOGIT) - below @ shares.to(below)
