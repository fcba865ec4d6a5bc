"""The preparation of cue-conflict images, native or as the model sees any image, against a plain loop."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from shapebias.cli import app
from shapebias.core.shape_bias.decisions import Decisions
from shapebias.core.store.opening import open_store
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.models.spec import parse_specs
from tests.support.plain_run import PlainRun, native_pixels, pixels

LAYER = "block2"


def decided(plain_run: PlainRun, images: np.ndarray, zeroed: int | None = None) -> np.ndarray:
    """The categories that Tiny decides for, int [images], without a unit of LAYER."""
    network, categories = plain_run.networks["Tiny"], json.loads(plain_run.categories.read_text())

    def silence(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[:, zeroed] = 0
        return output

    handle = None if zeroed is None else getattr(network, LAYER).register_forward_hook(silence)
    with torch.inference_mode():
        shares = torch.softmax(network(plain_run.inputs(images)), 1).double().numpy()
    if handle is not None:
        handle.remove()
    return np.stack([shares[:, classes].mean(1) for classes in categories.values()], 1).argmax(1)


@pytest.fixture(scope="module")
def folder(plain_run: PlainRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's stimuli in the size of the network's input, and one that is larger and not square."""
    root = Path(shutil.copytree(plain_run.conflict, tmp_path_factory.mktemp("stimuli") / "images"))
    for file in root.glob("*/*-*.png"):
        if file.stat().st_size:
            with Image.open(file) as image:
                image.crop((0, 0, 32, 32)).save(file)
    random = np.random.default_rng(1)
    Image.fromarray(random.integers(0, 256, (5, 9, 3), np.uint8)).resize((90, 50)).save(root / "cat/cat80-dog3.png")
    return root


@pytest.fixture(scope="module", params=["native", "model"])
def store(
    request: pytest.FixtureRequest, plain_run: PlainRun, folder: Path, make_store: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path]:  # fmt: skip
    path = make_store(
        tmp_path_factory.mktemp("stores") / f"{request.param}.zarr",
        models=parse_specs([f"Tiny={plain_run.path.parent}/net.py:tiny"]),
        images=str(plain_run.images),
        limit=4,
        layers=LAYER,
        passes=("ablation",),
        cue_conflict=str(folder),
        stimuli=request.param,
        categories=plain_run.categories,
    )
    return request.param, path


def read(path: Path, folder: Path, stimuli: str) -> tuple[Decisions, np.ndarray]:
    decisions = open_store(path).cue_conflict("Tiny")
    assert decisions is not None
    files = [folder / name for name in decisions.images]
    return decisions, native_pixels(files) if stimuli == "native" else pixels(files)


def test_decisions_are_those_of_a_plain_loop(store: tuple[str, Path], folder: Path, plain_run: PlainRun) -> None:
    stimuli, path = store
    decisions, images = read(path, folder, stimuli)
    assert decisions.stimuli == stimuli
    assert len(decisions.images) == 20
    np.testing.assert_array_equal(decisions.decision, decided(plain_run, images))


def test_the_two_ways_differ(folder: Path, plain_run: PlainRun) -> None:
    files = sorted(file for file in folder.glob("*/*-*.png") if file.stat().st_size)
    assert (decided(plain_run, native_pixels(files)) != decided(plain_run, pixels(files))).any()


def test_ablation_sees_the_same_images(store: tuple[str, Path], folder: Path, plain_run: PlainRun) -> None:
    stimuli, path = store
    decisions, images = read(path, folder, stimuli)
    opened = open_store(path)
    conflicting = decisions.shape != decisions.texture
    total = 0
    for name, cue in (("shape_score", decisions.shape), ("texture_score", decisions.texture)):
        scores = opened.metric("Tiny", LAYER, name)
        before = decided(plain_run, images)
        for unit in range(len(scores)):
            after = decided(plain_run, images, unit)
            assert scores[unit] == (conflicting & (before == cue) & (after != before)).sum()
        total += scores.sum()
    assert total


def test_a_group_is_ablated_on_the_same_images(store: tuple[str, Path], folder: Path, plain_run: PlainRun) -> None:
    stimuli, path = store
    decisions, images = read(path, folder, stimuli)
    conflicting = decisions.shape != decisions.texture
    words = ["ablate", str(path), "--units", "unit = 0", "--categories", str(plain_run.categories), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.output)
    for moment, zeroed in (("before", None), ("after", 0)):
        by = decided(plain_run, images, zeroed)
        assert told[moment]["shape"] == (conflicting & (by == decisions.shape)).sum()
        assert told[moment]["texture"] == (conflicting & (by == decisions.texture)).sum()


def test_what_a_user_is_told(store: tuple[str, Path]) -> None:
    stimuli, path = store
    info = CliRunner().invoke(app, ["info", str(path)])
    assert f"other, {stimuli} stimuli" in info.output
    table = CliRunner().invoke(app, ["cue-conflict", str(path), "--json"])
    assert [one["stimuli"] for one in json.loads(table.output)["observers"]] == ["native", "native", stimuli]


def test_a_way_that_does_not_exist(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["precompute", "--stimuli", "squeezed", "--store", str(tmp_path / "a.zarr")])
    assert done.exit_code == 2
    assert "no --stimuli squeezed: there are native, model" in done.stderr


def test_whole_images_are_not_touched_in_the_right_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    whole = Geometry(40, 32, "bicubic").whole
    np.testing.assert_array_equal(whole(Image.fromarray(pixels)), pixels)
    assert whole(Image.fromarray(pixels[:20])).shape == (32, 32, 3)
    assert whole != Geometry(32, 32, "bicubic")
    assert whole.key == "whole32-bicubic"
