"""Shards: cut by the settings alone, kept whole or not at all, the same whoever measures them."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.device import choose_device
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.parts import Part
from shapebias.precompute.progress import Silent
from shapebias.precompute.runner import Runner
from shapebias.precompute.scanning.rows import Rows, rows_by_image
from shapebias.precompute.scanning.scan import Scan, measure_shards, skipped_images
from shapebias.precompute.scanning.shards import Shards
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.scanning.upload import DeviceBatch
from shapebias.precompute.settings import Settings

SQUARE = Geometry(32, 32)


class Brightness:
    """Measures every image's mean."""

    def start(self, runners: Sequence[Runner]) -> "BrightnessShard":
        return BrightnessShard()


class BrightnessShard:
    def __init__(self) -> None:
        self.rows = Rows()

    def feed(self, batch: DeviceBatch) -> None:
        self.rows.add({"position": batch.positions, "mean": batch.pixels.mean((1, 2, 3))})

    def part(self) -> Part:
        return self.rows.part()


def scan_of(images: ImageSet, positions: Sequence[int] | None = None) -> Scan:
    return Scan(
        name="a",
        title="a",
        image_set=images,
        geometry=SQUARE,
        measure=Brightness(),
        positions=None if positions is None else np.array(positions),
    )


def stream_of(images: ImageSet) -> Stream:
    return Stream(
        images, Settings(models=[], images="", store=Path(), workers=0), choose_device("cpu", "auto"), Silent()
    )


@settings(deadline=None)
@given(images=st.integers(1, 3_000_000), batch=st.integers(1, 300), size=st.none() | st.integers(1, 5000))
def test_shards_cover_all_images_in_whole_batches(images: int, batch: int, size: int | None) -> None:
    listing = ImageSet(root=Path(), paths=[b""] * 0, labels=np.zeros(0, np.int32))
    scan = Scan(
        name="a",
        title="a",
        image_set=listing,
        geometry=SQUARE,
        measure=Brightness(),
        positions=np.broadcast_to(np.int64(0), images),
        image_bytes=1000,
    )
    shards = scan.shards(batch, size)
    assert all(one.stop == other.start for one, other in pairwise(shards))
    assert shards[0].start == 0
    assert shards[-1].stop == images
    assert all(len(shard) % batch == 0 for shard in shards[:-1])
    assert size is not None or len(shards) <= 128


@pytest.fixture
def damaged(image_folder: Path, tmp_path: Path) -> ImageSet:
    """50 images; all of the second shard's and one of the fourth's cannot be used."""
    import shutil

    folder = Path(shutil.copytree(image_folder, tmp_path / "images"))
    images = find_images(str(folder))[0]
    for position in (*range(8, 16), 25):
        (folder / images.paths[position].decode()).write_bytes(b"no image")
    return images


@pytest.mark.parametrize("chosen", [range(7), [1], [0, 2, 6], [5, 6], [1, 3]])
def test_a_shard_gives_the_same_alone_and_among_others(damaged: ImageSet, chosen: Sequence[int]) -> None:
    scan = scan_of(damaged)
    shards = scan.shards(4, 8)
    assert len(shards) == 7
    every = list(measure_shards(scan, shards, [], stream_of(damaged), batch_size=4))
    some = list(measure_shards(scan, [shards[index] for index in chosen], [], stream_of(damaged), batch_size=4))
    for number, part in zip(chosen, some, strict=True):
        assert part.keys() == every[number].keys()
        for name, values in part.items():
            assert values.tobytes() == every[number][name].tobytes()
    assert [len(skipped_images(part)) for part in every] == [0, 8, 0, 1, 0, 0, 0]
    assert skipped_images(every[3])[0].path == damaged.paths[25]


def test_rows_go_to_the_positions_of_their_images(damaged: ImageSet) -> None:
    positions = [3, 9, 30, 25, 41]
    scan = scan_of(damaged, positions)
    parts = list(measure_shards(scan, scan.shards(2, 2), [], stream_of(damaged), batch_size=2))
    seen, columns = rows_by_image(parts, len(positions), ["mean"])
    assert seen.tolist() == [True, False, True, False, True]
    assert columns["mean"][1] == columns["mean"][3] == -1
    whole = scan_of(damaged)
    every_part = measure_shards(whole, whole.shards(8, None), [], stream_of(damaged), batch_size=8)
    _, everything = rows_by_image(every_part, 50, ["mean"])
    np.testing.assert_array_equal(columns["mean"][[0, 2, 4]], everything["mean"][[3, 30, 41]])


def test_parts_are_kept_and_read_when_asked_for(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "scan", [range(2), range(2, 3)])
    none = np.frombuffer(b"[]", np.uint8)
    shards.keep(1, {"a": np.arange(3), "skipped": none})
    assert shards.missing() == [0]
    shards.keep(0, {"a": np.arange(2), "b": np.zeros(0), "skipped": np.frombuffer(b'[["\\udcff", "empty"]]', np.uint8)})
    assert shards.missing() == []
    assert [part["a"].tolist() for part in shards] == [[0, 1], [0, 1, 2]]
    assert [sorted(part) for part in shards] == [["a", "b", "skipped"], ["a", "skipped"]]
    assert ["b" in part for part in shards] == [True, False]
    assert [image.path for image in shards.skipped] == [b"\xff"]


@pytest.mark.parametrize("damage", [b"", b"PK", "flip", "cut"])
def test_a_damaged_part_is_measured_again(tmp_path: Path, damage: bytes | str) -> None:
    shards = Shards(tmp_path, [range(2), range(2, 4)])
    for number in (0, 1):
        shards.keep(number, {"a": np.arange(1000)})
    file = sorted(tmp_path.iterdir())[1]
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[1000] ^= 1
    file.write_bytes(damage if isinstance(damage, bytes) else content[:500] if damage == "cut" else content)
    with pytest.raises(ShapebiasError, match="give the same command again"):
        [part["a"] for part in shards]
    assert shards.missing() == [1]


def test_a_part_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ShapebiasError, match="cannot write"):
        Shards(tmp_path / "file/scan", [range(1)]).keep(0, {})
