"""Attribution by the last maps of a network, each weighted by its effect on the class."""

from collections.abc import Callable

import torch
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.head import MapsPoint, run_with_maps
from shapebias.precompute.attribution.subject import NotApplicable, Subject, at_target, derivatives


def cam(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the sum of the last maps, each multiplied by the class's weight for its mean: float32 [B, h, w].

    The weight is the derivative of the logit with respect to that mean: the sum over positions of the derivatives with
    respect to the map. Raises NotApplicable where no linear layer turns the means of maps into the class scores, where
    the network's forwards differ, or where its scores have no gradient.
    """
    point = subject.head.averaged
    if point is None:
        raise NotApplicable("its class scores are not one linear layer behind global average pooling")
    return Explanation(maps=_weighted_maps(subject, question, point, lambda slopes: slopes.sum((2, 3), keepdim=True)))


def grad_cam(subject: Subject, choice: Choice, question: Question) -> Explanation:
    """Return the positive part of the sum of the last maps, each multiplied by the mean of its derivatives.

    The result's maps are float32 [B, h, w]; the derivatives are those of the logit with respect to the map. Raises
    NotApplicable where the class scores depend on no maps with more than one position, where the network's forwards
    differ, or where its scores have no gradient.
    """
    point = subject.head.last
    if point is None:
        raise NotApplicable("its class scores have no gradient by maps of more than one position")
    maps = _weighted_maps(subject, question, point, lambda slopes: slopes.mean((2, 3), keepdim=True))
    return Explanation(maps=maps.clamp_min(0))


def _weighted_maps(subject: Subject, question: Question, point: MapsPoint, weigh: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the sum over channels of the maps at `point` times weights [B, C, 1, 1]: float32 [B, h, w].

    `weigh` computes the weights from the derivatives of the logit with respect to the maps, [B, C, h, w]. Raises
    NotApplicable where a forward does not compute those maps, or the logit has no derivative with respect to them.
    """

    def of_part(images: Tensor, targets: Tensor) -> Tensor:
        with torch.enable_grad():
            scores, (tensor,) = run_with_maps(subject.forward, images.detach().requires_grad_(), [point])
            if tensor is None:
                raise NotApplicable("its last maps are not the same in every forward")
            (slopes,) = derivatives(at_target(scores, targets), tensor)
        maps, slopes = (point.layout.maps(values.detach()).float()[: len(images)] for values in (tensor, slopes))
        return (weigh(slopes) * maps).sum(1)

    return torch.cat(subject.in_parts(of_part, question.images, question.targets))
