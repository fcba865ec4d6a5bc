"""Insertion and deletion (Petsiuk, Das & Saenko 2018): the probability of the explained output while pixels are
inserted or deleted, the most important ones first.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from numpy.typing import NDArray
from torch import Tensor

from shapebias.core.attribution.method import pixels, scaled
from shapebias.core.attribution.methods import PROBABILITY
from shapebias.precompute.attribution.subject import Subject, at_target

GREY = 0.5
BLUR, SIGMA = 11.0, 5.0  # width of the blur's window and its standard deviation, in px of a 224 px image
_TRUNCATED = 4  # the kernel ends at so many standard deviations, as in SciPy, which the authors used


def cuts(pixel_count: int, steps: int) -> NDArray[np.int64]:
    """Return how many pixels are changed at each point of a curve, from 0 to all, int64 [points].

    There are `steps` equal steps, or steps of one pixel where there are fewer pixels.
    """
    steps = min(steps, pixel_count)
    return (np.arange(steps + 1) * pixel_count + steps // 2) // steps


def blurred(images: Tensor) -> Tensor:
    """Return images [B, 3, H, W] blurred by a window of 11 px of 224 with sigma 5, the start of insertion.

    The kernel is that of the authors' code, a Gaussian that is reflected at the ends of its window; the image is
    reflected at its borders.
    """
    side = min(images.shape[2:])
    kernel = blur_kernel(pixels(BLUR, side) // 2 * 2 + 1, scaled(SIGMA, side)).to(images.device)
    margin = len(kernel) // 2
    padded = F.pad(images, (margin,) * 4, mode="reflect").flatten(0, 1)[:, None]
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1)).view(images.shape)


def blur_kernel(length: int, sigma: float) -> Tensor:
    """Return the weights of a Gaussian in the middle of a window of `length` px, float32 [length], whose sum is 1.

    What would lie outside the window is reflected into it.
    """
    reach = int(_TRUNCATED * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    position = (offsets + length // 2) % (2 * length)
    reflected = np.minimum(position, 2 * length - 1 - position)
    weights = np.bincount(reflected, np.exp(-(offsets**2) / (2 * sigma**2)), length)
    return torch.from_numpy((weights / weights.sum()).astype(np.float32))


@dataclass(frozen=True)
class _Change:
    """The start and the end of a change of pixels, and the probabilities there.

    start, finish:  the images before and after the change, [B, H * W * 3]: see `_channels_last`
    first, last:    the probabilities of the explained outputs for them, [B]
    """

    start: Tensor
    finish: Tensor
    first: Tensor
    last: Tensor


class Curves:
    """Computes the curves of a batch of images, for any number of maps.

    fractions: float64 [points], the share of pixels that are changed at each point
    """

    def __init__(self, subject: Subject, images: Tensor, targets: Tensor, steps: int) -> None:
        """Prepare the curves.

        images:   float32 [B, 3, H, W] in [0, 1], on the subject's device
        targets:  int64 [B], the explained outputs
        steps:    number of steps: see `cuts`

        Raises the errors of `Subject.scores`.
        """
        self._subject, self._targets, self._shape = subject, targets, images.shape[1:]
        counts = cuts(images[0, 0].numel(), steps)
        self.fractions = counts / counts[-1]
        self._counts = subject.device.upload(counts[1:-1].astype(np.int32))
        blur, grey = blurred(images), torch.full_like(images[:1], GREY)
        clean, from_blur = (subject.probabilities(start, targets) for start in (images, blur))
        of_grey = subject.scores(grey).softmax(1)[0][targets]
        originals, soft, flat = (_channels_last(pictures) for pictures in (images, blur, grey.expand_as(images)))
        self._insertion = _Change(soft, originals, from_blur, clean)
        self._deletion = _Change(originals, flat, clean, of_grey)

    def __call__(self, ranks: Tensor) -> tuple[Tensor, Tensor]:
        """Return the curves of insertion and deletion, float32 [B, points] each: the explained output's probability.

        ranks int32 [B, H * W]: the rank of each pixel in a map, 0 for the most important one.
        """
        return self._curve(self._insertion, ranks), self._curve(self._deletion, ranks)

    def _curve(self, change: _Change, ranks: Tensor) -> Tensor:
        between = []
        for image, rank in enumerate(ranks):
            colours = rank[:, None].expand(-1, self._shape[0]).flatten()  # in the order of pixels in memory
            action = partial(self._probabilities, change, image, colours)
            with torch.no_grad():
                between.append(torch.cat([change.first[:0], *self._subject.in_parts(action, self._counts)]))
        return torch.cat([change.first[:, None], torch.stack(between), change.last[:, None]], 1)

    def _probabilities(self, change: _Change, image: int, ranks: Tensor, counts: Tensor) -> Tensor:
        """Return the probability of an image's explained output while its first pixels are changed, float32 [n].

        image:   the image's index in the batch
        ranks:   [H * W * 3], the rank of the pixel of each value
        counts:  int32 [n], how many pixels are changed
        """
        changed = torch.where(ranks < counts[:, None], change.finish[image], change.start[image])
        channels, height, width = self._shape
        scores = self._subject.forward(changed.view(-1, height, width, channels).permute(0, 3, 1, 2))
        return at_target(scores, self._targets[image].expand(len(counts)), PROBABILITY)


def _channels_last(images: Tensor) -> Tensor:
    """Return images [B, 3, H, W] as rows [B, H * W * 3], with the colours of a pixel side by side."""
    return images.permute(0, 2, 3, 1).flatten(1)
