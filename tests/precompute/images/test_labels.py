"""The rule of labels: names of classes, folders, and outputs, against torchvision's and timm's own sorting."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.utils.misc import natural_key as timm_key
from torchvision.datasets.folder import find_classes
from torchvision.models._meta import _IMAGENET_CATEGORIES

from shapebias.core import imagenet
from shapebias.core.errors import UsageError
from shapebias.precompute.images.labels import Match, label_images, match_outputs, name_by_folder, natural_key

WNIDS = imagenet.wnids()


def match(names: list[str], outputs: int | None, network: list[str] | None = None) -> Match:
    """The match of classes with these names."""
    labels = label_images([os.fsencode(name) for name in names])
    return match_outputs(labels.source_names, labels.class_ids, network, outputs)


def targets(names: list[str], outputs: int | None, network: list[str] | None = None) -> list[int]:
    """The right output of an image of each class."""
    labels = label_images([os.fsencode(name) for name in names])
    return match_outputs(labels.source_names, labels.class_ids, network, outputs).targets(labels.labels).tolist()


# --- labels of names -------------------------------------------------------------------------------------------------


def test_wordnet_ids_are_imagenets_classes_whatever_follows_them() -> None:
    labels = label_images([b"n01443537_goldfish", None, WNIDS[0].encode(), b"n01440764-tench, Tinca tinca"])
    assert labels.labels.tolist() == [1, -1, 0, 0]
    assert (labels.class_ids, labels.class_names) == (WNIDS, imagenet.class_names())


def test_numbers_are_themselves() -> None:
    labels = label_images([b"10", b"2", None, b"007"])
    assert labels.labels.tolist() == [10, 2, -1, 7]
    assert labels.class_ids == [str(number) for number in range(11)]
    assert label_images([b"20000", b"3"]).class_ids == ["3", "20000"], "no class for every number up to a large one"
    assert label_images([b"7", b"07"]).class_ids == ["07", "7"], "two names of one number are names"
    assert label_images([str(number).encode() for number in range(1000)]).class_ids == WNIDS


@given(st.lists(st.none() | st.binary(min_size=1, max_size=6), max_size=12))
@settings(max_examples=50, deadline=None)
def test_any_names_are_told_apart(names: list[bytes | None]) -> None:
    labels = label_images(names)
    assert len(labels.class_ids) == len(labels.class_names)
    assert ((labels.labels < 0) == [name is None for name in names]).all()
    for name, label in zip(names, labels.labels, strict=True):
        if name is not None:
            assert labels.source_names[os.fsdecode(name)] == label


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "names", "stray"),
    [
        ("cat/1 dog/1 dog/a/2", "cat dog dog", []),
        ("cat/1 dog/1 dog/2 sheet", "cat dog dog -", [3]),
        ("1 2 sub/3", "- - -", []),
        ("1 sub/2 sub/3", "- - -", []),
        (f"1 {WNIDS[0]}/2 {WNIDS[0]}/3", f"- {WNIDS[0]} {WNIDS[0]}", [0]),
        ("only/1 only/2", "only only", []),
        ("photos/cat/1 photos/dog/2", "cat dog", []),
        ("val/cat/1 val/dog/2", "cat dog", []),
        ("val/1 val/2", "- -", []),
        ("photos/cat/1 photos/dog/2 photos/dog/3 photos/sheet", "cat dog dog -", [3]),
        ("cat/1 cat/close/2", "cat cat", []),
        (f"part1/{WNIDS[3]}/1 part2/{WNIDS[3]}_shark/2", f"{WNIDS[3]} {WNIDS[3]}_shark", []),
        (f"{WNIDS[3]}/a/1 {WNIDS[3]}/b/2", f"{WNIDS[3]} {WNIDS[3]}", []),
    ],
)
def test_classes_by_folder(paths: str, names: str, stray: list[int]) -> None:
    classes = name_by_folder([f"{path}.jpg".encode() for path in paths.split()], "photos")
    assert [b"-" if name is None else name for name in classes.names] == names.encode().split()
    assert classes.stray == stray


def test_the_splits_of_a_data_set_are_asked_for_by_name() -> None:
    for paths in (["train/a/1.jpg", "val/a/1.jpg"], ["Train/1.jpg", "val/1.jpg", "stray.jpg"]):
        with pytest.raises(UsageError, match=r"holds [tT]rain and val, each with images: name one .*, such as p/val$"):
            name_by_folder([path.encode() for path in paths], "p/")
    with pytest.raises(UsageError, match="holds coco_train2017 and coco_val2017"):
        name_by_folder([b"coco_train2017/1.jpg", b"coco_val2017/1.jpg"], "coco")
    assert name_by_folder([b"bullet-train/1.jpg", b"steam-train/1.jpg"], "trains").names[0] == b"bullet-train"
    with pytest.raises(UsageError, match=r"a\.tar holds train and val, each with images: make one of val alone"):
        name_by_folder([b"train/1.jpg", b"val/1.jpg"], "a.tar", is_folder=False)
    names = name_by_folder([b"train/1.jpg", b"bus/1.jpg"], "vehicles").names
    assert names == [b"train", b"bus"], "a class can be called train"


# --- outputs ---------------------------------------------------------------------------------------------------------


def test_a_subset_of_imagenet() -> None:
    few = [WNIDS[7], f"{WNIDS[417]}_balloon", WNIDS[999]]
    assert targets(few, 1000) == targets(few, 1000, WNIDS) == [7, 417, 999]
    assert match(few, 1000).rule == "by WordNet id"
    partly = match([WNIDS[7], "notes", "n00000000"], 1000)
    assert partly.notes == ["2 of 3 classes are not ImageNet's (n00000000, notes): their images have no label"]


def test_wordnet_ids_and_a_network_of_as_many_outputs() -> None:
    ten = [WNIDS[index] for index in (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)]  # Imagenette
    assert targets(ten[::-1], 10) == list(range(10))[::-1]
    assert match(ten, 10).rule == "in the order of their names"
    named = [imagenet.class_names()[WNIDS.index(wnid)] for wnid in ten[::-1]]
    assert targets(ten, 10, named) == list(range(10))[::-1], "by the names that the network has"
    assert match(ten, 11).outputs is None


def test_names_of_imagenets_classes() -> None:
    names = ["Great_White_Shark", "tench, Tinca tinca", "jack-o-lantern", "Cardigan", "cardigan"]
    assert targets(names, 1000) == [2, 0, 607, 264, 474]
    twofold = match(["crane", "tench", "goldfish"], 1000)
    assert twofold.notes == ["two classes of ImageNet each have the name crane: these images have no label"]
    assert targets([name.replace(" ", "_") for name in _IMAGENET_CATEGORIES], 1000) == list(range(1000))
    assert match(["banana", "my cat", "my dog"], 1000).outputs is None, "one name may be a coincidence"
    assert targets(["lemon", "banana"], 2) == [1, 0], "not of ImageNet's network"


@pytest.mark.parametrize(("names", "fits"), [(["0", "1", "417"], True), (["1001", "2"], False)])
def test_numbers_that_fit(names: list[str], fits: bool) -> None:
    matched = match(names, 1000)
    assert (matched.outputs is not None) == fits
    assert matched.rule == ("by number" if fits else "2 classes found (1001, 2); the network has 1000 outputs")


def test_a_mismatch_names_the_classes_found_and_needed() -> None:
    assert match(["train", "val"], 1000, WNIDS).rule == "2 classes found (train, val); the network has 1000 outputs"
    assert match(list("abcdef"), 3).rule == "6 classes found (a, b, c, d, …); the network has 3 outputs"
    assert (
        match(["a", "\x1b[31m"], 2, ["x", "y"]).rule
        == "2 classes found (\\x1b[31m, a); none is of the network's 2 (x, y)"
    )
    assert match([], 10).rule == "no folder, list or --labels names a class; the network has 10 outputs"
    assert match(["a"], None).rule == "the network gives no class scores"


def test_names_of_the_network() -> None:
    assert targets(["dog", "cat"], 3, ["cat", "dog", "owl"]) == [1, 0]
    some = match(["dog", "cow"], 3, ["cat", "dog", "owl"])
    assert some.notes == ["1 of 2 classes are not the network's (cow): their images have no label"]
    assert targets(["2", "0"], 3, ["cat", "dog", "owl"]) == [2, 0], "numbers, where no name fits"


folder_names = st.lists(
    st.from_regex(r"[A-Za-z]{0,2}[0-9]{0,3}[a-z]?", fullmatch=True).filter(bool), min_size=2, max_size=9, unique=True
)


@given(folder_names)
@settings(max_examples=50, deadline=None)
def test_orders_are_torchvisions_and_timms(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(names, key=timm_key)
    matched = match(names, len(names))
    orders = [matched.outputs, *matched.orders.values()]
    labels = label_images([os.fsencode(name) for name in names])
    by_characters = np.full(len(labels.class_ids), -1)
    for output, name in enumerate(sorted(names)):
        by_characters[labels.source_names[name]] = output
    assert all(order is not None and (order[list(labels.source_names.values())] >= 0).all() for order in orders), (
        "every class has an output in every order"
    )
    if matched.rule == "in the order of their names":
        np.testing.assert_array_equal(matched.outputs, by_characters)
        assert bool(matched.notes) == (sorted(names) != sorted(names, key=timm_key))


def test_numeric_folders_where_torchvision_and_timm_differ(tmp_path: Path) -> None:
    names = [str(number) for number in range(12)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    torchvision = find_classes(tmp_path)[1]
    matched = match(names, 12)
    assert matched.outputs is not None
    assert matched.outputs.tolist() == [sorted(names, key=timm_key).index(name) for name in names]
    other = matched.orders["sorted by characters, as torchvision's ImageFolder does"]
    assert other.tolist() == [torchvision[name] for name in names]
    assert len(matched.notes) == 1
    assert "class 10 is output 10" in matched.notes[0]
    assert f"makes it output {torchvision['10']}" in matched.notes[0]
    assert not match([f"{number:02d}" for number in range(12)], 12).notes, "with leading zeros there is one order"
    assert not match(names, 1000, WNIDS).notes
    from_one = match([str(number) for number in range(1, 13)], 12)
    assert from_one.rule == "by number, counted from 1"
    assert targets([str(number) for number in range(1, 13)], 12) == list(range(12))
    assert "class 1 is output 0" not in from_one.notes[0]
    assert targets(["12", "3"], 12) == [11, 2]
    assert match(["3", "10"], 12).orders["counted from 1"][[3, 10]].tolist() == [2, 9]
