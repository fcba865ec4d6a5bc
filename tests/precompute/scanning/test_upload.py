"""Batches are copied to a GPU while the one before is used, and workers never write into what is being copied."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shapebias.precompute.device import CPU, Device
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.loader import Batch, Loader
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.measures.activation import StatisticsPlan
from shapebias.precompute.measures.probe import ProbeMeasure
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.progress import Silent
from shapebias.precompute.runner import prepare
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.scanning.upload import HELD, Uploads, on_device
from shapebias.precompute.settings import Settings
from tests.support.loader_decoders import moody, numbered_pair
from tests.support.pretended_cuda import CUDA, PretendedGpu, pretended_cuda
from tests.support.pretended_streams import Event, OverwrittenError

DEVICE, GEOMETRY, BATCH = Device(CUDA), Geometry(20, 16), 5
PATHS = [b"n%d" % number for number in range(43)]


@pytest.fixture
def gpu() -> Iterator[PretendedGpu]:
    with pretended_cuda() as gpu:
        yield gpu


def pairs(workers: int) -> Loader:
    """Return a loader of images of two versions, n and n + 100."""
    return Loader(
        Path(), PATHS, GEOMETRY, BATCH, workers=workers, decode_function=numbered_pair, version_count=2, held=HELD
    )


def check_pairs(gpu: PretendedGpu, workers: int) -> None:
    """Check what arrives at the GPU, and that no copy made the program wait."""
    with pairs(workers) as loader:
        seen = []
        for batch in Uploads(loader, DEVICE):
            sent = batch.sent[..., 0, 0, 0].cpu().numpy()
            np.testing.assert_array_equal(sent, batch.positions[:, None] + [0, 100])
            seen += batch.positions.tolist()
    assert seen == list(range(len(PATHS)))
    assert gpu.counts["sync copy to the GPU"] == 0
    assert gpu.counts["copy to the GPU"] == 2 * 9


@pytest.mark.parametrize("workers", [0, 1])
def test_every_batch_arrives_from_page_locked_memory(gpu: PretendedGpu, workers: int) -> None:
    check_pairs(gpu, workers)
    assert gpu.counts["pin"] == 0
    assert gpu.registered == {}
    assert gpu.counts["sync event"] == 0, "the program waits for the networks, which wait for the copy"


def test_where_memory_cannot_be_locked_a_copy_is(gpu: PretendedGpu) -> None:
    gpu.registering = False
    check_pairs(gpu, 0)
    assert gpu.counts["pin"] == 2 * 9


def test_the_next_batch_is_copied_before_this_one_is_used(gpu: PretendedGpu) -> None:
    with pairs(1) as loader:
        deadline = time.monotonic() + 30
        while not all(chunk.done() for pending in loader._pending for chunk in pending.chunks):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        next(iter(Uploads(loader, DEVICE)))
        assert gpu.counts["copy to the GPU"] == 2 * 2


def test_a_slot_is_given_back_when_its_copy_has_ended(gpu: PretendedGpu) -> None:
    """Nothing else waits for the GPU here."""
    with pairs(0) as loader:
        assert len(list(Uploads(loader, DEVICE))) == 9
    assert gpu.counts["sync event"] == 9


def test_a_slot_that_is_given_back_too_early_is_noticed(gpu: PretendedGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would prove nothing."""
    monkeypatch.setattr(Event, "query", lambda _: True)
    with pairs(0) as loader, pytest.raises(OverwrittenError):
        list(Uploads(loader, DEVICE))


def test_images_that_cannot_be_used_are_left_out(gpu: PretendedGpu) -> None:
    paths = [b"n1", b"e", b"n3", b"e", b"e", b"n6"]
    with Loader(Path(), paths, GEOMETRY, 2, workers=0, decode_function=moody, held=HELD) as loader:
        batches = [(batch.positions.tolist(), batch.sent[:, 0, 0, 0].tolist()) for batch in Uploads(loader, DEVICE)]
    assert batches == [([0], [1]), ([2], [3]), ([5], [6])]


@pytest.mark.parametrize("device", [CPU, DEVICE])
def test_some_versions_of_some_images(gpu: PretendedGpu, device: Device) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 3, 4, 4, 3), np.uint8)
    wanted = np.random.default_rng(1).random((5, 3)) < 0.5
    sent = on_device(Batch(np.arange(5), pixels, None), device).take(wanted, device)
    np.testing.assert_array_equal(sent.cpu().numpy(), pixels[wanted])


def test_a_batch_of_the_first_pass_waits_twice(gpu: PretendedGpu, network_file: Path, image_folder: Path) -> None:
    """From files to statistics: for the activations and for the decisions."""
    images, _ = list_images(image_folder)
    runner = prepare(load_model(parse_spec(f"{network_file}:build")), images, DEVICE, "paper")
    measure = ProbeMeasure(
        models=(0,),
        plan=StatisticsPlan(4, len(images), 5),
        labels=np.zeros(len(images), np.int32),
        keys=np.arange(len(images)),
        noises=("noise-0.1",),
        kinds=("max", "mean"),
    )
    shard, waits = measure.start([runner]), []
    for batch in stream_of(images).batches("", runner.geometry, versions=("clean", "noise-0.1"), batch_size=10):
        before = gpu.waits
        shard.feed(batch)
        waits.append(gpu.waits - before)
    assert waits[1:] == [2] * (len(waits) - 1), "the first batch uploads what stays"
    assert gpu.counts["sync event"] == 0


def stream_of(images: ImageSet) -> Stream:
    return Stream(images, Settings(models=[], images="", store=Path(), workers=0), DEVICE, Silent())
