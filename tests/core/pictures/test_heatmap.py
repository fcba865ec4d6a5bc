"""Heat over images, against a few pixels that can be worked out by hand."""

import numpy as np
import pytest
from PIL import Image

from shapebias.core.pictures import heatmap
from shapebias.core.pictures.heatmap import heat_scale, heat_tile

GREY = 100
OPAQUE = heatmap._OPAQUE


def photo(side: int = 32) -> Image.Image:
    return Image.new("RGB", (side, side), (GREY, GREY, GREY))


def over_grey(colour: tuple[int, ...], opacity: float) -> np.ndarray:
    return GREY * (1 - opacity) + np.array(colour) * opacity


def test_signed_maps_have_two_colours() -> None:
    values = np.array([[1.0, -1.0], [0.0, 0.5]], np.float32)
    tile = np.asarray(heat_tile(photo(), values, scale=1.0, signed=True), float)
    assert np.abs(tile[0, 0] - over_grey((213, 94, 0), OPAQUE)).max() <= 1
    assert np.abs(tile[0, -1] - over_grey((0, 114, 178), OPAQUE)).max() <= 1
    assert np.abs(tile[-1, 0] - GREY).max() <= 1
    assert np.abs(tile[-1, -1] - over_grey((213, 94, 0), OPAQUE / 2)).max() <= 1


def test_unsigned_maps_go_from_nothing_over_red_to_yellow() -> None:
    values = np.array([[0.0, 2.0], [1.0, 4.0]], np.float32) + 7
    tile = np.asarray(heat_tile(photo(), values, scale=4.0, signed=False), float)
    assert np.abs(tile[0, 0] - GREY).max() <= 1
    assert np.abs(tile[-1, 0] - over_grey((230, 0, 0), OPAQUE / 2)).max() <= 1
    assert np.abs(tile[0, -1] - over_grey((230, 0, 0), OPAQUE)).max() <= 1
    assert np.abs(tile[-1, -1] - over_grey((255, 240, 0), OPAQUE)).max() <= 1


def test_colours_end_at_the_scale() -> None:
    values = np.array([[3.0, -3.0], [9.0, 0.0]], np.float32)
    clipped = np.clip(values, -3, 3)
    for signed in (True, False):
        values, clipped = (np.maximum(array, 0) if not signed else array for array in (values, clipped))
        tiles = [heat_tile(photo(2), array, scale=3.0, signed=signed) for array in (values, clipped)]
        assert tiles[0].tobytes() == tiles[1].tobytes()


def test_upsampling_is_bilinear_as_pytorch_does() -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).uniform(0, 0.5, (5, 7)).astype(np.float32)
    values[2, 3] = 0
    expected = torch.nn.functional.interpolate(torch.tensor(values)[None, None], (35, 56), mode="bilinear")[0, 0]
    tile = np.asarray(heat_tile(Image.new("RGB", (56, 35)), values, scale=1.0, signed=False), float)
    np.testing.assert_allclose(tile[..., 0], 230 * 2 * OPAQUE * expected.numpy(), atol=0.6)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("values", [None, np.zeros((4, 4), np.float32), np.full((4, 4), 0.3, np.float32)])
def test_no_evidence_is_no_heat(values: np.ndarray | None, signed: bool) -> None:
    tile = np.asarray(heat_tile(photo(96), values, scale=1.0, signed=signed))
    assert (tile[..., :1] == tile).all(), "grey"
    assert (tile[0] == GREY // 2).all()
    assert tile.max() > 200, "its text"


def test_a_scale_for_several_maps() -> None:
    rng = np.random.default_rng(0)
    small, large = (rng.normal(0, size, (40, 40)).astype(np.float32) for size in (1, 3))
    assert heat_scale([small, large], signed=True) == pytest.approx(np.quantile(np.abs(large), 0.99))
    raised = heat_scale([small, large + 10], signed=False)
    assert raised == pytest.approx(np.quantile(large - large.min(), 0.99), rel=1e-5)
    sparse = np.zeros((40, 40), np.float32)
    sparse[3, 3] = -7
    assert heat_scale([sparse], signed=True) == 7
    assert heat_scale([np.full((4, 4), 2, np.float32)], signed=True) == heat_scale([], signed=True) == 0


def test_without_colours_white_is_for_and_black_against() -> None:
    values = np.array([[1.0, -1.0], [0.0, 0.5]], np.float32)
    tile = np.asarray(heat_tile(photo(), values, scale=1.0, signed=True, coloured=False), float)
    ground = 128 + heatmap._PALE * (GREY - 128)
    assert (tile == tile[..., :1]).all(), "grey"
    for (y, x), heat, end in (((0, 0), 1, 255), ((0, -1), 1, 0), ((-1, 0), 0, 0), ((-1, -1), 0.5, 255)):
        assert abs(tile[y, x, 0] - (ground * (1 - heat * OPAQUE) + end * heat * OPAQUE)) <= 1
    rising = np.asarray(heat_tile(photo(), np.maximum(values, 0), scale=1.0, signed=False, coloured=False), float)
    assert np.array_equal(rising[-1], tile[-1])


def test_shares_of_the_scale() -> None:
    values = np.array([[1.0, -4.0], [0.5, 0.0]], np.float32)
    assert heatmap.relative_heat(values, 2.0, True).tolist() == [[0.5, -1.0], [0.25, 0.0]]
    assert heatmap.relative_heat(values, 5.0, False).tolist() == [[1.0, 0.0], pytest.approx([0.9, 0.8])]
    assert not heatmap.relative_heat(np.full((2, 2), 3.0, np.float32), 1.0, True).any()
    assert not heatmap.relative_heat(values, 0.0, True).any()
