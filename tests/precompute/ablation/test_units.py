"""Ablation scores against the naive way: the whole network, one unit at a time."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.ablation.bfloat16 import DecisionRule, category_choice
from shapebias.precompute.ablation.memory import peak_bytes
from shapebias.precompute.ablation.units import Labelled, UnitAblation, accuracy_drop, shape_and_texture_scores
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.measures.categories import category_mapping, decide, probabilities
from shapebias.precompute.measures.cue_conflict import CueConflict, decide_cue_conflict
from shapebias.precompute.models.hooks import Watch
from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.preprocessing import Preprocessing
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.progress import Silent
from shapebias.precompute.runner import Runner, prepare
from shapebias.precompute.scanning.local import LocalEngine
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings

MEMORY = 200_000_000
DEVICE = choose_device("cpu", "auto")


def stream_of(images: ImageSet) -> Stream:
    return Stream(images, Settings(models=[], images="", store=Path("none.zarr"), workers=0), DEVICE, Silent())


@pytest.fixture(scope="module")
def stimuli() -> Stream:
    return stream_of(find_images("builtin:cue-conflict", 24)[0])


@pytest.fixture(scope="module")
def pair(stimuli: Stream) -> list[Runner]:
    return [
        prepare(load_model(parse_spec(name)), stimuli.image_set, DEVICE, "conv2,conv4,conv5")
        for name in ("demo-s", "demo-r")
    ]


def pixels_of(stream: Stream, runner: Runner) -> NDArray[np.uint8]:
    return np.concatenate([batch.pixels.copy() for batch in stream.batches("", runner.geometry)])


def without(runner: Runner, index: int, unit: int, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities [images, classes] of the whole network with one unit zeroed."""

    def silence(_: int, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[:, unit] = 0
        return changed

    with Watch(runner.network, [runner.layers[index]], silence):
        return probabilities(runner, pixels)


def naive_scores(
    runner: Runner, index: int, units: NDArray[np.int64], pixels: NDArray[np.uint8], conflict: CueConflict
) -> tuple[list[int], list[int]]:
    mapping = category_mapping(runner, None)
    before = decide(probabilities(runner, pixels), mapping)
    shape, texture = [], []
    for unit in units:
        after = decide(without(runner, index, int(unit), pixels), mapping)
        shape.append(int(((before == conflict.shape) & (after != conflict.shape)).sum()))
        texture.append(int(((before == conflict.texture) & (after != conflict.texture)).sum()))
    return shape, texture


def decide_with(runners: list[Runner], stimuli: Stream, folder: Path) -> CueConflict:
    engine = LocalEngine(runners, stimuli.settings, stimuli.device, Silent(), folder=folder)
    return decide_cue_conflict(engine, runners, stimuli.image_set, [], file=None, stimuli_as="native")


@pytest.mark.parametrize("index", [0, 1, 2])
def test_scores_are_those_of_the_naive_way(pair: list[Runner], stimuli: Stream, index: int, tmp_path: Path) -> None:
    conflict = decide_with(pair, stimuli, tmp_path)
    total = 0.0
    for runner in pair:
        pixels = pixels_of(stimuli, runner)
        ablation = UnitAblation(runner, runner.layers[index], MEMORY)
        assert ablation.why_whole is None
        scores = shape_and_texture_scores(ablation, "", stimuli, conflict, mapping=category_mapping(runner, None))
        most = np.argsort(-scores["shape_score"] - scores["texture_score"], kind="stable")
        units = np.concatenate([most[:8], most[-4:]])
        shape, texture = naive_scores(runner, index, units, pixels, conflict)
        assert scores["shape_score"][units].tolist() == shape
        assert scores["texture_score"][units].tolist() == texture
        total += sum(shape) + sum(texture)
    assert total > 0


def test_small_memory_gives_the_same_scores_in_more_forwards(
    pair: list[Runner], stimuli: Stream, tmp_path: Path
) -> None:
    runner = pair[1]
    conflict = decide_with([runner], stimuli, tmp_path)
    mapping = category_mapping(runner, None)
    usual, small = (UnitAblation(runner, runner.layers[1], memory) for memory in (MEMORY, 2_000_000))
    assert small.rows < usual.rows
    assert small.images < usual.images
    pixels = pixels_of(stimuli, runner)[: small.images]
    assert peak_bytes(lambda: small.decide_pixels(pixels, category_choice(mapping))) < 2_000_000
    first, second = (
        shape_and_texture_scores(ablation, "", stimuli, conflict, mapping=mapping) for ablation in (usual, small)
    )
    assert {name: values.tolist() for name, values in first.items()} == {
        name: values.tolist() for name, values in second.items()
    }
    with pytest.raises(ShapebiasError, match="at least --memory 1"):
        UnitAblation(runner, runner.layers[1], 1000)


def test_accuracy_drops_as_in_the_naive_way(pair: list[Runner]) -> None:
    runner = pair[0]
    images = find_images("builtin:probe", 24)[0]
    stream, target = stream_of(images), runner.targets(images.labels)
    target[::5] = -1
    target[1::5] = (target[1::5] + 1) % 16  # wrong with all units, so that it can only become right
    pixels = pixels_of(stream, runner)
    decision = probabilities(runner, pixels).argmax(1).astype(np.int32)
    ablation = UnitAblation(runner, runner.layers[0], MEMORY)
    drop = accuracy_drop(ablation, "", stream, Labelled(np.arange(24), decision, target))["accuracy_drop"]
    known = target >= 0
    for unit in (*np.argsort(drop)[:3], *np.argsort(drop)[-3:]):
        after = without(runner, 0, int(unit), pixels).argmax(1)
        assert drop[unit] == pytest.approx(((decision == target)[known]).mean() - (after == target)[known].mean())
    assert drop.max() > 0


class ResidualNetwork(nn.Module):
    """A branch around `inner`, whose unit 2 is dead and whose unit 3 fires on bright images only."""

    def __init__(self) -> None:
        super().__init__()
        self.outer, self.inner = nn.Conv2d(3, 6, 3, stride=4), nn.Conv2d(6, 6, 3, padding=1)
        self.relu, self.head = nn.ReLU(), nn.Linear(6, 7)
        with torch.no_grad():
            self.inner.weight.mul_(8)
            assert self.inner.bias is not None
            self.inner.bias[2] = -1000.0
            self.inner.bias[3] = -2.5

    def forward(self, images: Tensor) -> Tensor:
        x = self.outer(images)
        scores: Tensor = self.head((x + self.relu(self.inner(x))).mean((2, 3)))
        return scores


def runner_of(network: nn.Module, layers: str, size: int, classes: int) -> Runner:
    preprocessing = Preprocessing(Geometry(size, size, "bilinear"), (0.5,) * 3, (0.25,) * 3, "this test")
    model = LoadedModel("Net", network.eval(), "Net", "Net", preprocessing, [str(number) for number in range(classes)])
    return prepare(model, ImageSet(root=Path(), paths=[], labels=np.zeros(0, np.int32)), DEVICE, layers)


def by_class(runner: Runner) -> DecisionRule:
    return DecisionRule(runner.decide, lambda scores: scores)


def check_decisions(runner: Runner, ablation: UnitAblation, stream: Stream, units: Sequence[int]) -> None:
    """Every pair's decision is the naive one; the pairs left out are those whose unit is 0 everywhere."""
    pixels = pixels_of(stream, runner)
    maps: list[Tensor] = []
    with Watch(runner.network, runner.layers, lambda _, output: maps.append(output.clone())):
        before = probabilities(runner, pixels).argmax(1)
    fires = (maps[0].amax((2, 3)) != 0).numpy()
    wanted = {(image, unit) for image, unit in np.argwhere(fires).tolist() if unit in units}
    by_pair = {}
    rows = np.arange(len(pixels))
    for image, unit, decided in ablation.decisions("", stream, rows, by_class(runner), geometry=runner.geometry):
        by_pair |= {(int(i), int(u)): int(d) for i, u, d in zip(image, unit, decided, strict=True) if u in units}
    assert set(by_pair) == wanted
    changed = 0
    for unit in units:
        after = without(runner, 0, unit, pixels).argmax(1)
        assert (after == before)[~fires[:, unit]].all()
        assert [by_pair[image, unit] for image in np.flatnonzero(fires[:, unit])] == after[fires[:, unit]].tolist()
        changed += int((after != before).sum())
    assert changed


def test_a_branch_falls_back_to_the_whole_network(stimuli: Stream) -> None:
    torch.manual_seed(3)
    runner = runner_of(ResidualNetwork(), "relu", 64, 7)
    ablation = UnitAblation(runner, runner.layers[0], MEMORY)
    assert ablation.why_whole is not None
    check_decisions(runner, ablation, stimuli, range(6))


class Quarters(nn.Module):
    """A convolution that sees the quarters of an image as images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 7)

    def forward(self, images: Tensor) -> Tensor:
        quarters = images.unflatten(2, (2, -1)).unflatten(4, (2, -1)).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        scores: Tensor = self.head(self.inner(quarters).mean((2, 3))).unflatten(0, (-1, 4)).mean(1)
        return scores


def test_quarters_that_are_seen_as_images_are_put_back_together(stimuli: Stream) -> None:
    torch.manual_seed(3)
    runner = runner_of(Quarters(), "inner", 64, 7)
    layer = runner.layers[0]
    assert (layer.units, layer.height, layer.width) == (6, 64, 64)
    ablation = UnitAblation(runner, layer, MEMORY)
    assert ablation.why_whole is not None
    check_decisions(runner, ablation, stimuli, range(6))


@pytest.mark.parametrize("image", range(0, 24, 4))
def test_decisions_too_close_for_bfloat16(stimuli: Stream, image: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is tuned so that without the unit its decision for the image is lost by a hair."""
    monkeypatch.setattr(time, "process_time", lambda: 0.0)  # bfloat16 is used, however slow it is here
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 32, 7, stride=4), nn.ReLU(), nn.Conv2d(32, 24, 3), nn.ReLU())
    network.extend([nn.Conv2d(24, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head := nn.Linear(16, 7)])
    runner, unit = runner_of(network, "1", 64, 7), image
    pixels = pixels_of(stimuli, runner)
    whole, zeroed = (
        np.log(values[image]) for values in (probabilities(runner, pixels), without(runner, 0, unit, pixels))
    )
    lost = int(zeroed.argmax())
    gained = int(np.argmax(zeroed - whole))
    with torch.no_grad():
        head.bias[gained] += float(zeroed[lost] - zeroed[gained]) + 1e-6
    assert probabilities(runner, pixels)[image].argmax() == lost != gained
    ablation = UnitAblation(runner, runner.layers[0], MEMORY)
    check_decisions(runner, ablation, stimuli, range(32))
    assert ablation.check.given_up is None
    assert 64 < ablation.check.again < ablation.check.rows


@pytest.mark.slow
def test_a_real_layer(stimuli: Stream) -> None:
    """AlexNet's conv5, random weights made larger so that decisions differ."""
    torch.manual_seed(0)
    network = torchvision.models.alexnet(weights=None)
    runner = runner_of(network, "conv5", 224, 1000)
    ablation = UnitAblation(runner, runner.layers[0], MEMORY)
    assert ablation.why_whole is None
    few = stream_of(stimuli.image_set.spread(2))
    check_decisions(runner, ablation, few, range(0, 256, 32))
