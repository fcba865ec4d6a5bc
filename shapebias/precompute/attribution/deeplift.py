"""DeepLIFT: the change of the logit between a baseline and an image, shared out by slopes instead of gradients.

A nonlinearity g passes on (g(u) - g(v)) / (u - v), with u its input from the image and v that from the baseline (the
Rescale rule of Shrikumar et al. 2017). What runs it does not matter: functions are replaced as they are called, by
modules or by hand, in place or not, once or often.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor
from torch.overrides import TorchFunctionMode

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.methods import LOGIT
from shapebias.precompute.attribution.explanation import Explanation, Question, relative_gap
from shapebias.precompute.attribution.gradients import gradient_shap
from shapebias.precompute.attribution.samples import blocks, draw_baselines
from shapebias.precompute.attribution.subject import Subject, at_target, derivatives
from shapebias.precompute.models.flow.operations import NONLINEAR
from shapebias.precompute.models.flow.recording import tensors_in

_TOLERANCE = 0.01  # gap up to which the rule is said to hold for a network
_SAME = 1e-6  # inputs nearer to each other than this have the slope that the gradient has


def deeplift_shap(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the mean over baselines of DeepLIFT's contributions, with its completeness gap.

    Where the rule does not hold for the network, GradientSHAP takes its place: contributions to the change of the logit
    between grey and trial images do not sum up to it, as of networks that multiply activations with each other.
    """
    if not _holds(subject):
        subject.budget.note(
            "deeplift-shap: the Rescale rule does not hold for its operations: gradient-shap takes its place"
        )
        settings = {name: choice.settings[name] for name in ("baseline", "baselines")}
        return replace(
            gradient_shap(subject, Choice.of("gradient-shap", **settings), question), fallback="gradient-shap"
        )
    baselines = draw_baselines(choice.word("baseline"), question, question.generators(), choice.count("baselines"))
    count = baselines.shape[1]
    total = torch.zeros_like(question.images)
    for images, part in blocks(len(question), count, max(1, subject.budget.images // 2)):
        starts = baselines[images, part]
        shown = question.images[images, None].expand_as(starts)
        contributions = _contributions(
            subject,
            shown.flatten(0, 1),
            starts.flatten(0, 1),
            question.targets[images].repeat_interleave(part.stop - part.start),
        )
        total[images] += contributions.view_as(starts).sum(1)
    maps = total.sum(1) / count
    targets = question.targets.repeat_interleave(count)
    below = subject.score(baselines.flatten(0, 1), targets, LOGIT).view(-1, count).mean(1)
    rise = subject.score(question.images, question.targets, LOGIT) - below
    return Explanation(maps=maps, gap=relative_gap(maps, rise))


def _holds(subject: Subject) -> bool:
    """Return whether the contributions to the change from grey to trial images sum up to it."""
    images = subject.trial_images
    grey, targets = torch.full_like(images, 0.5), torch.zeros(len(images), dtype=torch.int64, device=images.device)
    contributions = _contributions(subject, images, grey, targets).sum(1)
    rise = subject.score(images, targets, LOGIT) - subject.score(grey, targets, LOGIT)
    return bool((relative_gap(contributions, rise) < _TOLERANCE).all())


def _contributions(subject: Subject, images: Tensor, baselines: Tensor, targets: Tensor) -> Tensor:
    """Return what each value of images contributes to the logit's difference from baselines, float32 [B, 3, H, W]."""

    def of_part(images: Tensor, baselines: Tensor, targets: Tensor) -> Tensor:
        with torch.enable_grad():
            pairs = torch.cat([images, baselines]).requires_grad_()
            with _Rescaling():
                scores = subject.forward(pairs)
            (multipliers,) = derivatives(at_target(scores, targets.repeat(2)), pairs)
        return (images - baselines).mul_(multipliers[: len(images)])

    return torch.cat(subject.in_parts(of_part, images, baselines, targets))


class _Rescaling(TorchFunctionMode):
    """While entered, nonlinear functions of what has a gradient pass on slopes between the halves of a batch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return what a function gives, in place where it works so."""
        options = kwargs or {}
        name = str(getattr(func, "__name__", ""))
        given = args[0] if args else None
        others = tensors_in((args[1:], options))
        if not isinstance(given, Tensor) or not given.requires_grad or any(other.requires_grad for other in others):
            return func(*args, **options)
        if name == "max_pool2d" and not options.pop("return_indices", False):
            return _PoolingSlopes.apply(given, lambda source: F.max_pool2d_with_indices(source, *args[1:], **options))
        if name.removesuffix("_") not in NONLINEAR:
            return func(*args, **options)
        if not name.endswith("_") and not options.get("inplace"):
            return _Slopes.apply(given, lambda source: func(source, *args[1:], **options))
        return given.copy_(_Slopes.apply(given.clone(), lambda source: func(source.clone(), *args[1:], **options)))


class _Slopes(torch.autograd.Function):
    """A function of each element, whose gradient is the slope between an element of the first half of the batch and
    that of the second half; its own gradient where the two are the same."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the function of a tensor."""
        result = function(source)
        ctx.save_for_backward(source, result)
        ctx.function = function
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times slopes."""
        source, result = ctx.saved_tensors
        with torch.enable_grad():
            point = source.detach().requires_grad_()
            (own,) = torch.autograd.grad(ctx.function(point), point, gradient)
        return _scaled(gradient * _halves_difference(result), source, own), None


class _PoolingSlopes(torch.autograd.Function):
    """Max pooling whose gradient is a slope between the halves of the batch.

    A rise of the maximum is put to where the larger of the two maxima is (as `shap` and captum have it).
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, pool: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        """Return the maxima."""
        result, places = pool(source)
        ctx.save_for_backward(source, result, places)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times slopes."""
        source, result, places = ctx.saved_tensors
        one, other = result.chunk(2)
        larger = torch.maximum(one, other)
        shared = _unpooled(gradient * torch.cat([larger - other, one - larger]), places, source)
        of_image, of_baseline = shared.chunk(2)
        return _scaled((of_image + of_baseline).repeat(2, 1, 1, 1), source, _unpooled(gradient, places, source)), None


def _unpooled(values: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Return values [B, C, h, w] at the places of their planes, added up, in a tensor of another one's shape."""
    planes = torch.zeros_like(like, memory_format=torch.contiguous_format).flatten(2)
    return planes.scatter_add_(2, places.flatten(2), values.flatten(2)).view_as(like)


def _halves_difference(values: Tensor) -> Tensor:
    """Return the first half of a batch less the second one, twice."""
    one, other = values.chunk(2)
    return torch.cat([one - other] * 2)


def _scaled(change: Tensor, source: Tensor, own: Tensor) -> Tensor:
    """Return changes over those of their source, the function's own gradient where the source does not change."""
    difference = _halves_difference(source)
    return torch.where(difference.abs() < _SAME, own, change / difference)
