"""Masks, crops and grids against NumPy."""

import io
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from shapebias.core.pictures import tiles as grid
from shapebias.core.pictures.heatmap import heat_scale, heat_tile
from shapebias.core.pictures.tiles import (
    BACKGROUND,
    AttributionMaps,
    Photo,
    UnitImage,
    View,
    compose,
    subject_tiles,
    unit_tiles,
)
from shapebias.core.store.errors import StoreError
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store, Unit
from tests.support.attribution_store import IMAGES, add_attribution

SIDE = 32  # of the tiny network's input, and of its thumbnails


@pytest.fixture(scope="module")
def store(small_store: Path) -> Store:
    return open_store(small_store)


UNITS = [("block1", 3), ("block2", 20), ("block3", 0), ("block3", 32)]


def thumbnail(store: Store, image: int) -> Image.Image:
    return Image.open(io.BytesIO(store.thumbnail("Tiny", image))).convert("RGB")


def bilinear(values: np.ndarray, size: int) -> np.ndarray:
    """Upsampling with half-pixel centres, edges repeated: PyTorch's interpolate(align_corners=False)."""

    def along(axis: int, array: np.ndarray) -> np.ndarray:
        cells = array.shape[axis]
        position = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, cells - 1)
        weight = (position - low).reshape([-1 if dimension == axis else 1 for dimension in range(array.ndim)])
        return np.take(array, low, axis) * (1 - weight) + np.take(array, high, axis) * weight

    return along(1, along(0, values.astype(float)))


@pytest.mark.parametrize(("layer", "index"), UNITS)
def test_whole_tiles_are_the_top_images_in_order(store: Store, layer: str, index: int) -> None:
    unit = Unit("Tiny", layer, index)
    tiles = unit_tiles(store, unit, 4, SIDE, View.WHOLE)
    for tile, image in zip(tiles, store.top(unit).image[:4], strict=True):
        np.testing.assert_array_equal(np.asarray(tile), np.asarray(thumbnail(store, int(image))))


@pytest.mark.parametrize(("layer", "index"), UNITS)
def test_one_image_is_shown_whole_by_its_map_and_masked(store: Store, layer: str, index: int) -> None:
    unit = Unit("Tiny", layer, index)
    top = store.top(unit)
    whole, heat = subject_tiles(store, UnitImage(unit, 1), 24, 96, View.CROP)
    level = np.rint(bilinear(top.map[1], 96))[..., None]
    bands = np.clip(3 * level - [0, 255, 510], 0, 255)
    expected = (1 - grid._HEAT) * np.asarray(whole.convert("L"), float)[..., None] + grid._HEAT * bands
    line = (np.asarray(heat) == grid._LINE).all(2)
    assert np.abs(np.asarray(heat, float) - expected)[~line].max() <= 4
    masked = np.asarray(unit_tiles(store, unit, 2, 96, View.MASK)[1])
    drawn = (masked == grid._LINE).all(2)
    assert (drawn == line).all(), "the line is the same in both views"
    inside = (masked == np.asarray(whole)).all(2) | drawn
    beside = np.zeros_like(inside)
    beside[1:] |= ~inside[:-1]
    beside[:, 1:] |= ~inside[:, :-1]
    black = (np.asarray(whole) == 0).all(2)
    assert not (inside & ~black & beside & ~line)[1:-1, 1:-1].any(), "all of its edge is drawn"
    assert len(subject_tiles(store, UnitImage(unit, 0), 1, 96, View.CROP)) == 1
    assert subject_tiles(store, UnitImage(unit, 6), 3, 96, View.CROP) == []


def test_a_photo_is_the_thumbnail(store: Store) -> None:
    image = int(store.top(Unit("Tiny", "block1", 0)).image[0])
    [tile] = subject_tiles(store, Photo("Tiny", image), 1, SIDE, View.MASK)
    np.testing.assert_array_equal(np.asarray(tile), np.asarray(thumbnail(store, image)))


def test_no_more_tiles_than_top_images(store: Store) -> None:
    assert len(unit_tiles(store, Unit("Tiny", "block1", 0), 100, 20, View.MASK)) == 6


@pytest.mark.parametrize(("layer", "index"), UNITS)
def test_the_mask_is_the_upsampled_map_above_the_threshold(store: Store, layer: str, index: int) -> None:
    size = 96
    unit = Unit("Tiny", layer, index)
    top = store.top(unit)
    quantile = float(store.metric("Tiny", layer, "q995")[index])
    whole = unit_tiles(store, unit, 6, size, View.WHOLE)
    masked = unit_tiles(store, unit, 6, size, View.MASK)
    for rank, (bright, tile) in enumerate(zip(whole, masked, strict=True)):
        activation = bilinear(top.map[rank], size) / 255 * max(float(top.value[0]), 0)
        margin = 1.5 / 255 * abs(float(top.value[0]))  # maps have 256 levels, and so has their upsampling
        original, drawn = np.asarray(bright, int), np.asarray(tile, int)
        inside, outside = activation > quantile + margin, activation < quantile - margin
        if quantile < 0:  # maps keep nothing below 0
            outside &= False
        line = (drawn == grid._LINE).all(2)
        assert not (line & outside).any(), "the line is within where the unit fires"
        np.testing.assert_array_equal(drawn[inside & ~line], original[inside & ~line])
        dimmed = np.rint(grid._DIMMED * original)
        assert np.abs(drawn - dimmed)[outside].max(initial=0) <= 1


@pytest.mark.parametrize(("layer", "index"), UNITS)
def test_crops_are_of_the_top_images_around_the_maximum(store: Store, layer: str, index: int) -> None:
    unit = Unit("Tiny", layer, index)
    top = store.top(unit)
    info = store.layers("Tiny")[layer]
    side = min(SIDE, max(16, 8 * SIDE / info.map_height))
    for rank, tile in enumerate(unit_tiles(store, unit, 3, 64, View.CROP)):
        y, x = (top.position[rank] + 0.5) * SIDE / [info.map_height, info.map_width]
        left, upper = (float(np.clip(centre - side / 2, 0, SIDE - side)) for centre in (x, y))
        box = (left, upper, left + side, upper + side)
        expected = thumbnail(store, int(top.image[rank])).resize((64, 64), Image.Resampling.BICUBIC, box=box)
        np.testing.assert_array_equal(np.asarray(tile), np.asarray(expected))


@pytest.mark.parametrize("extent", [(32, 32), (13, 9), (5, 8), (1, 1)])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_crop_shows_eight_cells_with_the_maximum_in_the_middle(extent: tuple[int, int], share: float) -> None:
    """The picture's red is x and its green is y."""
    height, width, size = 120, 100, 40
    y, x = np.indices((height, width))
    picture = Image.fromarray(np.stack([x * 2, y * 2, 0 * x], 2).astype(np.uint8))
    position = np.array([int(share * extent[0]), int(share * extent[1])], np.int32)
    cropped = np.asarray(grid._crop(picture, position, extent, size), float) / 2
    for axis, full, cells in ((0, height, extent[0]), (1, width, extent[1])):
        side = min(full, max(16, 8 * full / cells))
        start = np.clip((position[axis] + 0.5) * full / cells - side / 2, 0, full - side)
        expected = start + (np.arange(size) + 0.5) * side / size - 0.5
        along = cropped[:, :, 1].mean(1) if axis == 0 else cropped[:, :, 0].mean(0)
        assert np.abs(along - expected)[2:-2].max() < 1


def test_a_crop_of_the_whole_picture_is_the_whole_picture() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    crop = grid._crop(picture, np.array([1, 2], np.int32), (4, 4), 32)
    np.testing.assert_array_equal(np.asarray(crop), np.asarray(picture))


def test_a_crop_at_the_edge_stays_inside() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:16, 48:] = 200
    crop = grid._crop(Image.fromarray(pixels), np.array([0, 31], np.int32), (32, 32), 16)
    np.testing.assert_array_equal(np.asarray(crop), np.full((16, 16, 3), 200))


def test_a_dead_unit_has_no_bright_pixels() -> None:
    tile = Image.new("RGB", (20, 20), (100, 200, 250))
    masked = np.asarray(grid._masked(tile, np.zeros((4, 4), np.uint8), 255.0))
    np.testing.assert_allclose(masked[3, 4], np.array([100, 200, 250]) * grid._DIMMED, atol=0.5)
    assert (masked == masked[0, 0]).all()
    assert masked.max() == 150, "60 % of its brightness, and no line"


@pytest.mark.parametrize("gap", [0, 4])
@pytest.mark.parametrize("captions", [False, True])
def test_tiles_are_in_reading_order(gap: int, captions: bool) -> None:
    size, columns, rows = 12, 3, 2
    colours = [(40 * number, 255 - 40 * number, 7) for number in range(1, 6)]
    tiles = [Image.new("RGB", (size, size), colour) for colour in colours]
    texts = [str(number) for number in range(5)] if captions else []
    picture = np.asarray(compose(tiles, columns, rows, size, gap, captions=texts))
    step_x, step_y = size + gap, size + gap + (16 if captions else 0)
    assert picture.shape == (rows * step_y, columns * step_x, 3)
    covered = np.zeros(picture.shape[:2], bool)
    for number, colour in enumerate(colours):
        y, x = number // columns * step_y, number % columns * step_x
        assert (picture[y : y + size, x : x + size] == colour).all()
        covered[y : y + step_y, x : x + step_x] = True
    assert (picture[~covered] == BACKGROUND).all()
    if not captions and gap:
        assert (picture[:, size:step_x] == BACKGROUND).all()


def test_tiles_that_do_not_fit_are_left_out() -> None:
    tiles = [Image.new("RGB", (8, 8), (255, 255, 255))] * 9
    assert compose(tiles, 2, 2, 8, 0).size == (16, 16)


def test_a_caption_stays_below_its_tile() -> None:
    tiles = [Image.new("RGB", (60, 60))] * 2
    picture = np.asarray(compose(tiles, 2, 1, 60, 10, captions=["a very long caption " * 20, ""]))
    text = (picture != BACKGROUND).any(2)
    text[:60] = False
    assert text[:, :60].any()
    assert not text[:, 60:].any()


def test_views_go_round() -> None:
    seen = [View.CROP]
    for _ in range(3):
        seen.append(seen[-1].next)
    assert seen == [View.CROP, View.MASK, View.WHOLE, View.CROP]


def test_a_thumbnail_that_is_no_picture_is_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "thumbnail", lambda *_: b"no picture")
    with pytest.raises(StoreError, match="thumbnail"):
        unit_tiles(store, Unit("Tiny", "block1", 0), 1, 20, View.WHOLE)


@pytest.mark.parametrize("each_alone", [False, True])
@pytest.mark.parametrize(("method", "signed"), [("gradient", True), ("rise", False)])
def test_attribution_maps_are_beside_the_image(
    attributed_store: Path, store_copy: Path, method: str, signed: bool, each_alone: bool
) -> None:
    add_attribution(store_copy, seed=1)
    zarr.open_group(store_copy, mode="r+")["models/Tiny/attribution/scale"][:] *= 3
    store, raw = open_stores([attributed_store, store_copy]), {}
    photos = tuple(Photo(model, IMAGES[1]) for model in store.models)
    subject = AttributionMaps(method, signed, photos, each_alone=each_alone)
    for photo in photos:
        attribution = store.attribution(photo.model)
        assert attribution is not None
        raw[photo] = attribution.map(method, 1)
    picture = thumbnail(open_store(attributed_store), IMAGES[1]).resize((80, 80), Image.Resampling.BICUBIC)
    tiles = subject_tiles(store, subject, 3, 80, View.CROP)
    assert tiles[0] == picture
    for tile, values in zip(tiles[1:], raw.values(), strict=True):
        scale = heat_scale([values] if each_alone else list(raw.values()), signed)
        assert tile == heat_tile(picture, values, scale=scale, signed=signed)


def test_a_map_that_is_not_there_is_said(attributed_store: Path) -> None:
    store = open_store(attributed_store)
    for method, image in (("mp", IMAGES[0]), ("rise", 1)):
        _, tile = subject_tiles(store, AttributionMaps(method, False, (Photo("Tiny", image),)), 2, 80, View.CROP)
        picture = thumbnail(store, image).resize((80, 80), Image.Resampling.BICUBIC)
        assert tile == heat_tile(picture, None, scale=0.0, signed=False)
