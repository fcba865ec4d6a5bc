"""Pictures for the store: the same whether they were kept from the pass or are decoded again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.errors import ShapebiasError
from shapebias.core.store import open_store
from shapebias.precompute import thumbnails
from shapebias.precompute.images.loader import Batch
from shapebias.precompute.thumbnails import Thumbnails


def pictures(store: Path) -> list[bytes]:
    opened = open_store(store)
    named = np.unique(np.concatenate([opened.top_lists("Tiny", layer, "image") for layer in opened.layers("Tiny")]))
    return [opened.thumbnail("Tiny", int(image)) for image in named]


def test_a_full_cache_changes_no_picture(
    small_store: Path, make_store: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    remember = Thumbnails.remember

    def counted(self: Thumbnails, batch: Batch) -> None:
        remember(self, batch)
        kept.append(len(self._cache))

    monkeypatch.setattr(Thumbnails, "remember", counted)
    monkeypatch.setattr(thumbnails, "_CACHE", 40_000)
    assert pictures(make_store(tmp_path / "a.zarr")) == pictures(small_store)
    assert 0 < kept[-1] < 30


def test_an_image_that_is_gone_is_said(
    make_store: Callable[..., Path], image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(image_folder, tmp_path / "images"))
    monkeypatch.setattr(thumbnails, "_CACHE", 0)
    usual = Thumbnails.pictures

    def late(*arguments: object) -> dict[int, bytes]:
        for file in folder.glob("class3/*"):
            file.write_bytes(b"")
        return usual(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Thumbnails, "pictures", late)
    with pytest.raises(ShapebiasError, match="changed during the run: start again"):
        make_store(tmp_path / "a.zarr", images=str(folder))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["images"]
