"""Maps that do not depend on the network: the lower bound for every attribution method."""

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.subject import Subject

_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def random_map(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return uniform noise in [0, 1), float32 [B, H, W], drawn with the images' seeds."""
    size = question.images.shape[2:]
    drawn = torch.stack([torch.rand(size, generator=generator) for generator in question.generators()])
    return Explanation(maps=drawn.to(question.images.device))


def center_map(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the same map for all images, float32 [B, H, W]: 1 in the centre, falling linearly to 0 in the corners."""
    images = question.images
    rows, columns = (torch.linspace(-1, 1, side, device=images.device) for side in images.shape[2:])
    distance = torch.hypot(rows[:, None], columns[None, :])
    return Explanation(maps=(1 - distance / 2**0.5).clamp_min(0).expand(len(images), -1, -1))


def edge_map(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the magnitude of the Sobel gradient of the images in grey (ITU-R BT.601), float32 [B, H, W].

    Beyond the border, the outermost pixels are repeated.
    """
    images = question.images
    luma = torch.tensor(_LUMA, device=images.device)
    grey = torch.einsum("bchw,c->bhw", images, luma)[:, None]
    sobel = torch.tensor(_SOBEL, device=images.device)
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    along: Tensor = F.conv2d(padded, torch.stack([sobel, sobel.T])[:, None])
    return Explanation(maps=torch.linalg.vector_norm(along, dim=1))
