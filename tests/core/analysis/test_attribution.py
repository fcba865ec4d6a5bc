"""The facts of attribution maps, image by image."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from shapebias.core.analysis.attribution import Attributions, ModelMap, is_control, title_of
from shapebias.core.analysis.by_image import ImageName
from shapebias.core.pictures.tiles import Photo
from shapebias.core.store.errors import StoreError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from tests.support.attribution_store import CONSTANT, IMAGES, UNMEASURED, add_attribution

PATHS = [f"class{image // 5}/image{image % 5}.{'png' if image % 5 % 2 == 0 else 'jpg'}" for image in IMAGES]


@pytest.fixture
def mapped_store(store_copy: Path) -> Path:
    add_attribution(store_copy)
    group = zarr.open_group(store_copy, mode="r+")["models/Tiny/attribution"]
    methods = group.attrs["methods"]
    methods[1]["settings"] = {"masks": 500, "p": 0.5}
    methods[2] |= {"fallback": "grad-cam", "name": "later-method"}
    group.attrs.update({"methods": methods, "left_out": {"cam": "it has no average pooling"}})
    maps = store_copy / "models/Tiny/attribution/maps"
    (maps / "grad-cam").rename(maps / "later-method")
    group["gap"][1, 0] = 0.0123
    return store_copy


def test_images_and_methods_in_order(mapped_store: Path) -> None:
    attributions = Attributions(open_store(mapped_store))
    assert [image.path for image in attributions.images] == PATHS
    assert attributions.images[2] == ImageName(PATHS[2], "class1", False)
    assert attributions.methods == ["gradient", "rise", "center", "later-method"], "those of later versions come last"
    assert [attributions.is_signed(method) for method in attributions.methods] == [True, False, False, False]
    assert attributions.target_rule("Tiny") == "label"
    assert attributions.has(ImageName(PATHS[0], "", False))
    assert not attributions.has(ImageName("class0/image1.jpg", "", False))
    assert not attributions.has(ImageName(PATHS[0], "", True)), "a cue-conflict image of the same name"


def test_what_is_said_of_a_map(mapped_store: Path) -> None:
    store = open_store(mapped_store)
    attributions, stored = Attributions(store), store.attribution("Tiny")
    assert stored is not None

    def only(row: int, method: str) -> ModelMap:
        (photo,) = attributions.photos(PATHS[row])
        assert photo == Photo("Tiny", IMAGES[row])
        return attributions.map_of(photo, method)

    rise = only(0, "rise")
    assert (rise.problem, rise.settings_text) == ("", "masks 500, p 0.5")
    assert rise.remark == "completeness gap 1.23%"
    assert rise.output == f"class{int(stored.target[0])}"
    assert rise.probability == stored.probability[0]
    assert only(1, "rise").remark == ""
    assert only(1, "later-method").remark == "by Grad-CAM instead"
    assert only(CONSTANT, "gradient").remark == "no evidence: the map is constant"
    assert only(1, "cam").remark == "left out: it has no average pooling"
    assert only(1, "mp").remark == "not measured"
    nothing = only(UNMEASURED, "gradient")
    assert (nothing.output, nothing.remark) == ("", "not explained: no output is right")
    assert math.isnan(nothing.probability)


def test_a_map_that_can_hardly_be_seen_beside_another(mapped_store: Path) -> None:
    other = Path(shutil.copytree(mapped_store, mapped_store.parent / "b.zarr"))
    zarr.open_group(other, mode="r+")["models/Tiny/attribution/scale"][:] *= 0.05
    attributions = Attributions(open_stores([mapped_store, other]))
    for method, said in (("gradient", "largest value 5.0% of Tiny's"), ("rise", "")):
        strong, weak = (attributions.map_of(photo, method) for photo in attributions.photos(PATHS[1]))
        assert strong.faintness([strong, weak]) == ""
        assert weak.faintness([strong, weak]) == said, "rise has no sign"
        assert weak.faintness([weak]) == ""
    constant, _ = (attributions.map_of(photo, "gradient") for photo in attributions.photos(PATHS[CONSTANT]))
    assert constant.faintness([constant, strong]) == ""


def test_a_map_of_nan(mapped_store: Path) -> None:
    zarr.open_group(mapped_store, mode="r+")["models/Tiny/attribution/scale"][1, 4] = np.nan
    one = Attributions(open_store(mapped_store)).map_of(Photo("Tiny", IMAGES[4]), "rise")
    assert one.problem == "not measured: its values are NaN or infinite"


def test_joined_stores_have_an_image_once(small_store: Path, mapped_store: Path) -> None:
    attributions = Attributions(open_stores([small_store, mapped_store]))
    assert [image.path for image in attributions.images] == PATHS
    assert attributions.without(PATHS[0]) == ["Tiny"]
    assert attributions.without("elsewhere") == ["Tiny", "Tiny@copy"]
    assert attributions.photos(PATHS[1]) == [Photo("Tiny@copy", IMAGES[1])], "by its number in the model's own store"
    twice = Attributions(
        open_stores([mapped_store, Path(shutil.copytree(mapped_store, mapped_store.parent / "b.zarr"))])
    )
    assert [image.path for image in twice.images] == PATHS
    assert [photo.model for photo in twice.photos(PATHS[1])] == ["Tiny", "Tiny@b"]


def test_a_store_without_attribution(small_store: Path) -> None:
    attributions = Attributions(open_store(small_store))
    assert (attributions.images, attributions.methods) == ([], [])
    assert attributions.without(PATHS[0]) == ["Tiny"]


def test_damage_is_said(mapped_store: Path) -> None:
    zarr.open_group(mapped_store, mode="r+")["models/Tiny/attribution"].attrs["left_out"] = ["cam"]
    with pytest.raises(StoreError, match="damaged"):
        Attributions(open_store(mapped_store))


def test_titles() -> None:
    assert title_of("grad-cam") == "Grad-CAM"
    assert title_of("later-method") == "later-method"
    assert is_control("random")
    assert not is_control("rise")
    assert not is_control("later-method")
