"""Sixel strings against a decoder written here, from the VT340 manual."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from shapebias.core.pictures.sixel import (
    _AGAIN,
    _BYTE,
    _NEW,
    MAX_SIDE,
    _choose_palettes,
    encode_coarse,
    encode_tiles,
    encode_within,
)

RNG = np.random.default_rng(0)
TOKEN = re.compile(rb'"(\d+);(\d+);(\d+);(\d+)|#(\d+)(?:;2;(\d+);(\d+);(\d+))?|(?:!(\d+))?([?-~])|(\$)|(-)')


def decode(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The picture, float [H, W, 3] in 0..255, and how often each pixel was painted; larger than what it should be, so
    that paint outside shows. Every byte must belong to a token; a colour must be defined before it is used."""
    start = re.match(rb"\x1bP([0-9;]*)q", data)
    assert start is not None, data[:20]
    assert data.endswith(b"\x1b\\")
    body = data[start.end() : -2]
    assert b"\x1b" not in body
    size = re.match(rb'"1;1;(\d+);(\d+)', body)
    assert size is not None, body[:20]
    width, height = int(size[1]), int(size[2])
    picture = np.zeros((height + 12, width + 12, 3))
    painted = np.zeros(picture.shape[:2], int)
    colours: dict[int, np.ndarray] = {}
    colour, x, y, at = -1, 0, 0, 0
    while at < len(body):
        token = TOKEN.match(body, at)
        assert token is not None, body[at : at + 20]
        at = token.end()
        if token[5] is not None:
            colour = int(token[5])
            if token[6] is not None:
                percent = np.array([int(token[index]) for index in (6, 7, 8)])
                assert percent.max() <= 100
                colours[colour] = percent * 2.55
            assert colour in colours
        elif token[10] is not None:
            run, mask = int(token[9] or 1), token[10][0] - 63
            for row in range(6):
                if mask >> row & 1:
                    assert x + run <= width + 12
                    picture[y + row, x : x + run] = colours[colour]
                    painted[y + row, x : x + run] += 1
            x += run
        elif token[11] is not None:
            x = 0
        elif token[12] is not None:
            x, y = 0, y + 6
    return picture, painted


def check(tile: np.ndarray, data: bytes) -> np.ndarray:
    """Return the decoded picture; every one of its pixels must be painted, and nothing else."""
    height, width, _ = tile.shape
    assert b'"1;1;%d;%d' % (width, height) in data
    picture, painted = decode(data)
    assert (painted[:height, :width] > 0).all()
    assert (painted[height:] == 0).all()
    assert (painted[:, width:] == 0).all()
    return picture[:height, :width]


def photo(width: int, height: int) -> np.ndarray:
    """Smooth, with an edge: as kind to a small palette as most photos."""
    coarse = Image.fromarray(RNG.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    tile = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))
    tile[height // 2 :, : width // 3] //= 2
    return tile


@pytest.mark.parametrize("width", [1, 2, 5, 6, 7, 33, 128])
@pytest.mark.parametrize("height", [1, 2, 5, 6, 7, 12, 35, 128])
def test_every_pixel_is_painted_and_nothing_outside(width: int, height: int) -> None:
    for tile in (photo(width, height), RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)):
        check(tile, encode_tiles(tile[None])[0])


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (18, 200, 77)])
def test_a_flat_tile_has_its_colour(colour: tuple[int, int, int]) -> None:
    tile = np.tile(np.array(colour, np.uint8), (20, 31, 1))
    picture = check(tile, encode_tiles(tile[None])[0])
    assert np.abs(picture - tile).max() <= 1.3  # sixel counts in percent


def test_two_colours_stay_two() -> None:
    tile = np.zeros((30, 30, 3), np.uint8)
    tile[(np.indices((30, 30)).sum(0) // 4) % 2 == 1] = (255, 128, 0)
    picture = check(tile, encode_tiles(tile[None])[0])
    assert np.abs(picture - tile).max() <= 1.3


def pillow_error(tile: np.ndarray, colours: int) -> float:
    quantized = Image.fromarray(tile).quantize(colours, kmeans=4, dither=Image.Dither.NONE).convert("RGB")
    return float(np.abs(np.asarray(quantized, float) - tile).mean())


def test_a_photo_is_about_as_near_as_with_pillows_palette() -> None:
    tile = photo(128, 128)
    for colours, limit in ((16, 1.4), (64, 1.8)):
        mine = np.abs(check(tile, encode_tiles(tile[None], colours=colours)[0]) - tile).mean()
        assert mine < limit * pillow_error(tile, colours)
    grey = np.repeat(tile[:, :, :1], 3, axis=2)
    assert np.abs(check(grey, encode_tiles(grey[None])[0]) - grey).mean() < 6


def test_no_pixel_is_farther_from_its_colour_than_the_bytes_are_worth() -> None:
    tile = photo(42, 29)
    picture = check(tile, encode_tiles(tile[None])[0])
    palettes, error = _choose_palettes(tile[None], 16)
    nearest = np.square(tile.reshape(-1, 1, 3) - palettes[0]).sum(2).min(1)
    mine = np.square(tile.astype(float) - picture).sum(2).ravel()
    worth = _BYTE * float(error[0]) * (_NEW - _AGAIN)
    assert (np.sqrt(mine) <= np.sqrt(nearest + worth) + 3).all()  # the decoder's palette is of whole percents
    assert (np.sqrt(mine) > np.sqrt(nearest) + 3).mean() > 0.02  # and bytes are saved


def test_tiles_do_not_depend_on_their_neighbours() -> None:
    tiles = np.stack([photo(64, 50) for _ in range(25)])  # more than are encoded together
    together = encode_tiles(tiles)
    assert together == [encode_tiles(tile[None])[0] for tile in tiles]


def test_fewer_colours_make_shorter() -> None:
    tile = photo(96, 96)[None]
    assert len(encode_tiles(tile, colours=8)[0]) < len(encode_tiles(tile, colours=32)[0])


def test_the_largest_tile_and_one_that_is_too_large() -> None:
    tile = photo(MAX_SIDE, 13)
    check(tile, encode_tiles(tile[None])[0])
    check(tile.transpose(1, 0, 2), encode_tiles(tile.transpose(1, 0, 2)[None])[0])
    with pytest.raises(ValueError, match="1001"):
        encode_tiles(np.zeros((1, 3, MAX_SIDE + 1, 3), np.uint8))


def test_no_tiles() -> None:
    assert encode_tiles(np.zeros((0, 6, 6, 3), np.uint8)) == []


@settings(deadline=None, max_examples=60)
@given(
    tiles=arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20), st.just(3))),
    colours=st.sampled_from([2, 3, 16, 64]),
)
def test_any_tiles_are_painted_completely(tiles: np.ndarray, colours: int) -> None:
    encoded = encode_tiles(tiles, colours)
    assert len(encoded) == len(tiles)
    for tile, data in zip(tiles, encoded, strict=True):
        picture = check(tile, data)
        if len(np.unique(tile.reshape(-1, 3), axis=0)) == 1:
            assert np.abs(picture - tile).max() <= 3  # an unused palette entry may be as near


@pytest.mark.parametrize("limit", [30_000, 50_000, 75_000])
def test_tiles_together_keep_within_the_limit_and_use_it(limit: int) -> None:
    tiles = np.stack([photo(96, 96) for _ in range(23)])
    tiles[::3] = tiles[::3] // 32 * 8  # some are much shorter than others
    encoded = encode_within(tiles, limit)
    assert 0.6 * limit < sum(map(len, encoded)) <= limit
    for tile, data in zip(tiles, encoded, strict=True):
        check(tile, data)
    with ThreadPoolExecutor(2) as hands:
        assert encode_within(tiles, limit, hands.map) == encoded


def test_a_wrong_guess_is_put_right() -> None:
    tiles = np.stack([photo(96, 96) for _ in range(9)])
    assert sum(map(len, encode_within(tiles, 40_000, expected=10_000))) <= 40_000
    assert sum(map(len, encode_within(tiles[:1], 4_000, expected=1_000))) <= 4_000
    assert encode_within(tiles[:0], 1000) == []


def test_where_the_fewest_colours_are_too_long_they_are_sent_and_coarse_ones_are_squares() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (4, 60, 60, 3), dtype=np.uint8)
    assert sum(map(len, encode_within(tiles, 100))) > 100
    coarse = encode_coarse(tiles, 4_000)
    assert sum(map(len, coarse)) <= 4_000
    for tile, data in zip(tiles, coarse, strict=True):
        squares = check(tile, data).reshape(10, 6, 10, 6, 3)
        assert (squares == squares[:, :1, :, :1]).all()


def test_a_small_part_of_a_large_tile_keeps_its_colour() -> None:
    tile = np.repeat(photo(600, 600)[..., :1], 3, axis=2)
    tile[100:124, 300:324] = (20, 30, 250)
    picture = check(tile, encode_tiles(tile[None], colours=64)[0])
    assert np.abs(picture[100:124, 300:324] - (20, 30, 250)).mean() < 20
