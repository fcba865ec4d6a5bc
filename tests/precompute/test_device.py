"""Devices and precisions: what a user asks for, and how networks then round."""

import numpy as np
import pytest
import torch
from torch import nn

from shapebias.core.errors import UsageError
from shapebias.precompute.device import BF16, CPU, FP16, HIGHEST, TF32, Device, choose_device
from shapebias.precompute.models.preprocessing import imagenet_preprocessing
from shapebias.precompute.stopwatch import Stopwatch
from tests.support.pretended_cuda import CUDA, NAME, pretended_cuda


@pytest.mark.parametrize(
    ("name", "on_cpu", "on_cuda"),
    [
        ("auto", HIGHEST, TF32),
        ("highest", HIGHEST, HIGHEST),
        ("bf16", BF16, BF16),
        ("fp16", FP16, FP16),
        ("float32", HIGHEST, HIGHEST),
        ("bfloat16", BF16, BF16),
    ],
)
def test_precision_by_name(name: str, on_cpu: object, on_cuda: object) -> None:
    assert choose_device("cpu", name).precision is on_cpu
    with pretended_cuda():
        assert choose_device("auto", name).precision is on_cuda


def test_devices_and_precisions_that_cannot_be_had_are_refused() -> None:
    with pytest.raises(UsageError, match="no --precision int8: there are auto, highest, tf32, bf16, fp16"):
        choose_device("cpu", "int8")
    with pytest.raises(UsageError, match="--precision tf32 needs a GPU of NVIDIA's Ampere"):
        choose_device("cpu", "tf32")
    with pytest.raises(UsageError, match="--device tpu cannot be used here"):
        choose_device("tpu", "auto")


@pytest.mark.parametrize(("precision", "matmul", "tf32"), [(HIGHEST, "highest", False), (TF32, "high", True)])
def test_convolutions_and_matrices_round_alike(precision: object, matmul: str, tf32: bool) -> None:
    torch.set_float32_matmul_precision("medium")  # as a network's own code may do
    try:
        with Device(torch.device("cpu"), precision).inference():  # type: ignore[arg-type]
            assert torch.get_float32_matmul_precision() == matmul
            assert torch.backends.cudnn.allow_tf32 == tf32
            assert torch.backends.cudnn.deterministic
            assert not torch.backends.cudnn.benchmark
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_checks_run_in_full_float32_and_gradients_not_in_float16() -> None:
    for precision in (TF32, BF16, FP16):
        assert Device(torch.device("cpu"), precision).exact == CPU
    assert Device(torch.device("cpu"), FP16).with_gradients == CPU
    assert Device(torch.device("cpu"), BF16).with_gradients.precision is BF16


@pytest.mark.parametrize("precision", [HIGHEST, BF16])
def test_a_network_runs_in_the_precision(precision: object) -> None:
    device = Device(torch.device("cpu"), precision)  # type: ignore[arg-type]
    network = device.to(nn.Conv2d(3, 4, 3))
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
    with device.inference():
        assert network(torch.zeros(1, 3, 5, 5)).dtype == device.dtype


def test_images_are_normalised_and_sent_without_waiting() -> None:
    preprocessing = imagenet_preprocessing()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    expected = (pixels / 255.0 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    with pretended_cuda() as gpu:
        device = choose_device("cuda", "auto")
        device.images(pixels, preprocessing)  # makes the constants
        gpu.counts.clear()
        images = device.images(pixels, preprocessing)
        assert gpu.waits == 0
        assert images.device == CUDA
        assert images.is_contiguous(memory_format=torch.channels_last)
        normalised = images.cpu().numpy()
    np.testing.assert_allclose(normalised, expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_a_device_describes_itself() -> None:
    with pretended_cuda():
        assert str(choose_device("cuda", "tf32")) == f"{NAME}, TF32"
    assert str(Device(torch.device("cpu"), BF16)).endswith(" threads, bfloat16")


def test_a_stopwatch_waits_for_the_device_once() -> None:
    with pretended_cuda() as gpu:
        watch = Stopwatch(CUDA)
        for _ in range(3):
            with watch.running(), watch.paused():
                pass
        assert gpu.waits == 0
        assert watch.seconds == pytest.approx(6 * 1e-3)  # 6 intervals of a pretended millisecond
        assert gpu.waits == 1


def test_a_stopwatch_leaves_out_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 5.0, 7.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    watch = Stopwatch(torch.device("cpu"))
    with watch.running(), watch.paused():
        pass
    assert watch.seconds == 3.0  # 0 to 1, and 5 to 7


def test_a_forward_takes_as_many_small_images_as_have_the_pixels_of_a_batch_on_a_gpu_alone() -> None:
    gpu = Device(torch.device("cuda"))
    assert (gpu.images_at_once(224), gpu.images_at_once(112), gpu.images_at_once(448)) == (256, 1024, 256)
    assert (CPU.images_at_once(224), CPU.images_at_once(64)) == (32, 32)
