"""The built-in images as folders: the same pixels and labels when listed again, and no folder half written."""

import re
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.images.builtin import export
from shapebias.precompute.images.builtin.drawing import SHAPES, SIZE, TEXTURES, builtin_set, draw_path
from shapebias.precompute.images.builtin.export import export_builtin
from shapebias.precompute.images.decode import read_pixels
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.progress import Silent


def pixels_of(root: Path, path: bytes) -> bytes:
    return read_pixels(bytes(root) + b"/" + path, Geometry(SIZE, SIZE)).tobytes()


def test_a_split_listed_again(tmp_path: Path) -> None:
    out = tmp_path / "new" / "shapes"
    assert export_builtin(out, "probe", 48, 5, Silent()) == {out / "probe": 48}
    expected = builtin_set("probe", 48, 5)
    images, skipped = list_images(out / "probe")
    assert skipped == []
    assert images.paths == expected.paths
    assert np.array_equal(images.labels, expected.labels)
    assert images.class_ids == expected.class_ids
    for path in images.paths:
        assert pixels_of(images.root, path) == draw_path(path).tobytes()


def test_all_splits(tmp_path: Path) -> None:
    folders = export_builtin(tmp_path, "all", 32, 0, Silent())  # a folder that is there, but empty
    assert folders == {tmp_path / split: 32 for split in ("train", "probe", "cue-conflict")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cue-conflict", "probe", "train"]
    assert all(len(list_images(folder)[0]) == 32 for folder in folders)


def test_cue_conflicts_have_the_names_of_the_public_stimuli(tmp_path: Path) -> None:
    export_builtin(tmp_path, "cue-conflict", 64, 0, Silent())
    images, _ = list_images(tmp_path / "cue-conflict")
    expected = builtin_set("cue-conflict", 64)
    assert np.array_equal(images.labels, expected.labels)
    drawn = {draw_path(path).tobytes(): path for path in expected.paths}
    for path in images.paths:
        match = re.fullmatch(r"([a-z]+)/([a-z]+)[0-9]+-([a-z]+)[0-9]+\.png", path.decode())
        assert match is not None
        folder, shape, texture = match.groups()
        assert folder == shape in SHAPES
        assert texture in TEXTURES
        origin = drawn.pop(pixels_of(images.root, path))
        assert origin.decode().startswith(f"{shape}/{shape}-{texture}-")
    assert not drawn


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        export_builtin(tmp_path, "probe", 16, 0, Silent())
    with pytest.raises(UsageError, match="is a file"):
        export_builtin(tmp_path / "file", "probe", 16, 0, Silent())
    with pytest.raises(ShapebiasError, match="cannot write"):
        export_builtin(tmp_path / "file" / "below", "probe", 16, 0, Silent())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    class Stop(Silent):
        def advance(self, steps: int) -> None:
            raise error

    with pytest.raises((KeyboardInterrupt, ShapebiasError)):
        export_builtin(tmp_path / "out", "probe", 16, 0, Stop())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_filled_in_the_meantime_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(folder: Path) -> None:
        folder.mkdir()
        (folder / "file").touch()

    monkeypatch.setattr(export, "_check_empty", fill)
    with pytest.raises(ShapebiasError, match=r"cannot write images to .*: directory not empty"):
        export_builtin(tmp_path / "out", "probe", 16, 0, Silent())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
