"""LIME: a linear model of how the score depends on the visible superpixels (Ribeiro, Singh & Guestrin 2016)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.perturbation import varies
from shapebias.precompute.attribution.samples import blocks, draw_baselines
from shapebias.precompute.attribution.subject import Subject

_QUICKSHIFT = {"kernel_size": 4, "max_dist": 200, "ratio": 0.2}  # values of the authors' lime_image


def lime(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return for each pixel the coefficient of its superpixel in the linear model, float32 [B, H, W]."""
    samples, of, device = choice.count("samples"), choice.word("of"), question.images.device
    parts = [superpixels(choice, image).to(device) for image in question.images]
    counts = [int(areas.max()) + 1 for areas in parts]
    draws = zip(counts, question.generators(), strict=True)
    visible = [draw_shown(samples, count, generator).to(device) for count, generator in draws]
    baselines = _baselines(choice, question, parts)
    scores = torch.empty((len(question), samples), device=device)
    for images, part in blocks(len(question), samples, subject.budget.images):
        masks = torch.stack(
            [of_image[part][:, areas] for of_image, areas in zip(visible[images], parts[images], strict=True)]
        )
        changed = torch.where(masks[:, :, None], question.images[images, None], baselines[images, None])
        targets = question.targets[images].repeat_interleave(masks.shape[1])
        scores[images, part] = subject.score(changed.flatten(0, 1), targets, of).view(masks.shape[:2])
    defined = torch.where(varies(scores), scores, 0.0)
    coefficients = [_coefficients(choice, *of_image) for of_image in zip(visible, defined, strict=True)]
    return Explanation(maps=torch.stack([of_image[areas] for of_image, areas in zip(coefficients, parts, strict=True)]))


def superpixels(choice: Choice, image: Tensor) -> Tensor:
    """Return the superpixel of each pixel of an image [3, H, W], numbered from 0 without gaps: int64 [H, W].

    The choice's settings say how many, and whether they are a grid, or found by SLIC or quickshift. The result is on
    the CPU.
    """
    from skimage.segmentation import quickshift, slic  # slow to import, with all of SciPy's filters

    pixels: NDArray[Any] = image.permute(1, 2, 0).double().cpu().numpy()
    count, kind = choice.count("superpixels"), choice.word("segments")
    if kind == "grid":
        cells = round(count**0.5)
        rows, columns = (np.arange(side) * cells // side for side in pixels.shape[:2])
        numbers = rows[:, None] * cells + columns
    elif kind == "slic":
        numbers = slic(pixels, n_segments=count, start_label=0)
    else:
        numbers = quickshift(pixels, **_QUICKSHIFT)  # type: ignore[no-untyped-call]
    _, numbers = np.unique(numbers, return_inverse=True)
    return torch.from_numpy(numbers.reshape(pixels.shape[:2]).astype(np.int64))


def draw_shown(samples: int, superpixels: int, generator: torch.Generator) -> Tensor:
    """Return which superpixels each sample shows, each with probability 0.5, bool [samples, superpixels]; the first
    sample shows all.
    """
    visible = torch.rand((samples, superpixels), generator=generator) < 0.5
    visible[0] = True
    return visible


def _baselines(choice: Choice, question: Question, parts: list[Tensor]) -> Tensor:
    """Return the images whose pixels replace those of hidden superpixels, float32 [B, 3, H, W].

    `parts` are the superpixels of each image, int64 [H, W].
    """
    kind = choice.word("baseline")
    if kind != "mean":
        return draw_baselines(kind, question, question.generators())[:, 0]
    return torch.stack([_mean_colours(*of_image) for of_image in zip(question.images, parts, strict=True)])


def _mean_colours(image: Tensor, areas: Tensor) -> Tensor:
    """Return an image [3, H, W] in which each of its superpixels, `areas` int64 [H, W], has its mean colour."""
    one_hot = torch.nn.functional.one_hot(areas.flatten()).to(image)
    means: Tensor = image.flatten(1) @ one_hot / one_hot.sum(0)
    return means[:, areas]


def _coefficients(choice: Choice, visible: Tensor, scores: Tensor) -> Tensor:
    """Return the coefficients of a weighted ridge regression with intercept, float32 [superpixels].

    It explains the scores [samples] by which superpixels are visible, bool [samples, superpixels], in float64.
    """
    weights, features, values = kernel(visible, choice.number("width")), visible.double(), scores.double()
    features = features - (weights @ features) / weights.sum()
    values = values - (weights @ values) / weights.sum()
    weighted = features.T * weights
    penalty = choice.number("ridge") * torch.eye(features.shape[1]).to(features)
    # Two superpixels that are always shown together make it singular.
    inverse = torch.linalg.pinv(weighted @ features + penalty, hermitian=True)
    coefficients: Tensor = inverse @ (weighted @ values)
    return coefficients.float()


def kernel(visible: Tensor, width: float) -> Tensor:
    """Return the weight of each sample, float64 [samples]: exp(-d^2 / (2 width^2)).

    d is the cosine distance between the visible superpixels, bool [samples, superpixels], and all; 1 where none is
    visible.
    """
    share = visible.double().mean(1)
    return torch.exp(-((1 - share.sqrt()) ** 2) / (2 * width**2))
