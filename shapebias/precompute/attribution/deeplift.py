"""DeepLIFT: the difference of the logit between an image and a baseline, distributed over pixels by slopes.

A nonlinearity g passes on (g(u) - g(v)) / (u - v) instead of its gradient, where u is its input for the image and v
that for the baseline (the Rescale rule of Shrikumar et al. 2017). Functions are replaced as they are called, so it does
not matter whether a module or other code calls them, in place or not, once or often.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor
from torch.overrides import TorchFunctionMode

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attribution.explanation import Explanation, Question, relative_gap
from shapebias.precompute.attribution.gradients import gradient_shap
from shapebias.precompute.attribution.samples import blocks, by_image, draw_baselines
from shapebias.precompute.attribution.subject import Subject, at_target, derivatives
from shapebias.precompute.models.flow.operations import NONLINEAR
from shapebias.precompute.models.flow.recording import tensors_in

_TOLERANCE = 0.01  # the rule counts as valid for a network up to this gap
_SAME = 1e-6  # inputs nearer to each other than this have the gradient as their slope


def deeplift_shap(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the mean over baselines of DeepLIFT's contributions, float32 [B, H, W], with its completeness gap.

    The rule is not valid for networks that multiply activations with each other, for instance: between two trial
    images, their contributions miss the change of the logit by 1 % or more. For such a network the result is that of
    GradientSHAP, as its `fallback` and a note say.
    """
    missed = _missed_in_trial(subject)
    if not missed < _TOLERANCE:
        subject.budget.note(
            f"deeplift-shap: contributions miss the change of the logit by {missed:.0%} in a trial, so that its rule "
            "does not hold for this network: gradient-shap takes its place"
        )
        settings = {name: choice.settings[name] for name in ("baseline", "baselines")}
        other = gradient_shap(subject, Choice.of("gradient-shap", **settings), question)
        return replace(other, fallback="gradient-shap")
    baselines = draw_baselines(choice.word("baseline"), question, question.generators(), choice.count("baselines"))
    count = baselines.shape[1]
    total, rise = torch.zeros_like(question.images), torch.zeros_like(question.targets, dtype=torch.float32)
    for images, part in blocks(len(question), count, max(1, subject.budget.images // 2)):
        starts = baselines[images, part]
        repeated = question.images[images, None].expand_as(starts).flatten(0, 1)
        targets = question.targets[images].repeat_interleave(starts.shape[1])
        contributions, rises = _contributions(subject, repeated, starts.flatten(0, 1), targets)
        total[images] += contributions.view_as(starts).sum(1)
        rise[images] += by_image(rises, starts.shape[1]).sum(1)
    maps = total.sum(1) / count
    return Explanation(maps=maps, gap=relative_gap(maps, rise / count))


def _missed_in_trial(subject: Subject) -> float:
    """Return how far the contributions between two trial images miss the change of their logit, as a fraction of that.

    Each of the two is once the image and once the baseline; the larger gap counts. NaN where the logits are NaN.
    """
    images = subject.trial_images
    targets = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    contributions, rise = _contributions(subject, images, images.flip(0), targets)
    return float(relative_gap(contributions.sum(1), rise).max())


def _contributions(subject: Subject, images: Tensor, baselines: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the contribution of each value of the images to the change of the logit, and that change.

    images, baselines:  float32 [B, 3, H, W]; each image has its own baseline
    targets:            int64 [B], the output whose logit counts

    The contributions are float32 [B, 3, H, W]. The change is the logit of the image minus that of its baseline,
    float32 [B].
    """

    def of_part(images: Tensor, baselines: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            pairs = torch.cat([images, baselines]).requires_grad_()
            with _Rescaling():
                scores = subject.forward(pairs)
            logits = at_target(scores, targets.repeat(2))
            (multipliers,) = derivatives(logits, pairs)
        above, below = logits.detach().chunk(2)
        return (images - baselines).mul_(multipliers[: len(images)]), above - below

    parts = subject.in_parts(of_part, images, baselines, targets)
    contributions, rises = zip(*parts, strict=True)
    return torch.cat(contributions), torch.cat(rises)


class _Rescaling(TorchFunctionMode):
    """While it is active, nonlinear functions pass on slopes in place of gradients.

    A slope is that between the two halves of a batch: images, then their baselines.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the function's result, as without this mode: only its gradient may be another one.

        Slopes are for max pooling and nonlinear functions, where their first argument alone has a gradient. A function
        that works in place changes its argument here, too.
        """
        options = kwargs or {}
        name = str(getattr(func, "__name__", ""))
        given = args[0] if args else None
        others = tensors_in((args[1:], options))
        if not isinstance(given, Tensor) or not given.requires_grad or any(other.requires_grad for other in others):
            return func(*args, **options)
        if name == "max_pool2d" and not options.get("return_indices"):
            sizes = {key: value for key, value in options.items() if key != "return_indices"}
            return _PoolingSlopes.apply(given, lambda source: F.max_pool2d_with_indices(source, *args[1:], **sizes))
        if name.removesuffix("_") not in NONLINEAR:
            return func(*args, **options)
        if options.get("inplace"):
            options = options | {"inplace": False}
        elif not name.endswith("_"):
            return _Slopes.apply(given, lambda source: func(source, *args[1:], **options))
        return given.copy_(
            _Slopes.apply(given.clone(), lambda source: func(_gradient_of(source, name), *args[1:], **options))
        )


def _gradient_of(source: Tensor, function: str) -> Tensor:
    """Return `source`, or a copy of it where the function with the name `function` would overwrite it."""
    return source.clone() if function.endswith("_") else source


class _Slopes(torch.autograd.Function):
    """An elementwise function whose gradient is the slope between the two halves of the batch, element by element.

    Where two elements are equal, it is the function's own gradient. Both halves get the same gradient, here and in
    `_PoolingSlopes`, and so only the first half of an incoming gradient is read.
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `function(source)`."""
        result = function(source)
        ctx.save_for_backward(source, result)
        ctx.function = function
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times the slopes."""
        source, result = ctx.saved_tensors
        of_image, _ = gradient.chunk(2)

        def local_gradient() -> Tensor:
            with torch.enable_grad():
                point = source.chunk(2)[0].detach().requires_grad_()
                slopes: tuple[Tensor, ...] = torch.autograd.grad(ctx.function(point), point, of_image)
            return slopes[0]

        return _scaled(_difference(result).mul_(of_image), source, local_gradient), None


class _PoolingSlopes(torch.autograd.Function):
    """Max pooling whose gradient is the slope between the two halves of the batch.

    A window has a maximum in each half. Their difference is assigned to the position of the larger one (as in `shap`
    and captum).
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, pool: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        """Return the maxima; `pool` returns these, and their positions in each plane."""
        result, positions = pool(source)
        ctx.save_for_backward(source, result, positions)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient times the slopes."""
        source, result, positions = ctx.saved_tensors
        of_image, _ = gradient.chunk(2)
        (one, other), (positions_one, positions_other) = result.chunk(2), positions.chunk(2)
        larger = torch.maximum(one, other)
        shares = _unpooled(of_image * (larger - other), positions_one, source) + _unpooled(
            of_image * (one - larger), positions_other, source
        )
        return _scaled(shares, source, lambda: _unpooled(of_image, positions_one, source)), None


def _unpooled(values: Tensor, positions: Tensor, source: Tensor) -> Tensor:
    """Return planes [B, C, H, W], as large as those of `source`, in which the values are added up at their positions.

    values [B, C, h, w]; positions int64 [B, C, h, w], counted through a plane row by row.
    """
    planes = torch.zeros((*values.shape[:2], *source.shape[2:]), dtype=values.dtype, device=values.device)
    return planes.flatten(2).scatter_add_(2, positions.flatten(2), values.flatten(2)).view_as(planes)


def _difference(values: Tensor) -> Tensor:
    """Return the first half of a batch minus the second half."""
    one, other = values.chunk(2)
    return one - other


def _scaled(change: Tensor, source: Tensor, gradient: Callable[[], Tensor]) -> Tensor:
    """Return the slopes: `change` divided by the difference between the halves of `source`; twice, once for each half.

    Where the halves are equal, the slope is the function's own gradient, which `own` returns for one half.
    """
    difference = _difference(source)
    same = difference.abs() < _SAME
    slopes = change.div_(difference)
    if same.any():
        slopes = torch.where(same, gradient(), slopes)
    return torch.cat([slopes, slopes])
