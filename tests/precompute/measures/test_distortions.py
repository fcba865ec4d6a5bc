"""Decisions for distorted images, image for image, and for stylized ones that are paired by name."""

import numpy as np
import pytest
from PIL import Image

from shapebias.core.analysis.accuracy import accuracies, distorted_decisions
from shapebias.precompute.images.distort import generator, parse_distortion
from tests.support.plain_run import MODELS, PlainRun, pixels

NAMES = ["silhouette", "shuffle-2", "grey", "noise", "low-pass", "jpeg-20", "stylized"]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES[1:-1])
def test_decisions_for_distorted_images(plain_run: PlainRun, model: str, name: str) -> None:
    found = distorted_decisions(plain_run.store, model)
    assert list(found) == NAMES
    decided = plain_run.decided(model, plain_run.distorted(name))
    np.testing.assert_array_equal(found[name], decided)
    assert len(np.unique(decided)) > 1


@pytest.mark.parametrize("model", MODELS)
def test_silhouettes_are_of_the_images_that_have_one(plain_run: PlainRun, model: str) -> None:
    found = distorted_decisions(plain_run.store, model)["silhouette"]
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
    np.testing.assert_array_equal(found, expected)


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
    known = {(each.model, each.condition): each for each in accuracies(plain_run.store)}
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
    found = accuracies(plain_run.store, all_right=True)
    assert {each.kind for each in found} == {"clean", "distortion", "attack"}
    for each in found:
        if each.kind == "clean":
            assert (each.accuracy, each.images) == (1, common.sum())
        elif each.condition in NAMES[1:-1]:
            decided = plain_run.decided(each.model, plain_run.distorted(each.condition))
            assert each.accuracy == (decided == plain_run.labels)[common].mean()
            assert each.images == common.sum()


def test_versions_that_the_test_makes_are_seeded_by_path() -> None:
    """Else `PlainRun.distorted` would prove nothing."""
    noise, grey = parse_distortion("noise"), np.full((8, 8, 3), 128, np.uint8)
    assert (noise(grey, generator(b"a", 3, "noise")) != noise(grey, generator(b"b", 3, "noise"))).any()
