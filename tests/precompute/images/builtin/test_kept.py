"""Built-in images that a run draws once."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapebias.precompute.images.annotations import annotated_images
from shapebias.precompute.images.builtin import kept
from shapebias.precompute.images.builtin.drawing import Drawing, annotate_path, builtin_set, draw_path, draw_silhouette
from shapebias.precompute.images.builtin.kept import keep_drawings
from shapebias.precompute.images.geometry import ImageError
from shapebias.precompute.images.image_set import ImageSet, make_image_set

PATH = b"/anywhere/built-in-probe/key/key-rays-00009.png"


def read_all(image_set: ImageSet, path: bytes = PATH) -> list[np.ndarray]:
    """Return the pixels, the silhouette and the annotation of an image, as another process reads them."""
    assert None not in (image_set.read, image_set.mask, image_set.annotate)
    functions: tuple[Any, ...] = (image_set.read, image_set.mask, image_set.annotate)
    return [pickle.loads(pickle.dumps(function))(path) for function in functions]


def test_an_image_is_drawn_once_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int, int]] = []
    draw = kept.draw

    def counted(*identity: int) -> Drawing:
        drawn.append(identity)
        return draw(*identity)

    monkeypatch.setattr(kept, "draw", counted)
    image_set = keep_drawings(builtin_set("probe", 16), tmp_path)
    conflicting = annotated_images(image_set, 4)  # they are kept, too
    assert len(conflicting) == 4
    for _ in range(2):
        for kept_array, usual in zip(read_all(image_set), (draw_path, draw_silhouette, annotate_path), strict=True):
            assert kept_array.flags.c_contiguous
            assert kept_array.dtype == np.uint8
            assert np.array_equal(kept_array, usual(PATH))
    assert len(drawn) == 1
    read_all(conflicting, conflicting.paths[0])
    assert len(drawn) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_without_room_it_is_drawn_again(tmp_path: Path) -> None:
    image_set = keep_drawings(builtin_set("probe", 16), tmp_path / "not there")
    for _ in range(2):
        assert np.array_equal(read_all(image_set)[0], draw_path(PATH))


def test_a_file_that_was_cut_is_not_read(tmp_path: Path) -> None:
    image_set = keep_drawings(builtin_set("probe", 16), tmp_path)
    read_all(image_set)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert np.array_equal(read_all(image_set)[0], draw_path(PATH))
    assert file.stat().st_size == 7 * 64 * 64


def test_names_of_other_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        read_all(keep_drawings(builtin_set("probe", 16), tmp_path), b"../../etc/passwd")


def test_other_images_stay_as_they_are(tmp_path: Path) -> None:
    image_set = make_image_set(tmp_path, [b"a/1.png"], [b"a"])
    assert keep_drawings(image_set, tmp_path) is image_set
