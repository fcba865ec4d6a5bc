"""The built-in images: equal every time, annotated truly, balanced, and told apart by nothing but shape and texture."""

from collections import Counter

import numpy as np
import pytest

from shapebias.core.errors import UsageError
from shapebias.precompute.images.builtin import drawing as builtin
from shapebias.precompute.images.builtin.colours import name_colours
from shapebias.precompute.images.builtin.drawing import (
    COLOURS,
    PARTS,
    SHAPES,
    SIZE,
    SPLITS,
    TEXTURES,
    Drawing,
    builtin_set,
    draw,
    draw_path,
    parse_path,
)
from shapebias.precompute.images.decode import encode_thumbnail, fit_pixels
from shapebias.precompute.images.geometry import Geometry, ImageError
from shapebias.precompute.images.loader import Loader

MAPS = ("pixels", "shape", "part", "texture", "colour")


@pytest.fixture(scope="module")
def drawings() -> list[Drawing]:
    """Every shape and every texture four times."""
    return [draw(index % 16, (index * 5 + index // 16) % 16, index) for index in range(64)]


def test_the_names() -> None:
    assert len(SHAPES) == len(TEXTURES) == 16
    assert len(COLOURS) == 11
    assert list(SHAPES) == sorted(SHAPES)  # so that a listing of the exported folders numbers the classes alike
    for names in (SHAPES, TEXTURES, COLOURS, PARTS):
        assert len(set(names)) == len(names)
    assert not set(SHAPES) & set(TEXTURES)
    assert {part.partition(" ")[0] for part in PARTS} == set(SHAPES)


def test_equal_seeds_give_equal_images() -> None:
    one, again, other = draw(3, 5, 7), draw(3, 5, 7), draw(3, 5, 8)
    for name in MAPS:
        assert np.array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.pixels, other.pixels)
    assert not np.array_equal(one.pixels, draw(3, 6, 7).pixels)


PINNED = {  # pixels on a coarse lattice
    (0, 0, 0): "be4b4cd54852e35058f15a5bbf372d7c79909f9ca0d02266b81c1ea5342258566adb315c",
    (3, 3, 12): "5b5f47659a5558413a5535375c5b7078b1637bb1666e341390686f72655c4c413d5d3b3d",
    (9, 14, 5000003): "581e467c374461283f6a656858004a8810637286849c4e4e672031731d4b8b255090406d",
    (12, 10, 77): "083e1c826b9c8f78ab2d8f6c12381a265e292459458a58ae1c38206a42856d4489466b5d",
}


@pytest.mark.parametrize("image", PINNED)
def test_images_are_the_same_on_every_machine(image: tuple[int, int, int]) -> None:
    """But for one grey level: a processor's sine may round otherwise."""
    pixels = draw(*image).pixels[16::16, 8::16].reshape(-1).astype(int)
    assert np.abs(pixels - np.frombuffer(bytes.fromhex(PINNED[image]), np.uint8)).max() <= 1


def test_maps_say_what_is_there(drawings: list[Drawing]) -> None:
    for index, drawing in enumerate(drawings):
        assert drawing.pixels.shape == (SIZE, SIZE, 3)
        assert all(getattr(drawing, name).dtype == np.uint8 for name in MAPS)
        seen = drawing.shape > 0
        assert set(np.unique(drawing.shape)) == {0, index % 16 + 1}
        assert set(np.unique(drawing.texture)) == {0, (index * 5 + index // 16) % 16 + 1}
        assert np.array_equal(seen, drawing.texture > 0)
        assert np.array_equal(seen, drawing.part > 0)
        visible = {PARTS[number - 1] for number in np.unique(drawing.part[seen])}
        assert {part.partition(" ")[0] for part in visible} == {SHAPES[index % 16]}
        assert np.array_equal(drawing.colour, name_colours(drawing.pixels))
        assert 1 <= drawing.colour.min() <= drawing.colour.max() <= 11


@pytest.mark.parametrize("shape", range(16))
def test_every_part_of_a_shape_is_seen(shape: int) -> None:
    expected = [number for number, part in enumerate(PARTS, 1) if part.partition(" ")[0] == SHAPES[shape]]
    seen: Counter[int] = Counter()
    for seed in range(8):
        seen.update(np.unique(draw(shape, 0, seed).part).tolist())
    assert [number for number in sorted(seen) if number] == expected
    assert all(seen[number] >= 6 for number in expected)


def test_shapes_are_large_and_whole(drawings: list[Drawing]) -> None:
    for drawing in drawings:
        seen = drawing.shape > 0
        rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
        extent = max(np.ptp(rows), np.ptp(columns)) + 1
        assert 0.4 * SIZE <= extent <= 0.97 * SIZE
        border = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
        assert not border.any()


def test_the_mask_is_where_the_texture_changes_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    strong = draw(9, 12, 3)
    monkeypatch.setattr(builtin, "CONTRAST", 0.0)
    flat = draw(9, 12, 3)
    difference = np.abs(strong.pixels.astype(int) - flat.pixels).sum(-1)
    inside = strong.shape > 0
    assert np.array_equal(inside, flat.shape > 0)
    assert (difference[inside] > 20).mean() > 0.9
    near = inside.copy()
    for axis in (0, 1):
        near |= np.roll(near, 1, axis) | np.roll(near, -1, axis)
    assert not difference[~near].any()


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((255, 0, 0), "red"),
        ((0, 200, 0), "green"),
        ((255, 255, 0), "yellow"),
        ((0, 0, 255), "blue"),
        ((255, 150, 30), "orange"),
        ((130, 130, 130), "grey"),
    ],
)
def test_colours_have_their_names(colour: tuple[int, int, int], name: str) -> None:
    assert COLOURS[int(name_colours(np.array(colour, np.uint8))) - 1] == name


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_is_balanced(split: str) -> None:
    images = builtin_set(split, 480, seed=2)
    assert len(images) == len(images.paths) == len(set(images.paths)) == 480
    assert images.class_ids == images.class_names == list(SHAPES)
    assert images.labels.dtype == np.int32
    facts = [parse_path(path) for path in images.paths]
    assert images.labels.tolist() == [shape for shape, _, _ in facts]
    assert images.paths == sorted(images.paths)
    assert set(Counter(shape for shape, _, _ in facts).values()) == {30}
    assert set(Counter(texture for _, texture, _ in facts).values()) == {30}
    pairs = Counter((shape, texture) for shape, texture, _ in facts)
    if split == "cue-conflict":
        assert len(pairs) == 240
        assert all(shape != texture for shape, texture in pairs)
        assert set(pairs.values()) == {2}
    else:
        assert all(shape == texture for shape, texture in pairs)


def test_splits_and_seeds_share_no_image() -> None:
    sets = [set(builtin_set(split, 320, seed).paths) for split in SPLITS for seed in (0, 1)]
    assert len(set.union(*sets)) == sum(map(len, sets))
    assert builtin_set("probe", 32).paths == builtin_set("probe", 32, 0).paths
    assert {split: len(builtin_set(split)) for split in SPLITS} == SPLITS


@pytest.mark.parametrize(
    ("split", "count", "seed"), [("test", 1, 0), ("\x1b", 1, 0), ("probe", 0, 0), ("probe", 10**7, 0), ("probe", 1, -1)]
)
def test_no_such_set(split: str, count: int, seed: int) -> None:
    with pytest.raises(UsageError, match="built-in images") as caught:
        builtin_set(split, count, seed)
    assert str(caught.value).isprintable()


def test_a_path_is_an_image() -> None:
    expected = draw(SHAPES.index("circle"), TEXTURES.index("dots"), 12).pixels
    for folder in (b"", b"/any\nwhere/\xff/", b"a/b/"):
        assert np.array_equal(draw_path(folder + b"circle/circle-dots-00012.png"), expected)


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"\xff\xfe",
        b"circle-dots-00012.png",
        b"star/circle-dots-00012.png",
        b"xcircle/circle-dots-00012.png",
        b"circle/circle-dots-12.png",
        b"circle/circle-dots-000012.png",
        b"circle/circle-dots--0012.png",
        b"circle/circle-dots-00012.jpg",
        b"circle/circle-dots-00012.png\n",
        b"circle/circle-dots-00012.png\0",
        b"circle/circle-dots-" + b"9" * 5000 + b".png",
        b"circle/circle-spots-00012.png",
        b"blob/blob-dots-00012.png",
        "circle/circle-dots-٠٠٠١٢.png".encode(),
    ],
)
def test_hostile_names(name: bytes) -> None:
    with pytest.raises(ImageError, match="not the name of a built-in image"):
        draw_path(name)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_draws_them(workers: int) -> None:
    images = builtin_set("cue-conflict", 20)
    paths = [*images.paths, b"circle/gone.png"]
    assert images.read is draw_path
    with Loader(
        images.root, paths, Geometry(SIZE, SIZE), 8, workers=workers, thumbnails=True, decode_function=images.read
    ) as loader:
        seen = 0
        for batch in loader:
            for position, pixels, thumbnail in zip(batch.positions, batch.pixels, batch.thumbnails or [], strict=True):
                assert np.array_equal(pixels, draw_path(paths[position]))
                assert thumbnail == encode_thumbnail(pixels)
                seen += 1
    assert seen == 20
    assert [(image.path, image.reason) for image in loader.skipped] == [
        (b"circle/gone.png", "not the name of a built-in image")
    ]


def test_they_fit_any_network() -> None:
    path = b"fish/fish-bricks-00001.png"
    assert fit_pixels(path, draw_path, Geometry(96, 80, "bicubic")).shape == (80, 80, 3)
    assert np.array_equal(fit_pixels(path, draw_path, Geometry(SIZE, SIZE)), draw_path(path))


# --- nothing but shape and texture tells the classes ------------------------------------------------------------------


def global_features(pixels: np.ndarray) -> np.ndarray:
    """Means, deviations and products of the channels over the whole image, the borders and the middle."""
    pixels = pixels.astype(np.float64) / 255
    views = [pixels, pixels[:, 16:-16, 16:-16], pixels[:, :6]]
    features = [statistic(view, axis=(1, 2)) for view in views for statistic in (np.mean, np.std)]
    return np.concatenate(features, 1)


def linear_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy of least squares on features and their squares, fitted to one half, tested on the other."""
    features = (features - features.mean(0)) / features.std(0)
    inputs = np.concatenate([features, features**2, np.ones((len(features), 1))], 1)
    train = np.arange(len(labels)) % 32 < 16
    weights = np.linalg.lstsq(inputs[train], np.eye(16)[labels[train]], rcond=None)[0]
    return float(((inputs[~train] @ weights).argmax(1) == labels[~train]).mean())


@pytest.mark.slow
def test_colours_do_not_tell_shapes_or_textures() -> None:
    count = 1920
    facts = np.array([(index % 16, (index + 1 + index // 16 % 15) % 16) for index in range(count)])
    drawn = [draw(shape, texture, index) for index, (shape, texture) in enumerate(facts.tolist())]
    pixels = np.stack([drawing.pixels for drawing in drawn])
    features = global_features(pixels)
    assert linear_accuracy(features[:, :6], facts[:, 1]) < 0.11  # chance is 0.0625, its deviation here 0.008
    assert linear_accuracy(features[:, :6], facts[:, 0]) < 0.12
    inside = np.stack([drawing.shape > 0 for drawing in drawn])
    surface = np.stack(
        [np.concatenate([image[seen].mean(0), image[seen].std(0)]) for image, seen in zip(pixels, inside, strict=True)]
    )
    assert linear_accuracy(surface, facts[:, 1]) < 0.11
    area = inside.mean((1, 2))
    means = [area[facts[:, 0] == shape].mean() for shape in range(16)]
    assert max(means) < 1.25 * min(means)
    frequent = (
        np.bincount(np.stack([drawing.colour for drawing in drawn]).ravel(), minlength=12)[1:] / pixels[..., 0].size
    )
    assert frequent.min() > 0.01
