"""Curves on a pretended CUDA: the numbers of the CPU, and no wait for the device, however many steps."""

import pytest
import torch

from shapebias.core.attribution.methods import METHODS
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.subject import Budget, Subject
from shapebias.precompute.device import Device
from shapebias.precompute.scoring.curves import Curves
from shapebias.precompute.scoring.ranking import Ranking, ranks
from tests.support.attribution import MEAN, STD, Linear, pictures, subject_of
from tests.support.pretended_cuda import CUDA, pretended_cuda

SIZE, TARGETS = 16, torch.tensor([1, 2])


@pytest.mark.parametrize("steps", [3, 12])
def test_curves_never_wait(steps: int) -> None:
    images, maps = pictures(2, SIZE), pictures(2, SIZE, seed=1)[:, 0]
    order = Ranking([3, 4], SIZE * SIZE)(METHODS["rise"], maps)
    wanted = Curves(subject_of(Linear(SIZE), SIZE), images, TARGETS, steps)(ranks(order))
    with pretended_cuda() as gpu:
        device = Device(CUDA)
        network = Normalised(device.to(Linear(SIZE)), MEAN, STD, device)
        subject = Subject(network=network, device=device, size=SIZE, budget=Budget(4))
        photos, targets, upper = images.to(CUDA), TARGETS.to(CUDA), maps.to(CUDA)
        curves = Curves(subject, photos, targets, steps)
        before = gpu.waits
        on_gpu = curves(ranks(Ranking([3, 4], SIZE * SIZE, device)(METHODS["rise"], upper)))
        assert gpu.waits == before
        for own, expected in zip(on_gpu, wanted, strict=True):
            torch.testing.assert_close(own.cpu(), expected, rtol=1e-5, atol=1e-6)
