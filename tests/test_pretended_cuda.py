"""The pretended CUDA finds what a GPU would: tensors on the wrong device, arrays of device tensors, waits."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from tests.support.pretended_cuda import CUDA, CudaTensor, DeviceMismatchError, pretended_cuda


def small_network() -> nn.Module:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(256, 5))


def loss_of(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(network(images) * 2 + 1, labels, reduction="sum")


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_the_cpu(training: bool) -> None:
    network, images, labels = small_network().train(training), torch.rand(2, 3, 8, 8), torch.tensor([1, 2])
    other = copy.deepcopy(network)
    leaf = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss_of(network, leaf, labels), leaf)
    loss_of(network, images, labels).backward()
    with pretended_cuda():
        other = other.to(CUDA)
        leaf = images.to(CUDA).requires_grad_()
        (gradient,) = torch.autograd.grad(loss_of(other, leaf, labels.to(CUDA)), leaf)
        loss_of(other, images.to(CUDA), labels.to(CUDA)).backward()
        gradients = [parameter.grad.cpu() for parameter in other.parameters()]
        torch.testing.assert_close(gradient.cpu(), expected)
    for gradient, parameter in zip(gradients, network.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_tensors_of_two_devices_do_not_meet() -> None:
    with pretended_cuda():
        there = torch.ones(3, device="cuda")
        assert isinstance(there, CudaTensor)
        with pytest.raises(DeviceMismatchError, match="expected all tensors on one device"):
            there + torch.ones(3)
        with pytest.raises(DeviceMismatchError, match="indices on cuda"):
            torch.ones(3)[torch.tensor([0], device="cuda")]
        torch.testing.assert_close((there + 1.0).cpu(), torch.full((3,), 2.0))


def test_a_tensor_of_the_gpu_is_no_array() -> None:
    with pretended_cuda(), pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\) first"):
        torch.ones(3, device="cuda").numpy()


def test_waits_and_copies_are_counted() -> None:
    with pretended_cuda() as gpu:
        pinned = torch.ones(4).pin_memory()
        pinned.to(CUDA, non_blocking=True)
        assert (gpu.waits, gpu.counts["copy to the GPU"], gpu.counts["bytes to the GPU"]) == (0, 1, 16)
        there = torch.ones(4).to(CUDA)  # from pageable memory
        assert gpu.waits == 1
        for wait in (
            lambda: there.sum().item(),
            lambda: there.cpu(),
            lambda: there.nonzero(),
            lambda: there[there > 0],
        ):
            before = gpu.waits
            wait()
            assert gpu.waits > before


def test_memory_that_is_full() -> None:
    with pretended_cuda(memory=100) as gpu:
        torch.zeros(25, device="cuda")
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.zeros(26, device="cuda")
        assert gpu.failures == 1


def test_nothing_is_pretended_afterwards() -> None:
    with pretended_cuda():
        pass
    assert not torch.cuda.is_available() or torch.cuda.get_device_name() != "Pretended GPU"
    assert np.ones(2).sum() == torch.ones(2).sum().item()
