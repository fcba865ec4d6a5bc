"""The explorer on large stores that it generates: `python -m benchmarks.large_store`, figures beside the budgets.

- a store of `--rows` units in one layer: from the start of the process to the first row of the table, beside the same
  for a store of 1000 units; a sort, from the key to the last byte; opening and sorting without a terminal;
- a store of `--units` units in layers of 1000, with activations for 1000 images: peak memory after a walk through the
  layers and a look at twins, without graphics;
- twins: a unit's correlation with 1000 units over 1000 images, read from the store and kept, beside numpy.corrcoef.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shapebias.core.analysis.twins import Correlator, find_twins
from shapebias.core.numbers import NumberColumn
from shapebias.core.store import schema
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Unit
from shapebias.core.units.table import load_units
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.statistics.topk import TopKResult
from shapebias.precompute.writer import StoreWriter
from tests.support.pty_terminal import PtyTerminal

IMAGES, TOP, MAP = 1000, 4, 2
NUMBERS = ("smoothness", "class_diversity", "selectivity", "max", "mean", "tv")
OPEN, SORT, TWINS, MEMORY, ALL = 1.5, 150, 200, 250, 300  # the budgets: s, ms, ms, MB, ms
CELL = (8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--units", type=int, default=26_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder  # a user's own columns would make figures of their own
        small = write_store(Path(folder) / "small.zarr", [1000], IMAGES)
        large = write_store(Path(folder) / "large.zarr", [options.rows], 0)
        many = write_store(Path(folder) / "many.zarr", [1000] * (options.units // 1000), IMAGES)
        measure_table(large, options.rounds)
        measure_explorer(small, large, options.rounds)
        measure_all_layers(many, options.rounds)
        measure_memory(many)
        measure_twins(small, options.rounds)


def write_store(path: Path, layers: list[int], images: int) -> Path:
    """Write a store of random numbers, of one model with layers of so many units; return its path."""
    random = np.random.default_rng(0)
    listed = [b"%06d.jpg" % number for number in range(max(images, 1))]
    labels = np.full(len(listed), -1, np.int32)
    with StoreWriter(path, False, {}) as writer:
        writer.images(ImageSet(root=path, paths=listed, labels=labels), np.arange(len(listed)), [])
        writer.thumbnails("none", {})
        names = [f"layer{number}" for number in range(len(layers))]
        writer.layers(
            "M",
            [
                schema.Layer(name=name, module=name, units=units, map_height=MAP, map_width=MAP)
                for name, units in zip(names, layers, strict=True)
            ],
            [{metric: random.random(units, dtype=np.float32) for metric in NUMBERS} for units in layers],
            [top_lists(random, units, len(listed)) for units in layers],
        )
        if images:
            activations = writer.activations("M", sum(layers))
            for first in range(0, images, 1024):
                values = random.standard_normal((min(1024, images - first), sum(layers))).astype(np.float16)
                activations.append(values, values)
            activations.close()
        writer.model(
            schema.Model(
                label="M",
                architecture="generated",
                source="generated",
                weights_sha256="0" * 64,
                preprocessing={},
                thumbnails="none",
                layers=names,
                top1=None,
                parameters=0,
            )
        )
        writer.commit()
    return path


def top_lists(random: np.random.Generator, units: int, images: int) -> TopKResult:
    shape = (units, TOP)
    value = np.sort(random.random(shape, dtype=np.float32), 1)[:, ::-1]
    image = random.integers(0, images, shape)
    maps = np.zeros((*shape, MAP, MAP), np.uint8)
    return TopKResult(value, image, np.zeros(shape, np.int32), maps, np.ones(units, np.int64))


def row(name: str, value: str, budget: str = "") -> None:
    print(f"  {name:<58}{value:<34}{budget}".rstrip(), flush=True)


def milliseconds(times: list[float]) -> str:
    return f"{1000 * statistics.median(times):.0f} ms ({1000 * min(times):.0f} … {1000 * max(times):.0f})"


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times.append(time.perf_counter() - start)


def measure_table(path: Path, rounds: int) -> None:
    """Print the milliseconds of opening a store and of sorting its units, without a terminal."""
    opened: list[float] = []
    ours: list[float] = []
    plain: list[float] = []
    for _ in range(rounds):
        with timed(opened):
            table = load_units(open_store(path), "M", "layer0")
        with timed(ours):
            order = table.order("smoothness")
        with timed(plain):
            wanted = np.argsort(-table.columns["smoothness"], kind="stable")
        assert (order == wanted).all()
    print(f"{len(table):,} units in one layer")
    row("open and read the table", milliseconds(opened), f"budget {OPEN} s with the program's start")
    row("sort (numpy.argsort, stable: " + milliseconds(plain) + ")", milliseconds(ours), f"budget {SORT} ms")


def measure_explorer(small: Path, large: Path, rounds: int) -> None:
    """Print the milliseconds to the first row of the table, and of a sort from the key to the last byte."""
    starts: dict[Path, list[float]] = {small: [], large: []}
    sorts: dict[Path, list[float]] = {small: [], large: []}
    for _ in range(rounds):
        for path in starts:
            with PtyTerminal(explore(path), 160, 48, CELL) as terminal:
                starts[path].append(first_row(terminal, path) - terminal.started)
                terminal.wait_quiet(1.0)
                for key in "srsr":
                    mark = terminal.mark()
                    pressed = terminal.press(key)
                    terminal.wait_quiet(0.4)
                    sorts[path].append(terminal.time_of_last_byte(mark) - pressed)
    for path, name in ((small, "1000 units"), (large, "the large store")):
        row(f"start of the process to the first row, {name}", milliseconds(starts[path]), f"budget {OPEN} s")
        row(f"key s or r to the last byte, {name}", milliseconds(sorts[path]), f"budget {SORT} ms")


def explore(path: Path) -> list[str]:
    return [sys.executable, "-m", "shapebias", "explore", str(path), "--graphics", "none"]


def first_row(terminal: PtyTerminal, path: Path) -> float:
    """Wait for the first row of the explorer's table, and return the monotonic time at which it was painted.

    `path` is the store that the explorer shows. Exits where the row is not painted in time.
    """
    table = load_units(open_store(path), "M", "layer0")
    columns = list(table.columns.values())[:2]
    values = [NumberColumn(column).text(float(column[0])).strip() for column in columns]
    pattern = re.compile(rb"\b0 +" + b" +".join(re.escape(value.encode()) for value in values))
    terminal.wait_for(lambda: terminal.time_of_text(pattern) is not None)
    when = terminal.time_of_text(pattern)
    if when is None:
        raise SystemExit(f"never painted\n{terminal.text_since(0)[-2000:].decode(errors='replace')}")
    return when


def measure_memory(path: Path) -> None:
    """Print the peak memory of an explorer after a walk through all layers of a store, and after a look at twins."""
    store = open_store(path)
    layers = store.layers("M")
    print(f"{sum(layer.units for layer in layers.values()):,} units in {len(layers)} layers, {IMAGES} images")
    with PtyTerminal(explore(path), 160, 48, CELL) as terminal:
        first_row(terminal, path)
        row("peak memory once the table is there", peak(terminal.process.pid), f"budget {MEMORY} MB")
        for _ in layers:
            terminal.press("]")
            terminal.wait_quiet(0.3)
        row("… after a walk through all layers", peak(terminal.process.pid), f"budget {MEMORY} MB")
        mark = terminal.mark()
        terminal.press("t")
        terminal.wait_for(lambda: terminal.time_of_text(b"similar, other layer", mark) is not None, 60)
        row("… after a look at twins in all layers", peak(terminal.process.pid), f"budget {MEMORY} MB")


def measure_all_layers(path: Path, rounds: int) -> None:
    """Print the milliseconds until the table of all layers is on the screen, the first time and again."""
    first: list[float] = []
    again: list[float] = []
    for _ in range(rounds):
        with PtyTerminal(explore(path), 160, 48, CELL) as terminal:
            first_row(terminal, path)
            terminal.wait_quiet(1.0)
            for key, times in (("0", first), ("0", []), ("0", again)):
                mark = terminal.mark()
                pressed = terminal.press(key)
                terminal.wait_quiet(0.4)
                times.append(terminal.time_of_last_byte(mark) - pressed)
    row("key 0 to the last byte of the table of all layers", milliseconds(first), f"budget {ALL} ms")
    row("key 0 again, after a look at one layer", milliseconds(again), f"budget {ALL} ms")


def peak(process: int) -> str:
    """Return the peak memory of a process as text, from Linux's VmHWM."""
    match = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return f"{int(match[1]) / 1000:.0f} MB" if match else "unknown"


def measure_twins(path: Path, rounds: int) -> None:
    """One unit against all of a layer of 1000 units over 1000 images: the first time, for the next unit, and NumPy."""
    first: list[float] = []
    again: list[float] = []
    plain: list[float] = []
    for turn in range(rounds):
        correlator = Correlator(open_store(path))
        with timed(first):
            find_twins(correlator, Unit("M", "layer0", turn))
        with timed(again):
            correlations = correlator.correlations(Unit("M", "layer0", turn + 1), "M", "layer0")
        values: NDArray[np.float64] = np.asarray(correlator.store.activations("M", "layer0", "max")[:], np.float64)
        with timed(plain):
            every = np.corrcoef(values, rowvar=False)
        np.testing.assert_allclose(correlations, np.atleast_2d(every)[turn + 1], atol=1e-5)
    print(f"twins: 1000 units, {IMAGES} images")
    row("first unit, read from the store", milliseconds(first), f"budget {TWINS} ms")
    row("next unit", milliseconds(again), f"budget {TWINS} ms")
    row("numpy.corrcoef of all units, in memory", milliseconds(plain))


if __name__ == "__main__":
    main()
