"""Every distortion against a computation of its own: NumPy in float64, Pillow, SciPy, scikit-image."""

import io
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.feature import canny

from shapebias.core.errors import UsageError
from shapebias.precompute.images.distort import STANDARD, Distortion, generator, parse_distortion

KINDS = ["grey", "contrast", "noise", "blur", "low-pass", "high-pass", "jpeg", "shuffle", "mirror", "contour"]


def photo(height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    """Noise of a coarse and a fine scale."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((width, height))
    return np.clip(np.asarray(coarse) + random.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def flat(value: int, side: int = 128) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def changed(name: str, pixels: np.ndarray, path: bytes = b"a/b.png", seed: int = 0) -> np.ndarray:
    distortion = parse_distortion(name)
    result = distortion(pixels, generator(path, seed, distortion.kind))
    assert result.dtype == np.uint8
    assert result.shape == pixels.shape
    return result


# --- each kind -------------------------------------------------------------------------------------------------------


def test_grey_is_the_luminance() -> None:
    """ITU-R 601: 0.299 R + 0.587 G + 0.114 B."""
    pixels = photo()
    grey = changed("grey", pixels)
    assert (grey == grey[..., :1]).all()
    assert np.abs(grey[..., 0] - pixels @ np.array([0.299, 0.587, 0.114])).max() <= 0.51


@pytest.mark.parametrize("strength", [0, 0.25, 0.3, 0.999, 1])
def test_contrast_is_about_the_middle(strength: float) -> None:
    pixels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    exact = 127.5 + strength * (pixels.astype(np.float64) - 127.5)
    assert np.abs(changed(f"contrast-{strength}", pixels) - exact).max() <= 0.5 + 1e-4
    assert (changed("contrast-1", pixels) == pixels).all()


@pytest.mark.parametrize("std", [0.05, 0.1])
def test_noise_has_the_mean_and_the_deviation_that_it_says(std: float) -> None:
    noise = changed(f"noise-{std}", flat(128)).astype(np.float64) - 128
    expected = np.hypot(255 * std, 12**-0.5)  # rounding adds a uniform error of 1
    error = expected / np.sqrt(noise.size)
    assert abs(noise.mean()) < 4 * error
    assert abs(noise.std() - expected) < 4 * error
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 4 / 128, "each channel its own"


def test_noise_is_clipped() -> None:
    dark = changed("noise-0.2", flat(0)).astype(np.float64)
    light = changed("noise-0.2", flat(255)).astype(np.float64)
    assert 0.49 < (dark == 0).mean() < 0.52
    assert 0.49 < (light == 255).mean() < 0.52
    np.testing.assert_allclose(dark.mean(), 51 / np.sqrt(2 * np.pi), rtol=0.02)  # of a half normal distribution
    np.testing.assert_array_equal(changed("noise-0", photo()), photo())


def test_noise_of_another_strength_is_the_same_pattern_scaled() -> None:
    weak, strong = (changed(f"noise-{std}", flat(128)).astype(float) - 128 for std in (0.03, 0.09))
    assert np.abs(3 * weak - strong).max() <= 3 * 0.5 + 0.5 + 1e-3


@pytest.mark.parametrize("name", ["blur-1", "blur", "blur-4", "low-pass"])
@pytest.mark.parametrize("side", [64, 224])
def test_blur_is_near_a_true_gaussian(name: str, side: int) -> None:
    """Pillow repeats box filters, and repeats the edge as SciPy's mode nearest does: within 9 levels, 1 on average.

    The worst are blurs of a fraction of a pixel, of which there is little to see.
    """
    pixels = photo(side, side)
    sigma = parse_distortion(name).strength * side / 224
    exact = gaussian_filter(pixels.astype(np.float64), (sigma, sigma, 0), mode="nearest")
    error = np.abs(changed(name, pixels) - exact)
    assert error.mean() < 1
    assert error.max() < (9 if sigma < 0.5 else 6)


def test_blur_scales_with_the_image() -> None:
    """A blur of 8 at 224 px is one of 2 at 56 px."""
    pixels = np.zeros((56, 56, 3), np.uint8)
    pixels[28, 28] = 255
    exact = np.zeros((56, 56))
    exact[28, 28] = 255
    exact = gaussian_filter(exact, 2)
    assert np.abs(changed("blur-8", pixels)[..., 0] - exact).max() < 1.5
    np.testing.assert_array_equal(changed("blur-0", pixels), pixels)


@pytest.mark.parametrize("sigma", [2, 7])
def test_low_pass_and_high_pass_are_the_whole(sigma: int) -> None:
    pixels = photo()
    detail = changed(f"high-pass-{sigma}", pixels).astype(float) - 127.5
    whole = changed(f"low-pass-{sigma}", pixels) + detail
    unclipped = np.abs(detail) < 127
    assert unclipped.mean() > 0.9
    assert np.abs(whole - pixels)[unclipped].max() <= 0.5
    assert (np.abs(changed("high-pass", flat(31)) - 127.5) == 0.5).all(), "of nothing but one colour only grey is left"


@pytest.mark.parametrize("quality", [1, 10, 95])
def test_jpeg_is_pillows_round_trip(quality: int) -> None:
    pixels = photo()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="jpeg", quality=quality)
    np.testing.assert_array_equal(changed(f"jpeg-{quality}", pixels), np.asarray(Image.open(file)))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 67), (31, 40)])
@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_shuffle_moves_every_patch_and_loses_none(n: int, height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(height)[:, None], np.arange(width)
    high, wide = height // n, width // n
    result = changed(f"shuffle-{n}", pixels)
    places = []
    for y in range(n):
        for x in range(n):
            patch = result[y * high : (y + 1) * high, x * wide : (x + 1) * wide]
            top, left = int(patch[0, 0, 0]), int(patch[0, 0, 1])
            np.testing.assert_array_equal(patch, pixels[top : top + high, left : left + wide])
            assert (top, left) != (y * high, x * wide)
            places.append((top, left))
    assert sorted(places) == [(y * high, x * wide) for y in range(n) for x in range(n)]
    np.testing.assert_array_equal(result[n * high :], pixels[n * high :])
    np.testing.assert_array_equal(result[:, n * wide :], pixels[:, n * wide :])


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(224, 224), (64, 64), (65, 67)])
@pytest.mark.parametrize("strength", [1, 8, 20])
def test_mirror_turns_and_moves_the_image_by_a_few_pixels(height: int, width: int, strength: int) -> None:
    most = max(1, round(strength * height / 224))
    pixels = photo(height, width)
    moves = set()
    for number in range(8):
        result = changed(f"mirror-{strength}", pixels, f"{number}.png".encode())
        inner = (slice(most, height - most), slice(most, width - most))
        fits = [
            (down, across)
            for down in range(-most, most + 1)
            for across in range(-most, most + 1)
            if (result[inner] == np.roll(pixels[:, ::-1], (down, across), (0, 1))[inner]).all()
        ]
        assert len(fits) == 1
        assert fits != [(0, 0)]
        moves.update(fits)
    assert len(moves) > 3, "each image has a move of its own"


def test_what_mirror_brings_in_is_the_reflection_of_the_edge() -> None:
    """Moved by 1 down, 1 up, or not: rows of a gradient."""
    pixels = np.repeat(np.arange(0, 200, 10, dtype=np.uint8), 60).reshape(20, 20, 3)
    rows = pixels[:, 0, 0]
    possible = [rows.tolist(), [0, *rows[:-1].tolist()], [*rows[1:].tolist(), 190]]
    assert changed("mirror-1", pixels)[:, 0, 0].tolist() in possible


def test_shuffle_of_more_patches_than_pixels_leaves_the_image() -> None:
    pixels = photo(20, 20)
    np.testing.assert_array_equal(changed("shuffle-64", pixels), pixels)


@pytest.mark.parametrize(("side", "sigma"), [(64, 1.0), (224, 2.0)])
def test_contours_are_those_of_canny(side: int, sigma: float) -> None:
    blocks = np.random.default_rng(3).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    pixels = blocks.repeat(side // 4, 0).repeat(side // 4, 1) // 2 + photo(side, side) // 2
    grey = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float64) / 255
    edges = canny(grey, sigma)
    result = changed("contour", pixels)
    assert set(np.unique(result)) == {0, 255}
    assert 0.001 < (result == 0).mean() < 0.3
    assert ((result[..., 0] == 0) == edges).mean() > 0.999, "black edges; float32 decides a few pixels otherwise"
    assert (result == result[..., :1]).all()
    assert (changed("contour", flat(200, side)) == 255).all()


# --- what is random --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STANDARD)
def test_an_image_is_changed_alike_whenever_it_comes(name: str) -> None:
    pixels = photo()
    before = pixels.copy()
    first = changed(name, pixels)
    changed(name, photo(seed=5), b"other.png")
    np.testing.assert_array_equal(changed(name, pixels), first)
    np.testing.assert_array_equal(pixels, before)
    assert (first != pixels).any()


@pytest.mark.parametrize("name", ["noise", "shuffle-8"])
def test_path_and_seed_choose_what_is_random(name: str) -> None:
    results = [changed(name, photo(), path, seed) for path in (b"a", b"b", b"b\xff") for seed in (0, 1, 10**15)]
    assert len({image.tobytes() for image in results}) == 9


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "strength"),
    [
        ("grey", "grey", 0),
        ("shuffle-2", "shuffle", 2),
        ("low-pass-3.5", "low-pass", 3.5),
        ("high-pass", "high-pass", 2),
        ("noise-0.25", "noise", 0.25),
        ("jpeg", "jpeg", 10),
    ],
)
def test_names(name: str, kind: str, strength: float) -> None:
    assert parse_distortion(name) == Distortion(name, kind, strength)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("grey-2", "strength of grey"),
        ("contrast-1.01", "0 to 1"),
        ("shuffle-1", "2 to 64"),
        ("shuffle-65", "2 to 64"),
        ("shuffle-2.5", "whole number"),
        ("jpeg-0", "1 to 100"),
        ("noise-11", "0 to 10"),
        (f"blur-{'9' * 400}", "0 to 224"),
        ("noise--0.1", "no distortion"),
        ("Grey", "there are grey, contrast"),
        ("blur-1e3", "no distortion"),
        ("blur-٣", "no distortion"),
        ("grey\n", "no distortion"),
        ("", "no distortion"),
    ],
)
def test_names_of_nothing(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_distortion(name)


NAMES = st.one_of(
    st.text(max_size=20),
    st.builds("-".join, st.tuples(st.sampled_from(KINDS), st.text(string.digits + ".-e", max_size=6))),
    st.builds("{}-{}".format, st.sampled_from(KINDS), st.floats()),
)


@given(NAMES)
def test_any_text_is_a_distortion_or_a_usage_error(name: str) -> None:
    said = ""
    try:
        distortion = parse_distortion(name)
    except UsageError as error:
        said = str(error)
    if said:
        assert not {"\x1b", "\n", "\r", "\x00"} & set(said)
        return
    assert distortion.name == name
    assert name.startswith(distortion.kind)
    changed(name, photo(9, 9))


def test_every_kind_is_standard_and_known_by_its_name() -> None:
    assert [parse_distortion(kind).kind for kind in KINDS] == KINDS
    assert {parse_distortion(name).kind for name in STANDARD} == set(KINDS) - {"mirror"}
