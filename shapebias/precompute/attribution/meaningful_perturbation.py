"""Meaningful Perturbation: the smallest smooth mask whose blur removes the class (Fong & Vedaldi 2017)."""

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.method import pixels, scaled
from shapebias.core.attribution.methods import CIRCLES
from shapebias.precompute.attribution.enlarging import bilinear, enlarged, gaussian, windows
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.subject import Subject, at_target, derivatives

_SUPPRESSED = 0.99  # the first mask removes this fraction of the score that blurring the whole image removes


def meaningful_perturbation(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return 1 - m for each image's mask m, float32 [B, cells, cells] in [0, 1]: 1 where the mask blurs the image."""
    numbers = torch.arange(len(question))
    masks = subject.in_parts(lambda part: _learn_masks(subject, choice, question.part(part.tolist())), numbers)
    return Explanation(maps=1 - torch.cat(masks))


def _learn_masks(subject: Subject, choice: Choice, question: Question) -> Tensor:
    """Return the masks m in [0, 1] at the end of the gradient descent, float32 [B, cells, cells].

    A mask is 1 where the image stays clear and 0 where it is blurred.
    """
    of, blurring = choice.word("of"), _Blurring(choice, question.images)
    mask = _first_mask(subject, question, blurring, of)
    mask.requires_grad_()
    adam = torch.optim.Adam([mask], lr=choice.number("learning-rate"))
    for offsets in _offsets(choice, question):
        with torch.enable_grad():
            scores = at_target(subject.forward(blurring.blurred(mask, offsets)), question.targets, of)
            (gradient,) = derivatives(scores, mask)
            (penalty,) = derivatives(_penalty(choice, mask), mask)
        mask.grad = gradient + penalty
        adam.step()
        with torch.no_grad():
            mask.clamp_(0, 1)
    return mask.detach()


def _offsets(choice: Choice, question: Question) -> Tensor:
    """Return how many rows and columns each image is shifted in each step, int64 [steps, B, 2], from 0 to the jitter
    - 1.
    """
    limit, shape = pixels(choice.number("jitter"), question.images.shape[2]), (choice.count("steps"), 2)
    return torch.stack(
        [torch.randint(limit, shape, generator=image_generator) for image_generator in question.generators()], 1
    )


def _penalty(choice: Choice, mask: Tensor) -> Tensor:
    """Return each mask's penalty: area * |1 - m| + variation * |gradient of m|^beta, summed over cells; float32 [B].

    The factors and the exponent are settings. The gradient is the differences to the cells below and at the right.
    """
    beta = choice.number("beta")
    down, right = (mask.diff(dim=axis).abs().pow(beta).sum((1, 2)) for axis in (1, 2))
    return choice.number("area") * (1 - mask).abs().sum((1, 2)) + choice.number("variation") * (down + right)


def _first_mask(subject: Subject, question: Question, blurring: "_Blurring", of: str) -> Tensor:
    """Return each image's first mask: the smallest disc in its middle that is enough.

    A disc is enough if blurring it takes at least 99 % of the score that blurring the whole image takes; the largest
    one is used where none is. The result is float32 [B, cells, cells], 0 inside the disc and 1 outside.
    """
    discs = _discs(blurring.cells).to(question.images.device)
    tried = torch.cat([discs, torch.zeros_like(discs[:1]), torch.ones_like(discs[:1])])
    still = torch.zeros((len(question), 2), dtype=torch.int64)
    scores = []
    for mask in tried:
        with torch.no_grad():
            partly_blurred = blurring.blurred(mask.expand(len(question), -1, -1), still)
            scores.append(at_target(subject.forward(partly_blurred), question.targets, of))
    *by_disc, blurred, clear = scores
    enough = torch.stack(by_disc, 1) <= (blurred + (1 - _SUPPRESSED) * (clear - blurred))[:, None]
    enough[:, -1] = True
    return discs[enough.int().argmax(1)]


def _discs(cells: int) -> Tensor:
    """Return masks that are 0 inside discs of growing radius, else 1, float32 [CIRCLES, cells, cells].

    The largest disc's radius is half the diagonal.
    """
    places = torch.linspace(-1, 1, cells)
    distances = torch.hypot(places[:, None], places)
    radii = torch.arange(1, CIRCLES + 1) / CIRCLES * 2**0.5
    return (distances > radii[:, None, None]).float()


class _Blurring:
    """Images and their blurred versions, to be mixed by masks.

    At the bottom and the right, their outermost pixels are repeated beyond the border, so that they can be shifted.
    """

    def __init__(self, choice: Choice, images: Tensor) -> None:
        size, device = images.shape[2], images.device
        self.cells, jitter = choice.count("cells"), pixels(choice.number("jitter"), size)
        smooth = gaussian(scaled(choice.number("smooth"), size), size) @ bilinear(self.cells, size)
        beyond = torch.cat([smooth, smooth[-1:].expand(jitter - 1, -1)])
        self._matrices, self._size = windows(beyond, size).to(device), size
        blur = gaussian(scaled(choice.number("blur"), size), size).to(device)
        both = torch.stack([images, enlarged(images, blur, blur)], 1)
        self._pictures = F.pad(both, (0, jitter - 1, 0, jitter - 1, 0, 0), mode="replicate")

    def blurred(self, mask: Tensor, offsets: Tensor) -> Tensor:
        """Return m * image + (1 - m) * blurred image, float32 [B, 3, H, W], from the row and column `offsets` on.

        mask:     the masks m [B, cells, cells], which are enlarged and smoothed first
        offsets:  int64 [B, 2] on the CPU, from 0 to the jitter - 1
        """
        y, x = offsets.to(mask.device).T
        large = enlarged(mask, self._matrices[y], self._matrices[x])[:, None]
        places = zip(self._pictures, offsets.tolist(), strict=True)
        moved = [both[:, :, y : y + self._size, x : x + self._size] for both, (y, x) in places]
        clear, blurred = torch.stack(moved).unbind(1)
        return torch.lerp(blurred, clear, large)
