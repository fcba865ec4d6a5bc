"""Versions of an image: what the distortions make of the decoded pixels, wherever the images are and whoever asks."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapebias.precompute.images.builtin.drawing import builtin_set, draw, draw_path, parse_path
from shapebias.precompute.images.builtin.shapes import SHAPES
from shapebias.precompute.images.decode import encode_thumbnail, read_mask, read_pixels
from shapebias.precompute.images.distort import STANDARD, generator, parse_distortion
from shapebias.precompute.images.geometry import Geometry, ImageError
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.loader import load
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.images.versions import CLEAN, SILHOUETTE, make_versions

GEOMETRY = Geometry(40, 32)
NAMES = (CLEAN, SILHOUETTE, *STANDARD, "noise-0.3")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine photos, of which one cannot be read, and a disc on a transparent ground."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(9):
        pixels = random.integers(0, 256, (44 + index, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{index}.{'png' if index % 2 else 'jpg'}")
    (root / "3.png").write_bytes(b"junk")
    disc().save(root / "disc.png")
    return root


def disc(side: int = 40) -> Image.Image:
    y, x = np.mgrid[:side, :side]
    opaque = (y - 14) ** 2 + (x - 22) ** 2 < 81
    pixels = np.dstack([np.full((side, side, 3), 90, np.uint8), opaque * np.uint8(255)])
    return Image.fromarray(pixels, "RGBA")


def loaded(images: ImageSet, names: tuple[str, ...] | None = NAMES, workers: int = 0, **options: int) -> dict:
    """The versions of every image by its path."""
    settings = {"batch_size": 3, "seed": 0} | options
    by_path = {}
    with load(images, GEOMETRY, settings["batch_size"], workers, versions=names, seed=settings["seed"]) as loader:
        for batch in loader:
            by_path |= {
                images.paths[at]: versions.copy() for at, versions in zip(batch.positions, batch.pixels, strict=True)
            }
    return by_path


def check(versions: np.ndarray, pixels: np.ndarray, path: bytes, seed: int = 0) -> None:
    """All but the silhouette."""
    for name, version in zip(NAMES, versions, strict=True):
        if name == CLEAN:
            np.testing.assert_array_equal(version, pixels)
        elif name != SILHOUETTE:
            distortion = parse_distortion(name)
            np.testing.assert_array_equal(version, distortion(pixels, generator(path, seed, distortion.kind)))


@pytest.mark.parametrize("workers", [0, 1])
def test_versions_of_files(photos: Path, workers: int) -> None:
    images = list_images(photos)[0]
    by_path = loaded(images, workers=workers, seed=5)
    assert list(by_path) == [path for path in images.paths if path != b"3.png"]
    for path, versions in by_path.items():
        assert versions.shape == (len(NAMES), 32, 32, 3)
        check(versions, read_pixels(photos / os.fsdecode(path), GEOMETRY), path, 5)


def test_versions_of_builtin_images() -> None:
    images = builtin_set("probe", 16)
    alone = loaded(images)
    for path, pixels in alone.items():
        check(pixels, GEOMETRY(Image.fromarray(draw_path(path))), path)
    helped = loaded(images, workers=1, batch_size=7)
    assert list(helped) == list(alone) == images.paths
    for path, pixels in alone.items():
        np.testing.assert_array_equal(helped[path], pixels)


def test_without_names_there_are_no_versions(photos: Path) -> None:
    for path, pixels in loaded(list_images(photos)[0], None).items():
        np.testing.assert_array_equal(pixels, read_pixels(photos / os.fsdecode(path), GEOMETRY))


def test_thumbnails_are_of_the_first_version(photos: Path) -> None:
    images = list_images(photos)[0]
    with load(images, GEOMETRY, 4, 0, thumbnails=True, versions=("grey", CLEAN)) as loader:
        batch = next(iter(loader))
        assert batch.thumbnails == [encode_thumbnail(pixels[0]) for pixels in batch.pixels]


# --- silhouettes -----------------------------------------------------------------------------------------------------


def silhouettes(images: ImageSet) -> dict[bytes, np.ndarray]:
    return {path: versions[0] for path, versions in loaded(images, (SILHOUETTE,)).items()}


def test_an_opaque_image_has_no_silhouette(photos: Path) -> None:
    for path, pixels in silhouettes(list_images(photos)[0]).items():
        assert (pixels == 255).all() == (path != b"disc.png")


def test_the_silhouette_of_a_transparent_image_is_its_opacity(photos: Path) -> None:
    pixels = silhouettes(list_images(photos)[0])[b"disc.png"]
    inside = np.asarray(disc())[4:-4, 4:-4, 3] == 255
    np.testing.assert_array_equal(pixels, np.where(inside, 0, 255)[..., None].repeat(3, 2))


def test_the_silhouette_of_a_builtin_image_is_its_annotation() -> None:
    images = builtin_set("cue-conflict", 16)
    geometry = Geometry(64, 64)
    with load(images, geometry, 16, 0, versions=(SILHOUETTE,)) as loader:
        batch = next(iter(loader))
    assert {parse_path(path)[0] for path in images.paths} == set(range(len(SHAPES)))
    for path, pixels in zip(images.paths, batch.pixels[:, 0], strict=True):
        shape = draw(*parse_path(path)).shape
        np.testing.assert_array_equal(pixels, np.where(shape > 0, 0, 255)[..., None].repeat(3, 2))


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "WebP"])
def test_masks_are_the_opacity(tmp_path: Path, kind: str) -> None:
    opacity = np.asarray(disc())[..., 3]
    path = tmp_path / ("disc.webp" if kind == "WebP" else "disc.png")
    if kind == "WebP":
        disc().save(path, lossless=True)
    elif kind == "P":
        palette = Image.fromarray((opacity > 0).astype(np.uint8), "P")
        palette.putpalette([0, 0, 0, 255, 0, 0])
        palette.save(path, transparency=0)
    else:
        disc().convert(kind).save(path)
    mask = read_mask(path, Geometry(40, 40))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, opacity)
    np.testing.assert_array_equal(read_mask(path, Geometry(40, 20)), opacity[10:30, 10:30])


def test_a_mask_is_upright_and_soft(tmp_path: Path) -> None:
    opacity = np.tile(np.arange(0, 160, 4, dtype=np.uint8)[:, None], (1, 40))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(np.dstack([opacity] * 4), "RGBA").save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", Geometry(40, 40)), opacity[::-1])


@pytest.mark.parametrize(("name", "said"), [("0.jpg", "no transparency"), ("3.png", "not a JPEG"), ("x", "no such")])
def test_images_without_a_mask(photos: Path, name: str, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        read_mask(photos / name, GEOMETRY)


# --- what must not matter --------------------------------------------------------------------------------------------


def test_the_place_of_the_folder_does_not_matter(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = loaded(list_images(photos)[0])
    elsewhere = tmp_path / "a" / "photos"
    shutil.copytree(photos, elsewhere)
    monkeypatch.chdir(tmp_path)
    for root in (elsewhere, Path("a/photos"), Path("a/../a/photos")):
        there = loaded(list_images(root)[0])
        assert list(there) == list(here)
        assert all((there[path] == here[path]).all() for path in here), root


def test_other_images_do_not_matter() -> None:
    few, many = builtin_set("probe", 48).spread(5), builtin_set("probe", 48)
    every = loaded(many, ("noise", "shuffle-4"), batch_size=16)
    for path, versions in loaded(few, ("shuffle-4", "noise")).items():
        np.testing.assert_array_equal(versions[::-1], every[path])


def test_a_seed_changes_what_is_random(photos: Path) -> None:
    images = list_images(photos)[0]
    one, other = (loaded(images, ("grey", "noise", "shuffle-2"), seed=seed) for seed in (0, 1))
    assert all((one[path][0] == other[path][0]).all() for path in one)
    assert all((one[path][1] != other[path][1]).any() for path in one)
    assert any((one[path][2] != other[path][2]).any() for path in one)


def test_an_image_that_cannot_be_read_has_no_versions(photos: Path) -> None:
    images = list_images(photos)[0]
    make = make_versions(images, GEOMETRY, (CLEAN, SILHOUETTE), 0)
    with pytest.raises(ImageError, match="not a JPEG"):
        make(os.fsencode(photos / "3.png"))
