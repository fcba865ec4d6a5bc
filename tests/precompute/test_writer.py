"""A store appears in one piece or not at all, and nothing that is no store is ever replaced."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.store import schema
from shapebias.core.store.opening import open_store
from shapebias.precompute import writer as writer_module
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.writer import ActivationsWriter, StoreWriter


def write(writer: StoreWriter, label: str = "Net", paths: tuple[bytes, ...] = (b"a.png", b"b.png")) -> None:
    """A store of one model with one layer of three units."""
    rng = np.random.default_rng(0)
    rows = writer.activations(label, 3)
    rows.append(*(rng.normal(size=(2, len(paths), 3)).astype(np.float16)))
    rows.close()
    top = TopKResult(
        np.ones((3, 2), np.float32),
        np.tile(np.arange(2), (3, 1)),
        np.full((3, 2), 7, np.int32),
        np.ones((3, 2, 4, 5), np.uint8),
        np.ones(3, np.int64),
    )
    metrics = {"max": np.arange(3, dtype=np.float32), "mean": np.array([1, np.nan, 2], np.float32)}
    layer = schema.Layer(name="conv", module="features.0", units=3, map_height=4, map_width=5)
    writer.layers(label, [layer], [metrics], [top])
    writer.model(
        schema.Model(
            label=label,
            architecture="Net",
            source="net.py:build",
            weights_sha256="00",
            preprocessing={},
            thumbnails="square",
            layers=["conv"],
            top1=0.5,
            parameters=10,
        )
    )
    images = ImageSet(
        root=Path("root"), paths=list(paths), labels=np.zeros(len(paths), np.int32), class_ids=["c"], class_names=["c"]
    )
    writer.images(images, np.arange(len(paths)), [Skipped(b"\x1b[31m", "empty file")])
    writer.thumbnails("square", {index: b"png" * (index + 1) for index in range(len(paths))})


def make(path: Path, overwrite: bool = False, label: str = "Net") -> None:
    with StoreWriter(path, overwrite, {"top": 2}) as writer:
        write(writer, label)
        writer.commit()


def around(path: Path) -> list[str]:
    return sorted(path.name for path in path.parent.iterdir())


def test_written_values_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.zarr"
    make(path)
    assert around(path) == ["a.zarr"]
    store = open_store(path)
    assert store.attributes["settings"] == {"top": 2}
    assert store.image_paths == [b"a.png", b"b.png"]
    assert store.skipped == [{"path": "\\x1b[31m", "reason": "empty file"}]
    np.testing.assert_array_equal(store.metric("Net", "conv", "mean"), [1, np.nan, 2])
    top = store.top(store.unit("Net/conv/1"))
    np.testing.assert_array_equal(top.position, [[1, 2], [1, 2]])  # 7 = 1 * 5 + 2
    assert store.thumbnail("Net", 1) == b"pngpng"


def test_every_chunk_has_a_checksum(tmp_path: Path) -> None:
    make(tmp_path / "a.zarr")

    def arrays(group: zarr.Group) -> list[zarr.Array]:
        return [array for _, array in group.arrays()] + [a for _, inner in group.groups() for a in arrays(inner)]

    written = arrays(zarr.open_group(tmp_path / "a.zarr", mode="r"))
    assert len(written) > 10
    for array in written:
        if array.path == "manifest":
            continue
        assert any(type(codec).__name__ == "Crc32cCodec" for codec in array.compressors), array.path


def test_an_existing_store_is_refused_before_anything_happens(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    make(path)
    with pytest.raises(UsageError, match="--overwrite"):
        StoreWriter(path, False, {})
    assert around(path) == ["a.zarr"]


def test_all_of_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []

    def sync_tree(folder: Path) -> None:
        assert not (tmp_path / "a.zarr").exists()
        assert (folder / "manifest/c/0").exists()
        synced.append(folder)

    monkeypatch.setattr(writer_module, "sync_tree", sync_tree)
    make(tmp_path / "a.zarr")
    assert len(synced) == 1
    assert (tmp_path / "a.zarr").exists()


def test_overwriting_replaces_it_at_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    make(path)
    with StoreWriter(path, True, {}) as writer:
        write(writer, "Other")
        assert list(open_store(path).models) == ["Net"]
        writer.commit()
    assert list(open_store(path).models) == ["Other"]
    assert around(path) == ["a.zarr"]


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("error", [ShapebiasError("no"), ValueError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_everything_as_it_was(tmp_path: Path, existing: bool, error: BaseException) -> None:
    path = tmp_path / "a.zarr"
    if existing:
        make(path)

    def run() -> None:
        with StoreWriter(path, True, {}) as writer:
            write(writer, "Other")
            raise error

    with pytest.raises(type(error)):
        run()
    assert around(path) == (["a.zarr"] if existing else [])
    if existing:
        assert list(open_store(path).models) == ["Net"]


@pytest.mark.parametrize("content", ["a folder", "a file", "a link to nowhere", "a link to a folder"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_only_stores_are_ever_overwritten(tmp_path: Path, content: str, overwrite: bool) -> None:
    path = tmp_path / "a.zarr"
    precious = tmp_path / "precious"
    if content == "a folder":
        path.mkdir()
        (path / "thesis.tex").write_text("text")
    elif content == "a file":
        path.write_text("text")
    else:
        path.symlink_to(precious)
        if content == "a link to a folder":
            precious.mkdir()
            (precious / "thesis.tex").write_text("text")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError):
        StoreWriter(path, overwrite, {})
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    make(tmp_path / "a.zarr", overwrite=True)
    open_store(tmp_path / "a.zarr")


@pytest.mark.parametrize("suffix", ["old", "partial"])
def test_a_folder_beside_the_store_is_left_alone(tmp_path: Path, suffix: str) -> None:
    """Somebody's backup, say."""
    path = tmp_path / "a.zarr"
    make(path)
    backup = tmp_path / f"a.zarr.{suffix}"
    backup.mkdir()
    (backup / "thesis.tex").write_text("text")
    try:
        make(path, overwrite=True, label="Other")
    except ShapebiasError:
        assert list(open_store(path).models) == ["Net"]
    assert (backup / "thesis.tex").read_text() == "text"


def test_a_link_to_a_store_can_be_overwritten_or_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "real.zarr")
    path = tmp_path / "a.zarr"
    path.symlink_to(tmp_path / "real.zarr")
    try:
        make(path, overwrite=True, label="Other")
    except UsageError:
        assert list(open_store(path).models) == ["Net"]
    else:
        assert list(open_store(path).models) == ["Other"]
    assert [name for name in around(path) if name not in ("a.zarr", "real.zarr")] == []


def test_a_store_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"

    def run() -> None:
        with StoreWriter(path, False, {}) as writer:
            write(writer, "Other")
            path.mkdir()
            (path / "thesis.tex").write_text("text")
            writer.commit()

    with pytest.raises(UsageError):
        run()
    assert (path / "thesis.tex").exists()
    assert around(path) == ["a.zarr"]


def test_a_second_run_at_the_same_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with StoreWriter(path, False, {}) as writer:
        write(writer)
        with pytest.raises(ShapebiasError, match="another run"), StoreWriter(path, False, {}):
            pass
        writer.commit()
    assert list(open_store(path).models) == ["Net"]


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    path, saved = tmp_path / "run" / "a.zarr", tmp_path / "saved"
    with StoreWriter(path, False, {}) as writer:
        writer.activations("Net", 3)
        shutil.copytree(path.parent, saved)
    assert around(path) == []
    shutil.copytree(saved, path.parent, dirs_exist_ok=True)
    assert around(path) != []
    make(path)
    assert around(path) == ["a.zarr"]
    open_store(path)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(ShapebiasError, match="cannot be written"), StoreWriter(tmp_path / "file/a.zarr", False, {}):
        pass
    with pytest.raises(ShapebiasError), StoreWriter(tmp_path / ("a" * 300), False, {}):
        pass


@pytest.mark.parametrize("folder", [".", "..", "/"])
def test_a_place_that_is_always_taken_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.tex").write_text("text")
    for overwrite in (False, True):
        with pytest.raises(UsageError):
            StoreWriter(Path(folder), overwrite, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_any_paths_and_thumbnails_come_back(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=12))
    path = tmp_path_factory.mktemp("ragged") / "a.zarr"
    with StoreWriter(path, False, {}) as writer:
        write(writer, paths=tuple(names))
        writer.commit()
    assert open_store(path).image_paths == names


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.integers(1, 700), min_size=1, max_size=6), units=st.integers(1, 70))
def test_activations_come_back_in_whatever_order_they_came(batches: list[int], units: int) -> None:
    group = zarr.create_group({})
    count = sum(batches)
    values = np.random.default_rng(count).normal(size=(2, count, units)).astype(np.float16)
    writer = ActivationsWriter(group, units, ("max", "mean"))
    start = 0
    for size in batches:
        writer.append(values[0, start : start + size], values[1, start : start + size])
        start += size
    writer.close()
    for kind, expected in zip(("max", "mean"), values, strict=True):
        np.testing.assert_array_equal(np.asarray(group[f"activations/{kind}"][:]), expected)
