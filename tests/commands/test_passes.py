"""`shapebias precompute` with passes: mistakes in one line, and the built-in pair without an argument."""

import json
from pathlib import Path

import pytest

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.store.opening import open_store
from shapebias.precompute.images.builtin.drawing import SPLITS
from shapebias.precompute.settings import SHAPE_OR_TEXTURE
from tests.support.cli import fails, succeeds


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--passes", "noises"], 2, "no pass noises: there are noise,"),
        (["--passes", "distortions", "--distortion", "shufle-4"], 2, "no distortion shufle-4: there are grey,"),
        (["--passes", "distortions", "--distortion", "shuffle-1"], 2, "2 to 64"),
        (["--noise-std", "-0.1"], 2, "--noise-std -0.1"),
        (["--noise-std", "nan"], 2, "--noise-std nan"),
        (["--attack", "l2"], 2, "NORM:EPSILON"),
        (["--attack", "l1:3"], 2, "NORM:EPSILON"),
        (["--attack", "l2:-3"], 2, "NORM:EPSILON"),
        (["--variant", "sketch"], 2, "NAME=DIR"),
        (["--variant", "sketch=NOWHERE"], 2, "no folders of the probe images' classes"),
        (["--variant", "sketch=EMPTY"], 2, "no folders of the probe images' classes"),
        (["--stylized", "NOWHERE"], 2, "no folder"),
        (["--stylized", "EMPTY"], 2, "no images in"),
        (["--cue-conflict", "NOWHERE"], 2, "no folder"),
        (["--cue-conflict", "builtin:cue"], 2, "builtin:cue-conflict"),
        (["--cue-conflict", "IMAGES"], 1, "Tiny has 10 classes that are not ImageNet's"),
        (["--cue-conflict", "IMAGES", "--categories", "NOWHERE"], 2, "cannot be read"),
        (["--cue-conflict", "IMAGES", "--categories", "CATEGORIES"], 1, "not named like cat1-elephant2.png"),
        (["--cue-conflict", "IMAGES", "--categories", "WRONG"], 2, "the network has no class zebra"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, network_file: Path, image_folder: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "categories.json").write_text('{"cat": [0, 1], "dog": [2]}')
    (tmp_path / "wrong.json").write_text('{"cat": [0, 1], "dog": ["zebra"]}')
    before = sorted(tmp_path.iterdir())
    places = {
        "IMAGES": image_folder,
        "NOWHERE": tmp_path / "none",
        "EMPTY": tmp_path / "empty",
        "CATEGORIES": tmp_path / "categories.json",
        "WRONG": tmp_path / "wrong.json",
    }
    for name, path in places.items():
        arguments = [argument.replace(name, str(path)) for argument in arguments]
    options = ["--store", tmp_path / "a.zarr", "--device", "cpu", "--workers", "0", "--limit", "10"]
    message = fails(
        code, "precompute", "--model", f"Tiny={network_file}:build", "--images", image_folder, *options, *arguments
    )
    assert said in message
    assert sorted(tmp_path.iterdir()) == before


def test_images_of_a_folder_need_a_network(tmp_path: Path, image_folder: Path) -> None:
    assert "--model" in fails(2, "precompute", "--images", image_folder, "--store", tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_built_in_pair_with_every_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs on fewer cue-conflict images than usual."""
    monkeypatch.setitem(SPLITS, "cue-conflict", 96)
    store = tmp_path / "pair.zarr"
    options = ("--limit", "64", "--passes", "all", "--store", store, "--top", "9", "--workers", "0", "--json")
    summary = json.loads(succeeds("precompute", *options).splitlines()[-1])
    assert [model["label"] for model in summary["models"]] == ["demo-s", "demo-r"]
    opened = open_store(store)
    assert list(opened.models) == ["demo-s", "demo-r"]
    names = opened.metric_names("demo-r", "conv1")
    wanted = {"tv_noisy", "smoothness", "filter_smoothness", "class_diversity", "visual_diversity", "color_sensitivity"}
    assert wanted <= set(names)
    known = {(accuracy.model, accuracy.condition): accuracy for accuracy in accuracies(opened)}
    for model in opened.models:
        assert known[model, "clean"].accuracy > 0.8
        assert known[model, "shuffle-8"].accuracy < known[model, "clean"].accuracy
        assert known[model, "silhouette"].images == 64
        assert len([key for key in known if key[0] == model]) == 1 + len(SHAPE_OR_TEXTURE)
    facts = json.loads(succeeds("cue-conflict", store, "--json"))
    standard, robust = facts["observers"][-2:]
    assert (standard["name"], robust["name"]) == ("demo-s", "demo-r")
    assert standard["shape_bias"] < robust["shape_bias"]
