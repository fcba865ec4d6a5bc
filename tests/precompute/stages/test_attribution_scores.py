"""Scores of the attribution pass: those of the maps in the store, image by image; of objects by masks and by boxes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shapebias.core.analysis.describe import store_facts
from shapebias.core.analysis.verify import verify_store
from shapebias.core.attribution.choice import parse_choices
from shapebias.core.attribution.methods import METHODS
from shapebias.core.attribution.scores import THRESHOLDS, TOLERANCE
from shapebias.core.errors import UsageError
from shapebias.core.store.attribution import MapScores
from shapebias.core.store.opening import open_store
from shapebias.precompute.attacks.descent import Normalised
from shapebias.precompute.attribution.explanation import Question
from shapebias.precompute.attribution.subject import Subject
from shapebias.precompute.images.image_set import image_keys
from shapebias.precompute.scoring.scoring import Scoring
from tests.support.plain_run import ATTRIBUTION, MEAN, SEED, STD, PlainRun


def scores_of(store: Path, model: str = "Tiny") -> MapScores:
    attribution = open_store(store).attribution(model)
    assert attribution is not None
    assert attribution.scores is not None
    return attribution.scores


def opacity(file: Path) -> np.ndarray:
    """The object of an image of 40 x 40 px in the network's input, bool [32, 32]; none where nothing is transparent."""
    image = Image.open(file)
    opaque = np.asarray(image.getchannel("A")) >= 128 if image.mode == "RGBA" else np.zeros((40, 40), bool)
    return opaque[4:36, 4:36]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["Tiny", "Other"])
def test_scores_are_those_of_the_stored_maps(plain_run: PlainRun, model: str) -> None:
    """The store was made in batches of 16; here each image is scored alone."""
    attribution = plain_run.store.attribution(model)
    assert attribution is not None
    assert attribution.scores is not None
    facts = attribution.scores.facts
    assert (facts.steps, facts.objects, facts.tolerance) == (6, "masks", TOLERANCE)
    assert facts.thresholds == list(THRESHOLDS)
    keys = image_keys([str(file.relative_to(plain_run.images)).encode() for file in plain_run.files], SEED)
    subject = Subject(network=Normalised(plain_run.networks[model], MEAN, STD), size=32)
    with_object = 0
    for row, image in enumerate(attribution.image.tolist()):
        pixels = torch.from_numpy(plain_run.pixels[image]).permute(2, 0, 1)[None].float() / 255
        target = torch.from_numpy(attribution.target[row : row + 1].astype(np.int64))
        mask, right = opacity(plain_run.files[image]), plain_run.labels[image] == int(target)
        scoring = Scoring(6, [np.zeros((0, 4))], np.array([right]))
        start = scoring.start(subject, Question(pixels, target, [int(keys[image])]), np.array([0]), mask[None])
        known = bool(mask.any() and right)
        with_object += known
        for number, choice in enumerate(ATTRIBUTION):
            maps = torch.from_numpy(attribution.read(choice.name, row)[None])
            wanted = start(METHODS[choice.name], maps)
            stored = attribution.scores.values | {"overlap": attribution.scores.overlap}
            assert set(stored) == set(wanted)
            for name, values in wanted.items():
                np.testing.assert_allclose(stored[name][number, row], values[0], rtol=1e-4, atol=1e-6, err_msg=name)
            assert np.isnan(stored["mass"][number, row]) == (not known)
    assert with_object >= (model == "Tiny")


def boxes_for(plain_run: PlainRun, folder: Path) -> Path:
    """A table of a box for every image but two, one of a class of its own, one outside of its image."""
    lines = ["path,left,top,right,bottom,class"]
    for number, file in enumerate(plain_run.files):
        path = file.relative_to(plain_run.images)
        side, name = (400, path.parent) if number == 7 else (30, "class99" if number == 8 else path.parent)
        lines += [f"{path},5,6,{side},25,{name}"] if number > 1 else []
    (folder / "boxes.csv").write_text("\n".join(lines))
    return folder / "boxes.csv"


@pytest.mark.slow
def test_boxes_say_where_objects_are(plain_run: PlainRun, make_store: Callable[..., Path], tmp_path: Path) -> None:
    from shapebias.precompute.models.spec import parse_specs

    settings = {
        "models": parse_specs([f"Tiny={plain_run.path.parent / 'net.py'}:tiny"]),
        "images": str(plain_run.images),
        "passes": ("attribution",),
        "attribution": parse_choices("edges,random"),
        "attribution_images": 40,
        "attribution_steps": 0,
        "boxes": boxes_for(plain_run, tmp_path),
    }
    path = make_store(tmp_path / "boxes.zarr", **settings)
    store, scores = open_store(path), scores_of(path)
    attribution = store.attribution("Tiny")
    assert attribution is not None
    assert set(scores.values) == {"pointing", "pointing_exact", "mass"}, "no curves were asked for"
    right = plain_run.labels == attribution.target
    masked = np.array([opacity(file).any() for file in plain_run.files])
    boxed = np.array([number not in (0, 1, 7, 8) for number in range(40)])
    np.testing.assert_array_equal(np.isfinite(scores.values["pointing"][0]), right & (boxed | masked))
    np.testing.assert_array_equal(np.isfinite(scores.values["mass"][0]), right & masked)
    assert scores.overlap is not None
    whole = scores.overlap[0, right & boxed, 0]  # at threshold 0 the box is the whole input
    np.testing.assert_allclose(whole, 25 * 19 / 32**2, rtol=1e-5)  # 5 to 30, 6 to 25, moved by 4 px
    notes = [note.replace(str(tmp_path), "") for note in store_facts(store)["notes"]]
    assert any(
        note.startswith("no boxes of 2 of 40 images (") and "/boxes.csv does not name them" in note for note in notes
    )
    assert any(note.startswith("no boxes of 1 of 40 images (") and "to another one" in note for note in notes)
    assert verify_store(path).wrong == []


@pytest.mark.slow
def test_boxes_of_other_images_leave_the_rest(make_store: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("path,left,top,right,bottom\nnobody.jpg,1,2,3,4\n")
    settings = {"passes": ("attribution",), "attribution": parse_choices("center"), "attribution_images": 10}
    path = make_store(tmp_path / "a.zarr", boxes=tmp_path / "boxes.csv", attribution_steps=2, **settings)
    scores = scores_of(path)
    assert set(scores.values) == {"insertion", "deletion", "insertion_max", "deletion_max"}
    assert scores.overlap is None
    assert any("no boxes of 10 of 10 images" in note for note in store_facts(open_store(path))["notes"])


def test_boxes_need_the_pass(make_store: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add --passes attribution"):
        make_store(tmp_path / "a.zarr", boxes=tmp_path / "boxes.csv")
