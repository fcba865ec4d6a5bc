"""Attribution in a store: read back, absent, joined, and damaged."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core.analysis.verify import verify_store
from shapebias.core.store.errors import StoreError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from tests.support.attribution_store import CONSTANT, IMAGES, METHODS, UNMEASURED, add_attribution
from tests.support.damaged_store import attributes

PATH = "models/Tiny/attribution"


def test_maps_are_read(store_copy: Path) -> None:
    raw = add_attribution(store_copy)
    attribution = open_store(store_copy).attribution("Tiny")
    assert attribution is not None
    assert list(attribution.methods) == list(METHODS)
    assert [attribution.row(image) for image in (0, 1, 12, 49, 50)] == [0, None, 3, 5, None]
    assert (attribution.images.target_rule, attribution.images.requested) == ("label", len(IMAGES))
    assert (attribution.target[UNMEASURED], attribution.target[0] >= 0) == (-1, True)
    for name, [maps] in raw.items():
        facts = attribution.methods[name]
        for row in range(len(IMAGES)):
            values = attribution.map(name, row)
            if row == UNMEASURED:
                assert values is None
                continue
            assert values is not None
            assert (values.dtype, values.shape) == (np.float32, (facts.height, facts.width))
            scale = attribution.scale_of(name, row)
            np.testing.assert_allclose(values, maps[row], rtol=0, atol=max(scale, 1e-9) / 2000)
            assert scale == np.abs(maps[row]).max()
            assert (scale == 0) == (name == "gradient" and row == CONSTANT)
        assert np.isnan(attribution.gap_of(name, 0))


def test_a_store_without_it(small_store: Path) -> None:
    assert open_store(small_store).attribution("Tiny") is None


def test_joined_stores_count_images_on(small_store: Path, store_copy: Path) -> None:
    add_attribution(store_copy)
    joined, single = open_stores([small_store, store_copy]), open_store(store_copy)
    own, alone = joined.attribution("Tiny@copy"), single.attribution("Tiny")
    assert own is not None
    assert alone is not None
    assert joined.attribution("Tiny") is None
    assert own.row(50 + IMAGES[1]) == 1
    assert own.row(IMAGES[1]) is None
    assert joined.image_name(int(own.image[1])) == single.image_name(IMAGES[1])
    np.testing.assert_array_equal(own.map("rise", 1), alone.map("rise", 1))


@pytest.mark.parametrize("change", ["name", "shape", "facts"])
def test_what_does_not_fit_is_a_damaged_store(store_copy: Path, change: str) -> None:
    add_attribution(store_copy)
    file = store_copy / PATH / "zarr.json"
    if change == "name":
        attributes(file, lambda facts: facts["methods"][0].update(name="../x"))
    elif change == "facts":
        attributes(file, lambda facts: facts["methods"][1].pop("signed"))
    else:
        attributes(file, lambda facts: facts["methods"].pop())
    with pytest.raises(StoreError, match=r"copy\.zarr is damaged at models/Tiny/attribution"):
        open_store(store_copy).attribution("Tiny")


def test_a_map_of_another_size_is_damage(store_copy: Path) -> None:
    add_attribution(store_copy)
    attributes(store_copy / PATH / "zarr.json", lambda facts: facts["methods"][0].update(height=31))
    attribution = open_store(store_copy).attribution("Tiny")
    assert attribution is not None
    with pytest.raises(StoreError, match="its shape is"):
        attribution.map("gradient", 0)


@pytest.mark.parametrize(
    ("path", "index", "value", "what"),
    [
        ("images/attribution/image", (1,), 77, "where 0 to 49 is possible"),
        ("images/attribution/image", (1,), 9, "not in ascending order"),
        (f"{PATH}/target", (1,), -2, "where -1 is possible"),
        (f"{PATH}/target", (1,), -1, ""),
        (f"{PATH}/probability", (0,), 1.5, "is possible"),
        (f"{PATH}/probability", (0,), np.nan, "probabilities are NaN where there are targets"),
        (f"{PATH}/scale", (1, 1), -0.5, "a scale is negative"),
        (f"{PATH}/scale", (1, UNMEASURED), 0.5, "a scale is negative"),
        (f"{PATH}/maps/rise", (2, 1, 1), 1.5, "the map of row 2 is up to 1.5"),
        (f"{PATH}/maps/gradient", (CONSTANT, 1, 1), 0.25, "the map of row 2 is up to 0.25, its scale 0"),
    ],
)
def test_verify_names_numbers_that_cannot_be(
    store_copy: Path, path: str, index: tuple[int, ...], value: float, what: str
) -> None:
    add_attribution(store_copy)
    shutil.rmtree(store_copy / "manifest")
    assert not verify_store(store_copy).wrong
    zarr.open_group(store_copy, mode="r+")[path][index] = value
    wrong = verify_store(store_copy).wrong
    assert any(what in said for _, said in wrong), wrong
