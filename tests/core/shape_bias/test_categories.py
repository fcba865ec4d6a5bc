"""Mapping files and the 16 categories: which classes belong to which category."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core import imagenet
from shapebias.core.errors import UsageError
from shapebias.core.shape_bias.categories import (
    identity_mapping,
    is_part_of_sixteen,
    known_categories,
    load_mapping,
    part_text,
    sixteen_classes,
)

IDS, NAMES = ["n1", "n2", "n3", "n4"], ["tabby", "poodle", "crane", "crane"]


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_sixteen_categories_are_the_published_classes() -> None:
    mapping = sixteen_classes()
    assert len(mapping) == 16
    names = imagenet.class_names()
    assert [names[index] for index in mapping["elephant"]] == ["Indian elephant", "African elephant"]
    assert [imagenet.wnids()[index] for index in mapping["knife"]] == ["n03041632"]  # WordNet: cleaver
    used = [index for classes in mapping.values() for index in classes]
    assert len(used) == len(set(used)) == 207
    assert all(0 <= index < 1000 for index in used)


def test_classes_that_are_categories_map_to_themselves() -> None:
    assert identity_mapping(["circle", "star"]) == {"circle": [0], "star": [1]}


def test_a_network_of_few_classes_has_some_of_the_sixteen_categories() -> None:
    cifar = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    mapping = known_categories(cifar)
    assert mapping == {"airplane": [0], "bird": [2], "boat": [8], "car": [1], "cat": [3], "dog": [5], "truck": [9]}
    assert list(mapping) == [category for category in sixteen_classes() if category in mapping]
    assert part_text(mapping, cifar) == (
        "7 of the 16 categories (airplane, bird, boat: ship, car: automobile, cat, dog, truck), chance 14.3%"
    )
    assert is_part_of_sixteen(list(mapping))
    assert not is_part_of_sixteen(list(sixteen_classes()))
    assert not is_part_of_sixteen(["circle", "cat"])
    assert known_categories(["Bike", "BICYCLE", "lorry"]) == {"bicycle": [0, 1], "truck": [2]}


def test_classes_are_named_by_id_name_or_index(tmp_path: Path) -> None:
    path = write(tmp_path / "map.json", {"cat": ["n1"], "dog": ["poodle"], "polar bear": [2, "n4"]})
    assert load_mapping(path, IDS, NAMES) == {"cat": [0], "dog": [1], "polar bear": [2, 3]}


@given(st.permutations(range(8)), st.integers(1, 7), st.data())
def test_any_partition_comes_back(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cut: int, data: st.DataObject
) -> None:
    ids, names = [f"id{index}" for index in range(8)], [f"name{index}" for index in range(8)]
    mapping = {"one": order[:cut], "two": order[cut:]}
    ways = (lambda index: index, lambda index: ids[index], lambda index: names[index])
    said = {name: [data.draw(st.sampled_from(ways))(index) for index in outputs] for name, outputs in mapping.items()}
    path = write(tmp_path_factory.getbasetemp() / "partition.json", said)
    assert load_mapping(path, ids, names) == mapping


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not a mapping"),
        ("[" * 100_000, "is not a mapping"),
        ([1], "is not a mapping"),
        ({}, "at least 2 categories"),
        ({"cat": ["n1"]}, "at least 2 categories"),
        ('{"cat": ["n1"], "cat": ["n2"], "dog": ["n3"]}', "2 times"),
        ({"cat1": ["n1"], "dog": ["n2"]}, "is not letters"),
        ({"c_t": ["n1"], "dog": ["n2"]}, "is not letters"),
        ({"\x1b[31m": ["n1"], "dog": ["n2"]}, "is not letters"),
        ({"cat": [], "dog": ["n2"]}, "needs a list"),
        ({"cat": "n1", "dog": ["n2"]}, "needs a list"),
        ({"cat": ["n9"], "dog": ["n2"]}, "no class n9"),
        ({"cat": ["tabbi"], "dog": ["n2"]}, "did you mean tabby?"),
        ({"cat": ["crane"], "dog": ["n2"]}, "names 2 classes"),
        ({"cat": [4], "dog": ["n2"]}, "0 to 3"),
        ({"cat": [-1], "dog": ["n2"]}, "0 to 3"),
        ({"cat": [True], "dog": ["n2"]}, "not a class id"),
        ({"cat": [None], "dog": ["n2"]}, "not a class id"),
        ({"cat": ["n1", "tabby"], "dog": ["n2"]}, "class 0 (tabby) is listed 2 times"),
        ({"cat": ["n1"], "dog": ["n2", 0]}, "listed 2 times"),
    ],
)
def test_a_mapping_of_another_form_is_one_line(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(UsageError) as error:
        load_mapping(write(tmp_path / "map.json", content), IDS, NAMES)
    assert said in str(error.value)
    assert "map.json" in str(error.value)
    assert str(error.value).isprintable()


def test_a_mapping_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_mapping(tmp_path / "none.json", IDS, NAMES)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UsageError, match="is not a mapping"):
        load_mapping(tmp_path / "bytes.json", IDS, NAMES)
