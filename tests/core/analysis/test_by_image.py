"""The units that fire on one image, and the models' decisions for it."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core import imagenet
from shapebias.core.analysis.by_image import (
    ImageList,
    ImageName,
    Verdict,
    decision_text,
    decisions_on,
    image_record,
    image_text,
    on_image,
    output_name,
    probe_image,
)
from shapebias.core.errors import UsageError
from shapebias.core.pictures.tiles import Photo
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from tests.support.layer_values import set_values

CAT_DOG = ImageName("cat/cat1-dog2.png", "cat shape, dog texture", True)


@pytest.fixture
def store(small_store: Path) -> Store:
    return open_store(small_store)


def named(store: Store, number: int) -> ImageName:
    return ImageName(store.image_name(number), store.class_of(number), False)


@pytest.mark.parametrize("number", [0, 7, 49])
def test_units_are_ranked_as_by_numpy(store: Store, number: int) -> None:
    [seen] = on_image(store, named(store, number), limit=4)
    assert list(seen.layers) == list(store.layers("Tiny"))
    for layer, units in seen.layers.items():
        activations = np.asarray(store.activations("Tiny", layer, "max")[:], np.float64)
        with np.errstate(all="ignore"):
            relative = np.where(activations[number] > 0, activations[number] / activations.max(0), 0)
        best = np.sort(relative)[::-1][:4]
        np.testing.assert_allclose([response.relative for response in units], best[best > 0], rtol=1e-3)
        for response in units:
            assert response.activation == activations[number, response.unit.index]
            assert response.relative == pytest.approx(relative[response.unit.index], rel=1e-3)


def test_the_strongest_image_of_a_unit_is_at_its_maximum(store: Store) -> None:
    unit = store.unit("Tiny/block2/3")
    [seen] = on_image(store, named(store, int(store.top(unit).image[0])), layer="block2", limit=99)
    assert list(seen.layers) == ["block2"]
    assert [response.relative for response in seen.layers["block2"] if response.unit == unit] == [1.0]
    assert seen.photo == Photo("Tiny", int(store.top(unit).image[0]))


@pytest.mark.parametrize("joined", [False, True])
def test_outputs_have_the_names_of_their_images(store: Store, store_copy: Path, joined: bool) -> None:
    whole, model = (open_stores([store.path, store_copy]), "Tiny@copy") if joined else (store, "Tiny")
    assert output_name(whole, model, 3) == "class3"
    assert output_name(whole, model, 417) == "output 417"


BLOCK = ("Tiny", "block1")


def test_the_rarer_of_two_saturated_units_comes_first(store_copy: Path) -> None:
    set_values(store_copy, BLOCK, "activations/max", 3, np.full(16, 6, np.float16))
    set_values(store_copy, BLOCK, "metrics/max", ..., np.full(16, 6, np.float32))
    set_values(store_copy, BLOCK, "metrics/mean", ..., np.arange(16, 0, -1, dtype=np.float32))
    [seen] = on_image(open_store(store_copy), named(open_store(store_copy), 3), layer="block1", limit=3)
    assert [response.unit.index for response in seen.layers["block1"]] == [15, 14, 13]


def test_clipped_dead_and_silent_units_are_left_out(store_copy: Path) -> None:
    set_values(
        store_copy,
        BLOCK,
        "activations/max",
        3,
        np.array([65504, np.inf, np.nan, 0, -1, 2, 65504, *[0] * 9], np.float16),
    )
    set_values(store_copy, BLOCK, "metrics/max", ..., np.array([1e9, 1e9, 1, 1, 1, 4, 65510, *[0] * 9], np.float32))
    [seen] = on_image(open_store(store_copy), named(open_store(store_copy), 3), layer="block1", limit=16)
    assert [(response.unit.index, response.activation, response.relative) for response in seen.layers["block1"]] == [
        (5, 2.0, 0.5)
    ]


def test_decisions_are_right_or_wrong_by_the_class_names(store: Store) -> None:
    decision, target = (store.read(f"models/Tiny/{name}") for name in ("decision", "target"))
    verdicts = set()
    for number in range(0, 50, 5):
        [seen] = on_image(store, named(store, number), layer="block1", limit=1)
        assert seen.decision is not None
        assert seen.decision.name == f"class{decision[number]}"
        right = decision[number] == target[number]
        assert seen.decision.verdict is (Verdict.RIGHT if right else Verdict.WRONG)
        verdicts.add(seen.decision.verdict)
    assert verdicts == set(Verdict) - {Verdict.SHAPE, Verdict.TEXTURE, Verdict.NEITHER}


def test_outputs_without_an_image_are_imagenets_where_the_others_are(store_copy: Path) -> None:
    root = zarr.open_group(store_copy, mode="a")
    root["models/Tiny/decision"][0] = 417

    def decided() -> str:
        opened = open_store(store_copy)
        [seen] = on_image(opened, named(opened, 0), layer="block1")
        assert seen.decision is not None
        return seen.decision.name

    assert decided() == "output 417"
    root["images/probe"].attrs["class_ids"] = imagenet.wnids()[:10]
    assert decided() == imagenet.class_names()[417] == "balloon"


def test_cue_conflict_images_have_decisions_only(cue_conflict_store: Path) -> None:
    store = open_store(cue_conflict_store)
    images = ImageList(store)
    assert images.names[50] == CAT_DOG
    assert len(images) == 54
    results = [on_image(store, image)[0] for image in images.names[50:]]
    verdicts = [Verdict.SHAPE, Verdict.TEXTURE, Verdict.NEITHER, Verdict.SHAPE]
    assert [result.decision and result.decision.verdict for result in results] == verdicts
    assert [result.decision and result.decision.name for result in results] == ["cat", "elephant", "knife", "elephant"]
    assert not results[0].layers
    assert "keeps both for probe images only" in results[0].missing[0]


def test_what_a_store_lacks_is_said(store_copy: Path) -> None:
    for path in ("decision", "target", "activations"):
        folder = store_copy / "models/Tiny" / path
        folder.rename(store_copy / f"gone-{path}")
    store = open_store(store_copy)
    [seen] = on_image(store, named(store, 0))
    assert (seen.decision, seen.layers) == (None, {})
    assert any("--activations none" in line for line in seen.missing)
    assert any("no class scores" in line for line in seen.missing)
    assert "--activations none" in image_text(named(store, 0), [seen])


def test_an_image_without_a_picture_says_so(store_copy: Path) -> None:
    root = zarr.open_group(store_copy, mode="a")
    [pictures] = list(root["images/probe/thumbnails"].group_values())
    pictures["image"][:] = pictures["image"][:] + 100
    store = open_store(store_copy)
    [seen] = on_image(store, named(store, 0), layer="block1")
    assert seen.photo is None
    assert any(line.startswith("no picture") for line in seen.missing)


def test_joined_stores_find_an_image_by_its_path(small_store: Path, store_copy: Path) -> None:
    paths = [os.fsencode(f"other/{number}.png") if number < 20 else b"x" * number for number in range(50)]
    paths[5] = open_store(small_store).image_paths[7]
    for part, values in {
        "data": np.frombuffer(b"".join(paths), np.uint8),
        "offsets": np.cumsum([0, *map(len, paths)]),
    }.items():
        zarr.open_group(store_copy, mode="a")["images/probe/path"].create_array(part, data=values, overwrite=True)
    joined = open_stores([small_store, store_copy])
    images = ImageList(joined)
    assert len(images) == 99, "one path is in both"
    both = on_image(joined, images.names[7], layer="block1")
    assert [result.model for result in both] == ["Tiny", "Tiny@copy"]
    strongest = both[1].layers["block1"][0]
    owner, label = joined.owner("Tiny@copy")
    assert strongest.activation == owner.activations(label, "block1", "max")[5, strongest.unit.index]
    assert strongest.unit.model == "Tiny@copy"
    first = on_image(joined, images.names[50], layer="block1")
    assert (first[0].missing, first[0].layers) == (["the model was not shown this image"], {})
    assert first[1].layers["block1"]


def test_images_are_found_by_words_of_path_and_class(cue_conflict_store: Path) -> None:
    images = ImageList(open_store(cue_conflict_store))
    assert images.find("").tolist() == list(range(54))
    assert images.find("IMAGE3 class1").tolist() == [8]
    assert images.find("elephant texture").tolist() == [51]
    assert images.find("nothing such").tolist() == []


@pytest.mark.parametrize(
    ("text", "position"),
    [("class1/image3.jpg", 8), ("8", 8), ("1/image3", 8), ("dog1-cat1", 52), ("class0", "5 images")],
)
def test_an_image_is_named_by_path_part_or_number(cue_conflict_store: Path, text: str, position: int | str) -> None:
    images = ImageList(open_store(cue_conflict_store))
    if isinstance(position, int):
        assert images.position(text) == position
    else:
        with pytest.raises(UsageError, match=position):
            images.position(text)


@pytest.mark.parametrize("text", ["", "nope\x1b[2J", "50", "9" * 12])
def test_what_names_no_image_is_said(store: Store, text: str) -> None:
    with pytest.raises(UsageError, match="no image") as error:
        ImageList(store).position(text)
    assert str(error.value).isprintable()


def test_models_and_layers_that_are_not_there_are_said(store: Store) -> None:
    with pytest.raises(UsageError, match="no model"):
        on_image(store, named(store, 0), model="Tony")
    with pytest.raises(UsageError, match="did you mean block1"):
        on_image(store, named(store, 0), layer="blok1")


def test_the_text_has_the_numbers_of_the_record(store: Store) -> None:
    image = named(store, 8)
    results = on_image(store, image, limit=2)
    record = image_record(image, results)
    assert (record["image"], record["class"]) == ("class1/image3.jpg", "class1")
    lines = image_text(image, results).splitlines()
    units = [unit for units in record["models"][0]["layers"].values() for unit in units]
    assert [line.split()[0] for line in lines[3:]] == [unit["unit"] for unit in units]
    model = record["models"][0]
    facts = f"{model['verdict']}, {model['probability']:.2f}"
    assert lines[1] == f"Tiny: predicts {model['decision']} ({facts})"


def test_the_probability_of_every_decision_is_told(small_store: Path) -> None:
    store = open_store(small_store)
    stored = store.read("models/Tiny/probability", shape=[len(store.image_paths)])
    for number, probability in enumerate(stored.tolist()):
        decided = decisions_on(store, probe_image(store, number))["Tiny"]
        assert decided.probability == probability
        assert decision_text(decided).endswith(f", {probability:.2f})")


def test_stores_of_earlier_versions_have_no_probability(attributed_store: Path, tmp_path: Path) -> None:
    path = shutil.copytree(attributed_store, tmp_path / "early.zarr")
    shutil.rmtree(path / "models/Tiny/probability")
    store = open_store(path)
    decided = decisions_on(store, probe_image(store, 0))["Tiny"]
    assert decided.probability is None
    assert not decision_text(decided).endswith("1.00)")
