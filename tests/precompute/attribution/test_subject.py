"""A network as methods see it: eval mode, batches of one, too little memory, no gradient."""

import pytest
import torch
from torch import Tensor, nn

from shapebias.precompute.attribution.subject import NotApplicable, Subject
from shapebias.precompute.memory import OutOfMemoryError
from tests.support.attribution import MEAN, STD, Linear, Plain, pictures, subject_of

TARGETS = torch.tensor([2, 0, 1, 3, 2])


def test_scores_probabilities_and_gradients_of_images_in_pixel_space() -> None:
    images, network = pictures(5, 8), Linear(8)
    subject = subject_of(network, 8, most=2)
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (MEAN, STD))
    scores = network((images - mean) / std).detach()
    torch.testing.assert_close(subject.scores(images), scores)
    wanted = torch.softmax(scores.double(), 1)[torch.arange(5), TARGETS].float()
    torch.testing.assert_close(subject.probabilities(images, TARGETS), wanted)
    logits, gradients = subject.gradients(images, TARGETS)
    torch.testing.assert_close(logits, scores[torch.arange(5), TARGETS])
    torch.testing.assert_close(gradients, (network.weights / std)[TARGETS])
    assert not gradients.requires_grad


def test_the_network_is_in_eval_mode_with_frozen_parameters() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(), nn.Flatten(), nn.Linear(192, 4)).train()
    subject = subject_of(network, 8)
    images = pictures(5, 8)
    torch.testing.assert_close(subject.scores(images[:1]), subject.scores(images)[:1])
    assert int(network[0].num_batches_tracked) == 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_network_that_takes_no_single_image() -> None:
    def of_two(images: Tensor) -> Tensor:
        assert len(images) > 1
        return images.mean((2, 3))

    images = pictures(3, 8)
    alone, together = (subject_of(Plain(of_two), 8, most=most, takes_one=False) for most in (2, 8))
    targets = torch.tensor([0, 1, 2])
    torch.testing.assert_close(alone.scores(images), together.scores(images))
    for ours, wanted in zip(alone.gradients(images, targets), together.gradients(images, targets), strict=True):
        torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize(("fitting", "notes"), [(3, 2), (64, 0)])
def test_too_little_memory_halves_batches_once_and_for_all(fitting: int, notes: int) -> None:
    def run(images: Tensor) -> Tensor:
        if len(images) > fitting:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return images.mean((2, 3))

    subject, images = subject_of(Plain(run), 8, most=10), pictures(10, 8)
    for _ in range(2):
        torch.testing.assert_close(
            subject.gradients(images, torch.zeros(10, dtype=torch.int64))[0], images.mean((2, 3))[:, 0] * 5 - 2
        )
    assert len(subject.notes) == notes
    assert not notes or subject.notes[-1] == "not enough memory for 5 images at once: went on with 2"


def test_one_image_that_does_not_fit() -> None:
    def run(images: Tensor) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(OutOfMemoryError, match="one image does not fit"):
        subject_of(Plain(run), 8).scores(pictures(4, 8))


def _detached(images: Tensor) -> Tensor:
    with torch.no_grad():
        return images.mean((2, 3))


def _changed_in_place(images: Tensor) -> Tensor:
    gates = images.sigmoid()
    scores = (images * gates).mean((2, 3))
    gates.add_(1)
    return scores


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_detached, "no gradient by the image"),
        (lambda images: (images > 0).float().mean((2, 3)), "no gradient by the image"),
        (lambda images: torch.quantize_per_tensor(images, 0.1, 0, torch.quint8).dequantize().mean((2, 3)), "no grad"),
        (_changed_in_place, "modified by an inplace operation"),
    ],
)
def test_networks_without_a_gradient_still_have_scores(function, message: str) -> None:
    subject: Subject = subject_of(Plain(function), 8)
    images, targets = pictures(2, 8), torch.tensor([0, 1])
    with pytest.raises(NotApplicable, match=message):
        subject.gradients(images, targets)
    assert subject.probabilities(images, targets).isfinite().all()
