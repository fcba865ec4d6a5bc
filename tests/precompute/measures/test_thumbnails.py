"""Pictures for the store: the same whether they were kept from the first scan or are decoded again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.opening import open_store
from shapebias.precompute.measures.thumbnails import pictures_of
from shapebias.precompute.scanning.local import LocalEngine
from shapebias.precompute.scanning.scan import Parts, Scan
from shapebias.precompute.stages import activations


def pictures(store: Path) -> list[bytes]:
    opened = open_store(store)
    named = np.unique(np.concatenate([opened.top_lists("Tiny", layer, "image") for layer in opened.layers("Tiny")]))
    return [opened.thumbnail("Tiny", int(image)) for image in named]


def test_pictures_decoded_again_are_the_same(
    small_store: Path, make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "FEW", 40)  # of 50 images
    assert pictures(make_store(tmp_path / "a.zarr")) == pictures(small_store)


def test_an_image_that_is_gone_is_said(
    make_store: Callable[..., Path], image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(image_folder, tmp_path / "images"))
    monkeypatch.setattr(activations, "FEW", 0)
    usual = LocalEngine.run

    def late(self: LocalEngine, scan: Scan) -> Parts:
        result = usual(self, scan)
        for file in folder.glob("class3/*"):
            file.write_bytes(b"")
        return result

    monkeypatch.setattr(LocalEngine, "run", late)
    with pytest.raises(ShapebiasError, match="changed during the run: start again"):
        make_store(tmp_path / "a.zarr", images=str(folder))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_pictures_are_those_of_the_images_wanted() -> None:
    part = {
        "picture_image": np.array([2, 5, 6]),
        "picture_data": np.frombuffer(b"twofivesix", np.uint8),
        "picture_end": np.array([3, 7, 10]),
    }
    assert pictures_of([part], np.array([2, 3, 6])) == {2: b"two", 6: b"six"}
