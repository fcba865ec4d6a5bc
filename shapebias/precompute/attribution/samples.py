"""The samples that methods make from images: how they are batched, and their random numbers."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from shapebias.core.attribution.methods import GREY, RANDOM
from shapebias.precompute.attribution.explanation import Question

_GREY = 0.5


def blocks(images: int, samples: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Yield the indices of the images, and of their samples, that make each batch of at most `most` samples.

    There are `images` images with `samples` samples each; every sample of every image is in one batch. A batch holds
    all samples of several images or, where there are more samples than fit, a part of one image's samples; all parts
    have about the same size.
    """
    if samples <= most:
        together = most // samples
        for start in range(0, images, together):
            yield slice(start, min(start + together, images)), slice(0, samples)
        return
    parts = -(-samples // most)
    bounds = [samples * part // parts for part in range(parts + 1)]
    for image in range(images):
        for start, stop in pairwise(bounds):
            yield slice(image, image + 1), slice(start, stop)


def by_image(samples: Tensor, count: int) -> Tensor:
    """Return a view of samples [images * count, ...] with an axis for the images: [images, count, ...]."""
    return samples.view(-1, count, *samples.shape[1:])


def draw_pictures(
    draw: Callable[..., Tensor], generators: Sequence[torch.Generator], samples: int, like: Tensor
) -> Tensor:
    """Return random numbers for `samples` pictures per generator, float32 [generators * samples, 3, H, W].

    draw:  `torch.rand`, `torch.randn` or another function that is called as they are
    like:  pictures [..., 3, H, W] with the size, and on the device, of the result

    Each picture is drawn separately, so that the numbers do not depend on how many are drawn at once. The result is
    channels_last, as images are.
    """
    _, colours, height, width = like.shape
    drawn = torch.empty((len(generators), samples, height, width, colours))
    for generator, pictures in zip(generators, drawn, strict=True):
        for picture in pictures:
            draw((height, width, colours), generator=generator, out=picture)
    return drawn.flatten(0, 1).permute(0, 3, 1, 2).to(like.device)


def draw_baselines(kind: str, question: Question, generators: Sequence[torch.Generator], count: int = 1) -> Tensor:
    """Return the baselines that stand for an absent image, float32 [B, baselines, 3, H, W] in [0, 1].

    There is one black or grey baseline, or `count` of uniform noise, as the `kind` (`black`, `grey`, `random`) says.
    The noise is drawn by `generators`, one for each image.
    """
    images = question.images
    if kind == RANDOM:
        return by_image(draw_pictures(torch.rand, generators, count, images), count)
    return torch.full_like(images, _GREY if kind == GREY else 0.0)[:, None]
