"""Attribution by changed images: covered patches (occlusion) and random masks (RISE)."""

import torch
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.core.attribution.method import pixels
from shapebias.precompute.attribution.enlarging import bilinear, covering, enlarged, windows
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.samples import blocks, draw_baselines
from shapebias.precompute.attribution.subject import Subject

_LEAST_CHANGE = 1e-6  # fraction of the largest score: smaller differences count as rounding


def occlusion(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return for each pixel the mean loss of score over the patches that cover it, float32 [B, H, W].

    The loss is the score of the image minus that of the image under the patch. A map is 0 where all patches give the
    same score.
    """
    height, width = question.images.shape[2:]
    patch, stride = (pixels(choice.number(name), min(height, width)) for name in ("patch", "stride"))
    device, of = question.images.device, choice.word("of")
    rows, columns = (covering(side, min(patch, side), stride).to(device) for side in (height, width))
    baselines = draw_baselines(choice.word("baseline"), question, question.generators())
    scores = torch.empty((len(question), rows.shape[1] * columns.shape[1]), device=device)
    for images, part in blocks(len(question), scores.shape[1], subject.budget.images):
        numbers = torch.arange(part.start, part.stop, device=device)
        row, column = numbers // columns.shape[1], numbers % columns.shape[1]
        covered = (rows.T[row, :, None] * columns.T[column, None, :]).bool()[:, None]
        occluded = torch.where(covered, baselines[images], question.images[images, None]).flatten(0, 1)
        targets = question.targets[images].repeat_interleave(len(numbers))
        scores[images, part] = subject.score(occluded, targets, of).view(-1, len(numbers))
    losses = subject.score(question.images, question.targets, of)[:, None] - scores
    grid = torch.where(varies(scores), losses, 0.0).view(-1, rows.shape[1], columns.shape[1])
    return Explanation(maps=enlarged(grid, rows, columns) / enlarged(torch.ones_like(grid), rows, columns))


def rise(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the mean of an image's random masks, each times the score of what it leaves visible, over their density.

    The maps are float32 [B, H, W]. The density is the probability p of a visible cell. A map is 0 where all masks give
    the same score.
    """
    count, of = choice.count("masks"), choice.word("of")
    masks = [_Masks(choice, generator, question.images) for generator in question.generators()]
    baselines = draw_baselines(choice.word("baseline"), question, question.generators())[:, 0]
    total = torch.zeros_like(question.images[:, 0])
    scores = torch.empty((len(question), count), device=total.device)
    for images, part in blocks(len(question), count, subject.budget.images):
        drawn = torch.stack([image_masks.pictures(part) for image_masks in masks[images]])
        masked = torch.lerp(baselines[images, None], question.images[images, None], drawn[:, :, None]).flatten(0, 1)
        targets = question.targets[images].repeat_interleave(drawn.shape[1])
        scores[images, part] = subject.score(masked, targets, of).view(drawn.shape[:2])
        total[images] += torch.einsum("bm,bmhw->bhw", scores[images, part], drawn)
    maps = torch.where(varies(scores)[..., None], total, 0.0)
    return Explanation(maps=maps / (count * choice.number("p")))


class _Masks:
    """The random masks of one image: `grid` x `grid` cells that are 1 with probability p, enlarged bilinearly.

    They are enlarged to one cell more than the image, then cut to the image's size at a random position. Of `images`
    [B, 3, H, W], only the size and the device are used.
    """

    def __init__(self, choice: Choice, generator: torch.Generator, images: Tensor) -> None:
        count, grid = choice.count("masks"), choice.count("grid")
        cells = torch.rand((count, grid, grid), generator=generator) < choice.number("p")
        self._cells = cells.to(images.device, torch.float32)
        self._sides = []
        for side in images.shape[2:]:
            cell = -(-side // grid)
            offsets = torch.randint(cell, (count,), generator=generator).to(images.device)
            self._sides.append((windows(bilinear(grid, (grid + 1) * cell), side).to(images.device), offsets))

    def pictures(self, part: slice) -> Tensor:
        """Return the masks with the numbers `part`, float32 [masks, H, W] in [0, 1]."""
        rows, columns = (matrices[offsets[part]] for matrices, offsets in self._sides)
        return enlarged(self._cells[part], rows, columns)


def varies(scores: Tensor) -> Tensor:
    """Return for which images the scores [B, samples] differ by more than rounding, bool [B, 1]; true for NaN.

    Where they do not, no position is evidence, and a map would be noise.
    """
    low, high = scores.aminmax(dim=1, keepdim=True)
    largest = torch.maximum(low.abs(), high.abs())
    return ~(high - low <= _LEAST_CHANGE * largest)
