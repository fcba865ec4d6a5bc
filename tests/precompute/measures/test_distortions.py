"""Decisions for distorted images, image for image, and for stylized ones that are paired by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shapebias.core.analysis.accuracy import accuracies, distorted_decisions
from shapebias.precompute.device import CPU
from shapebias.precompute.images.distort import generator, parse_distortion
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.measures.changes import ChangeMeasure
from shapebias.precompute.memory import OutOfMemoryError
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.runner import Runner, prepare
from shapebias.precompute.scanning.upload import DeviceBatch, on_device
from tests.support.plain_run import MODELS, PlainRun, pixels

FIVE = ("grey", "blur", "noise", "jpeg", "contour")
NAMES = ["silhouette", "shuffle-2", "grey", "noise", "low-pass", "jpeg-20", "stylized"]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES[1:-1])
def test_decisions_for_distorted_images(plain_run: PlainRun, model: str, name: str) -> None:
    decisions = distorted_decisions(plain_run.store, model)
    assert list(decisions) == NAMES
    decided = plain_run.decided(model, plain_run.distorted(name))
    np.testing.assert_array_equal(decisions[name], decided)
    assert len(np.unique(decided)) > 1


@pytest.mark.parametrize("model", MODELS)
def test_silhouettes_are_of_the_images_that_have_one(plain_run: PlainRun, model: str) -> None:
    decisions = distorted_decisions(plain_run.store, model)["silhouette"]
    images = [Image.open(file) for file in plain_run.files]
    transparent = np.array([image.mode == "RGBA" for image in images])
    assert transparent.sum() == 10
    shapes = [
        np.where(np.asarray(image.getchannel("A"))[4:36, 4:36, None] >= 128, 0, 255).astype(np.uint8).repeat(3, 2)
        for image in images
        if image.mode == "RGBA"
    ]
    expected = np.full(len(images), -1)
    expected[transparent] = plain_run.decided(model, np.stack(shapes))
    np.testing.assert_array_equal(decisions, expected)


@pytest.mark.parametrize("model", MODELS)
def test_stylized_images_are_paired_by_name(plain_run: PlainRun, model: str) -> None:
    expected = np.full(len(plain_run.files), -1)
    for row, file in enumerate(plain_run.files):
        other = plain_run.stylized / file.parent.name / f"{file.stem}.jpg"
        if other.exists():
            expected[row] = plain_run.decided(model, pixels([other]))[0]
    assert (expected >= 0).sum() == 14
    np.testing.assert_array_equal(distorted_decisions(plain_run.store, model)["stylized"], expected)


def test_accuracies_are_those_of_the_decisions(plain_run: PlainRun) -> None:
    known = {(accuracy.model, accuracy.condition): accuracy for accuracy in accuracies(plain_run.store)}
    for model in MODELS:
        clean = known[model, "clean"]
        assert clean.accuracy == (plain_run.decided(model, plain_run.pixels) == plain_run.labels).mean()
        assert clean.images == 40
        grey = known[model, "grey"]
        assert grey.accuracy == (plain_run.decided(model, plain_run.distorted("grey")) == plain_run.labels).mean()
        assert known[model, "silhouette"].images == 10
        assert known[model, "stylized"].images == 14


def test_accuracies_over_the_images_that_all_models_get_right(plain_run: PlainRun) -> None:
    right = {model: plain_run.decided(model, plain_run.pixels) == plain_run.labels for model in MODELS}
    common = right["Tiny"] & right["Other"]
    assert 0 < common.sum() < right["Tiny"].sum()
    rows = accuracies(plain_run.store, all_right=True)
    assert {row.kind for row in rows} == {"clean", "distortion", "attack"}
    for row in rows:
        if row.kind == "clean":
            assert (row.accuracy, row.images) == (1, common.sum())
        elif row.condition in NAMES[1:-1]:
            decided = plain_run.decided(row.model, plain_run.distorted(row.condition))
            assert row.accuracy == (decided == plain_run.labels)[common].mean()
            assert row.images == common.sum()


def test_versions_that_the_test_makes_are_seeded_by_path() -> None:
    """Else `PlainRun.distorted` would prove nothing."""
    noise, grey = parse_distortion("noise"), np.full((8, 8, 3), 128, np.uint8)
    assert (noise(grey, generator(b"a", 3, "noise")) != noise(grey, generator(b"b", 3, "noise"))).any()


class Counted:
    """A runner, how many images each of its forwards had, and up to how many fit into memory."""

    def __init__(self, network: Path, fitting: int = 1000) -> None:
        nobody = ImageSet(root=Path(), paths=[], labels=np.zeros(0, np.int32))
        self.runner: Runner = prepare(load_model(parse_spec(f"{network}:build")), nobody, CPU, "paper")
        self.forwards: list[int] = []
        self.fitting = fitting
        self.runner.network.register_forward_pre_hook(self._count)

    def _count(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > self.fitting:
            raise OutOfMemoryError("too many")
        self.forwards.append(len(inputs[0]))


def versions_of(images: int, count: int) -> DeviceBatch:
    crop = np.random.default_rng(0).integers(0, 255, (images, count, 32, 32, 3), np.uint8)
    return on_device(Batch(np.arange(images), crop, None), CPU)


def decided(runner: Runner, batch: DeviceBatch, names: tuple[str, ...]) -> np.ndarray:
    shard = ChangeMeasure(models=(0,), distortions=names, lists={}).start([runner])
    shard.feed(batch)
    return shard.part()["0"]


def test_all_versions_of_a_batch_are_one_forward(network_file: Path) -> None:
    counted, batch = Counted(network_file), versions_of(6, 5)
    expected = np.stack([counted.runner.decide(counted.runner.forward(batch.pixels[:, n])) for n in range(5)], 1)
    counted.forwards.clear()
    counted.runner.at_once = 30
    np.testing.assert_array_equal(decided(counted.runner, batch, FIVE), expected)
    assert counted.forwards == [30]


def test_versions_take_as_many_forwards_as_there_is_room_for(network_file: Path) -> None:
    counted, batch = Counted(network_file), versions_of(6, 5)
    counted.runner.at_once = 8
    decided(counted.runner, batch, FIVE)
    assert counted.forwards == [8, 8, 8, 6]


def test_versions_that_do_not_fit_into_memory_take_smaller_forwards(network_file: Path) -> None:
    counted, whole, batch = Counted(network_file, fitting=10), Counted(network_file), versions_of(6, 5)
    np.testing.assert_array_equal(decided(counted.runner, batch, FIVE), decided(whole.runner, batch, FIVE))
    assert counted.forwards == [8, 8, 8, 6]
    with pytest.raises(OutOfMemoryError):
        decided(Counted(network_file, fitting=0).runner, batch, FIVE)


def test_no_forward_for_images_without_a_silhouette(network_file: Path) -> None:
    counted, batch = Counted(network_file), versions_of(4, 2)
    batch.pixels[:3, 0] = 255
    decisions = decided(counted.runner, batch, ("silhouette", "grey"))
    assert counted.forwards == [5]
    assert (decisions[:3, 0] == -1).all()
    np.testing.assert_array_equal(decisions[:, 1], counted.runner.decide(counted.runner.forward(batch.pixels[:, 1])))


def test_sensitivity_and_decisions_share_their_forwards(network_file: Path) -> None:
    """Three of five images are in top lists. The measure wants noise under two names, and mirrored images beside it."""
    counted, names = Counted(network_file), ("silhouette", "grey", "noise", "shuffle-4", "contour")
    lists = {0: [np.tile(np.arange(3), (layer.units, 1)) for layer in counted.runner.layers]}
    measure = ChangeMeasure(models=(0,), distortions=names, lists=lists)
    assert measure.versions == (*names, "mirror-8")
    batch, shard = versions_of(5, 6), measure.start([counted.runner])
    batch.pixels[:3, 0] = 255
    shard.feed(batch)
    assert counted.forwards == [3 * 4, 2 + 2 * 3 + 5]
    part = shard.part()
    for metric, version in (("color", 1), ("shape", 3), ("noise", 2), ("control", 5)):
        for layer, maxima in enumerate(counted.runner.activations(batch.pixels[:, version])[1:]):
            sums = part[f"0.{layer}.{metric}_sensitivity"]
            np.testing.assert_allclose(sums, maxima[:3].sum(0), rtol=1e-5, atol=1e-6)
    every = np.stack([counted.runner.decide(counted.runner.forward(batch.pixels[:, n])) for n in range(5)], 1)
    assert (part["0"][:3, 0] == -1).all()
    np.testing.assert_array_equal(part["0"][:, 1:], every[:, 1:])
    np.testing.assert_array_equal(part["0"][3:, 0], every[3:, 0])


def test_sensitivity_alone(network_file: Path) -> None:
    counted, batch = Counted(network_file), versions_of(5, 4)
    lists = {0: [np.tile(np.arange(5), (layer.units, 1)) for layer in counted.runner.layers]}
    measure = ChangeMeasure(models=(0,), distortions=(), lists=lists)
    assert measure.versions == ("grey", "shuffle-4", "noise-0.1", "mirror-8")
    shard = measure.start([counted.runner])
    shard.feed(batch)
    assert counted.forwards == [20]
    assert "0" not in shard.part()
