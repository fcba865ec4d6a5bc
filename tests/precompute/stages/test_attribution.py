"""The attribution pass: which images it explains, and that its maps are those of the methods, whatever the batches."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.analysis.verify import verify_store
from shapebias.core.attribution.choice import Choice, parse_choices
from shapebias.core.store.opening import open_store
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.explain import explain
from shapebias.precompute.attribution.subject import Subject
from shapebias.precompute.images.image_set import image_keys
from shapebias.precompute.measures.attribution import scaled
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.stages.attribution import evenly_over_classes
from tests.support.plain_run import ATTRIBUTION, MEAN, SEED, STD, PlainRun


@given(st.lists(st.integers(-1, 5), max_size=40), st.integers(0, 45), st.randoms(use_true_random=False))
def test_images_are_taken_evenly_over_classes(labels: list[int], count: int, random: Any) -> None:
    keys = random.sample(range(-1000, 1000), len(labels))
    chosen = evenly_over_classes(np.array(labels, np.int32), np.array(keys, np.int64), count).tolist()
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(labels))
    of_class = {label: [image for image in chosen if labels[image] == label] for label in set(labels)}
    most = max(map(len, of_class.values()), default=0)
    for label, images in of_class.items():
        every = sorted((keys[image], image) for image in range(len(labels)) if labels[image] == label)
        assert len(images) >= min(most - 1, len(every)), "no class has two fewer than another, unless it has no more"
        assert sorted(images) == sorted(image for _, image in every[: len(images)])


def test_maps_are_kept_by_their_largest_value() -> None:
    maps = torch.tensor([[[1e-20, -4e-20]], [[0, 0]], [[torch.nan, torch.nan]], [[3, 1e9]]])
    kept, scale = scaled(maps)
    assert kept.dtype == torch.float16
    torch.testing.assert_close(kept[:, 0].float(), torch.tensor([[0.25, -1], [0, 0], [0, 0], [0, 1]]))
    torch.testing.assert_close(scale, torch.tensor([4e-20, 0, torch.nan, 1e9]), equal_nan=True, rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["Tiny", "Other"])
def test_maps_are_those_of_the_methods_image_by_image(plain_run: PlainRun, model: str) -> None:
    """The store was made in batches of 16; here each image is explained alone."""
    attribution = plain_run.store.attribution(model)
    assert attribution is not None
    assert [str(choice) for choice in ATTRIBUTION] == [
        str(Choice.from_attributes(asdict(method))) for method in attribution.methods.values()
    ]
    assert set(plain_run.labels[attribution.image]) == set(range(10)), "evenly over classes"
    assert len(attribution.image) == 20
    np.testing.assert_array_equal(attribution.target, plain_run.decided(model, plain_run.pixels[attribution.image]))
    keys = image_keys([str(file.relative_to(plain_run.images)).encode() for file in plain_run.files], SEED)
    subject = Subject(network=Normalised(plain_run.networks[model], MEAN, STD), size=32)
    for row, image in enumerate(attribution.image.tolist()):
        pixels = torch.from_numpy(plain_run.pixels[image]).permute(2, 0, 1)[None].float() / 255
        target = torch.from_numpy(attribution.target[row : row + 1].astype(np.int64))
        probability = subject.scores(pixels).softmax(1)[0, target]
        assert attribution.probability[row] == pytest.approx(probability.item(), rel=1e-5)
        for choice in ATTRIBUTION:
            expected = explain(subject, choice, pixels, target, [int(keys[image])]).maps[0].numpy()
            values, size = attribution.map(choice.name, row), np.abs(expected).max()
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-3 * size, err_msg=str(choice))
            assert attribution.scale_of(choice.name, row) == pytest.approx(size, rel=1e-4)


@pytest.mark.slow
def test_two_models_are_explained_by_the_same_draws(plain_run: PlainRun) -> None:
    tiny, other = (plain_run.store.attribution(model) for model in ("Tiny", "Other"))
    assert tiny is not None
    assert other is not None
    np.testing.assert_array_equal(tiny.image, other.image)
    np.testing.assert_array_equal(tiny.map("random", 3), other.map("random", 3))
    assert not np.array_equal(tiny.map("gradient", 3), other.map("gradient", 3))
    for image in tiny.image.tolist():
        assert plain_run.store.find_thumbnail("Tiny", image) is not None


NETWORKS = """
class Frozen(Tiny):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)

class Maps(Tiny):
    def forward(self, x):
        return self.block2(self.block1(x))

def frozen():
    return Frozen()

def maps():
    return Maps()
"""


@pytest.mark.slow
def test_what_cannot_be_explained_is_said_and_the_rest_is(
    make_store: Callable[..., Path], image_folder: Path, network_file: Path, tmp_path: Path
) -> None:
    """A network without a gradient, one without scores; an image that is broken, and images of no output."""
    images = Path(shutil.copytree(image_folder, tmp_path / "images"))
    (images / "class3/broken.png").write_bytes(b"")
    (images / "class9").rename(images / "other")
    code = tmp_path / "networks.py"
    code.write_text(network_file.read_text() + NETWORKS)
    classes = tmp_path / "classes.txt"
    classes.write_text("".join(f"class{number}\n" for number in range(10)))
    specs = parse_specs([f"{name.title()}={code}:{name},classes={classes}" for name in ("frozen", "maps")])
    settings = {"passes": ("attribution",), "attribution": parse_choices("gradient,random,center")}
    path = make_store(
        tmp_path / "a.zarr",
        models=specs,
        images=str(images),
        attribution_images=60,
        attribution_target="label",
        **settings,
    )
    store = open_store(path)
    attribution = store.attribution("Frozen")
    assert attribution is not None
    assert store.attribution("Maps") is None
    assert list(attribution.methods) == ["random", "center"]
    assert list(attribution.left_out) == ["gradient"]
    assert attribution.left_out["gradient"].startswith("its class scores have no gradient")
    assert len(attribution.image) == 50
    known = [store.class_of(image) != "other" for image in attribution.image.tolist()]
    np.testing.assert_array_equal(attribution.target >= 0, known)
    np.testing.assert_array_equal(~np.isnan(attribution.scale), [known, known])
    assert [attribution.map("random", row) is not None for row in range(50)] == known
    notes = store_facts(store)["notes"]
    assert "50 images are explained, not 60: there are no more with a label" in notes
    assert "Frozen: 5 of 50 images are not explained: no output is right" in notes
    assert any(note.startswith("Frozen: gradient is left out: its class scores have no gradient") for note in notes)
    assert "Maps: not explained: the network gives no class scores" in notes
    assert "  attribution of 45 images (output: label): random, center" in store_text(store).splitlines()
    report = verify_store(path)
    assert (report.wrong, report.notes) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["Tiny", "Other"])
def test_decisions_are_stored_with_their_probabilities(plain_run: PlainRun, model: str) -> None:
    scores = plain_run.scores(model, plain_run.pixels).astype(np.float64)
    chances = np.exp(scores - scores.max(1, keepdims=True))
    expected = chances.max(1) / chances.sum(1)
    stored = plain_run.store.read(f"models/{model}/probability", shape=[len(expected)])
    assert stored.dtype == np.float32
    np.testing.assert_allclose(stored, expected, rtol=1e-5)
