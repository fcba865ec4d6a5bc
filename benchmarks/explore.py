"""Measure how quick the explorer is, beside the budgets of docs/design.md: `python -m benchmarks.explore STORE`.

Everything runs in a real pseudo-terminal that answers like an xterm with sixel graphics and keeps the time of every
byte. No figure decides the exit code: a person reads them beside the peers' figures of the same run.
"""

import argparse
import asyncio
import math
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from shapebias.core.analysis.attribution import Attributions
from shapebias.core.numbers import NumberColumn
from shapebias.core.pictures.tiles import View
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store, Unit
from shapebias.core.units.table import load_units
from shapebias.tui.app import Explorer
from shapebias.tui.pictures.budget import first_limit
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.maker import Request, make_picture
from shapebias.tui.pictures.sixel import SixelPainter
from shapebias.tui.terminal.graphics import Graphics
from shapebias.tui.terminal.query import Terminal
from tests.support.pty_terminal import PtyTerminal, Sixel

CELL = (8, 16)
FIRST_TABLE, MEDIAN, P95, BYTES = 1.5, 100, 200, 250  # the budgets: times an empty app; ms; ms; kB
LOOKING = 0.4  # seconds between two keys of somebody who looks at the pictures
QUIET = 0.15  # seconds without a byte: the explorer is done
WALKS = ("jjjjkjjjGkk[", "jjjjjjkjG[]j")  # in turn
HELD, RATE = 30, 30.0  # a key held down: how often, how many a second

IMPORTS = "import shapebias.cli, shapebias.core.store.opening, shapebias.core.units.table, shapebias.tui.app"
EMPTY_APP = f"""
{IMPORTS}
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("ready")
Empty().run()
"""


@dataclass(frozen=True)
class Screen:
    """A terminal's size in cells, and the grid that the explorer's unit panel shows there."""

    columns: int
    rows: int
    grid: tuple[int, int]
    layout: GridLayout
    view: View


@dataclass
class Moves:
    """Measurements of a series of moves in the explorer, one entry for each move."""

    latencies: list[float] = field(default_factory=list)  # ms, to the last byte of the first picture
    refined: list[float] = field(default_factory=list)  # ms, to the last byte of the refined one
    sizes: list[float] = field(default_factory=list)  # kB of sixel
    repeated: list[str] = field(default_factory=list)  # moves whose pictures did not come exactly once
    wrong: list[str] = field(default_factory=list)  # moves that ended with another picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--graphics", default="sixel", help="what explore is told; grids are timed for sixel only")
    parser.add_argument("--launches", type=int, default=7, help="of each program, after one to warm up")
    parser.add_argument("--moves", type=int, default=60, help="in each series")
    parser.add_argument(
        "--grids",
        nargs="+",
        default=["96x32"],
        metavar="COLUMNSxROWS",
        help="unit panels, in cells of 8 x 16; the budgets are for 96x32, 768 x 512 pixels",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state  # a user's own columns and view would make figures of their own
        measure(options)


def measure(options: argparse.Namespace) -> None:
    names = ", ".join(f"{name} {version(name)}" for name in ("textual", "numpy", "pillow"))
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, {names}")
    store = open_store(options.store)
    model = next(iter(store.models))
    layers = store.layers(model)
    start = Unit(model, max(layers, key=lambda name: layers[name].units), 0)
    screens = [screen_with_grid(store, start, *map(int, grid.split("x"))) for grid in options.grids]
    explorer = [sys.executable, "-m", "shapebias", "explore", str(options.store), "--graphics", options.graphics]
    measure_launches(explorer, store, screens[0], options.launches)
    if options.graphics == "sixel":
        for screen in screens:
            measure_grids(explorer, store, start, screen, options.moves)
        measure_maps(explorer, store, start, screens[0], options.moves)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def row(name: str, value: str, budget: str = "") -> None:
    print(f"  {name:<54}{value:<46}{budget}".rstrip(), flush=True)


def spread(values: Sequence[float], unit: str) -> str:
    """Return median, 95th percentile and maximum of the values as text, in a unit."""
    if not values:
        return "none"
    p95 = float(np.percentile(values, 95))
    return f"median {statistics.median(values):.0f}, p95 {p95:.0f}, max {max(values):.0f} {unit} (n={len(values)})"


def beside(values: Sequence[float], *budgets: tuple[float, str]) -> str:
    """Return as text the ratios of the values' median and p95 to the budgets (number, unit) of the same order."""
    if not values:
        return ""
    measured = (statistics.median(values), float(np.percentile(values, 95)))
    parts = [
        f"{value / budget:.2f} x {budget:g} {unit}" for value, (budget, unit) in zip(measured, budgets, strict=False)
    ]
    return "; ".join(parts)


def screen_with_grid(store: Store, start: Unit, columns: int, rows: int) -> Screen:
    """Return the screen on which the explorer's unit panel, opened at `start`, has a grid of `columns` x `rows`."""

    async def measure(width: int, height: int) -> tuple[int, int, GridLayout | None, View]:
        app = Explorer(store, start, Terminal(True, False, *CELL, answered=True), Graphics.SIXEL)
        async with app.run_test(size=(width, height)) as pilot:
            await pilot.pause()
            grid = app.panel.grid
            return *grid.content_size, grid.grid_layout(), grid.view

    width, height = columns + 90, rows + 8
    for _ in range(16):
        found_width, found_height, layout, view = asyncio.run(measure(width, height))
        if (found_width, found_height) == (columns, rows) and layout is not None:
            return Screen(width, height, (columns, rows), layout, view)
        width, height = width + columns - found_width, height + rows - found_height
    raise SystemExit(f"found no terminal with a grid of {columns} x {rows} cells")


# Launches


def measure_launches(explorer: list[str], store: Store, screen: Screen, launches: int) -> None:
    """Time from the start of the process to the first table, beside an empty Textual app with the same imports."""
    table = load_units(store, *next((model, layer) for model in store.models for layer in store.layers(model)))
    values = [NumberColumn(column).text(float(column[0])).strip() for column in list(table.columns.values())[:2]]
    first_row = re.compile(rb"\b%d +" % table.index[0] + b" +".join(re.escape(value.encode()) for value in values))
    programs: dict[str, tuple[list[str], re.Pattern[bytes]]] = {
        "python, nothing imported": ([sys.executable, "-c", "print('ready')"], re.compile(b"ready")),
        "the imports": ([sys.executable, "-c", f"{IMPORTS}; print('ready')"], re.compile(b"ready")),
        "an empty Textual app with the same imports": ([sys.executable, "-c", EMPTY_APP], re.compile(b"ready")),
        "shapebias explore, first row of the table": (explorer, first_row),
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    pictures = []
    for turn in range(launches + 1):  # alternately, so that the machine's other work hits all of them
        for name, (command, marker) in programs.items():
            with PtyTerminal(command, screen.columns, screen.rows, CELL) as terminal:
                started = terminal.wait_for(lambda: terminal.time_of_text(marker) is not None)  # noqa: B023 (called at once)
                when = terminal.time_of_text(marker)
                if not started or when is None:
                    raise SystemExit(
                        f"{name}: never painted\n{terminal.text_since(0)[-2000:].decode(errors='replace')}"
                    )
                if turn:
                    times[name].append(when - terminal.started)
                if command is explorer and terminal.wait_for(lambda: bool(terminal.sixels_since(0)), 3):
                    terminal.wait_quiet(QUIET)
                    pictures.append(terminal.sixels_since(0)[-1].time - terminal.started)
    title(f"From the start of the process, {screen.columns} x {screen.rows} cells, medians of {launches}")
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in times.items():
        row(name, f"{medians[name]:.2f} s ({min(seconds):.2f} … {max(seconds):.2f})")
    *_, empty, ours = medians.values()
    row("explorer / empty app", f"{ours / empty:.2f} x", f"budget {FIRST_TABLE} x")
    if pictures[1:]:
        row("shapebias explore, last byte of the first grid", f"{statistics.median(pictures[1:]):.2f} s")


# Keys


def measure_grids(explorer: list[str], store: Store, start: Unit, screen: Screen, moves: int) -> None:
    """Time from a key to the last byte of the new grid, in one explorer for all series."""
    layout = screen.layout
    tiles = len(_wanted(store, start, screen))
    columns, rows = screen.grid
    part = tiles * layout.size**2 / (768 * 512)
    title(
        f"Grid of {columns} x {rows} cells, {columns * CELL[0]} x {rows * CELL[1]} px: "
        f"{tiles} tiles of {layout.size} x {layout.size}, {part:.2f} of the pixels of 768 x 512"
    )
    command = [*explorer, "--unit", str(start)]
    with PtyTerminal(command, screen.columns, screen.rows, CELL) as terminal:
        _settle(terminal)
        keys = "".join(WALKS[turn % len(WALKS)] for turn in range(moves))[:moves]
        report_walk(*walk(terminal, tiles, keys, ("j and k", "G", "[ and ]")))
    with PtyTerminal(command, screen.columns, screen.rows, CELL) as terminal:
        _settle(terminal)
        jumped = jump(terminal, store, screen, start, moves)
        report("jumps to unseen units, from Enter", jumped)
    with PtyTerminal(command, screen.columns, screen.rows, CELL) as terminal:
        _settle(terminal)
        hold(terminal, store, screen, Unit(start.model, start.layer, HELD))
        report_process(terminal.process.pid)


def _settle(terminal: PtyTerminal) -> None:
    """Wait for the first grid."""
    if not terminal.wait_for(lambda: bool(terminal.sixels_since(0))):
        raise SystemExit(f"no grid was painted\n{terminal.text_since(0)[-2000:].decode(errors='replace')}")
    time.sleep(1.0)  # the neighbours are made


def _wanted(store: Store, unit: Unit, screen: Screen) -> list[bytes]:
    """The tiles of a unit's first picture."""
    limit = first_limit(screen.layout, unit, math.inf)
    picture = make_picture(store, Request(unit, screen.view, screen.layout, limit), SixelPainter())
    return [piece.data for piece in picture.pieces]


def _pictures_after(terminal: PtyTerminal, mark: int, tiles: int, wanted: Sequence[bytes] = ()) -> list[Sixel]:
    """The pictures since the mark, when no more come, and the `wanted` ones, where they are known, have come.

    They are those of the first picture that is whole, then those that refine it.
    """

    def complete() -> bool:
        pictures = terminal.sixels_since(mark)
        return len(pictures) >= tiles and (not wanted or _begins(pictures, wanted) is not None)

    time.sleep(LOOKING)
    terminal.wait_for(complete, 5.0)
    terminal.wait_quiet(QUIET)
    pictures = terminal.sixels_since(mark)
    return pictures[_begins(pictures, wanted) or 0 :]


def _begins(pictures: Sequence[Sixel], wanted: Sequence[bytes]) -> int | None:
    """Return the index of the wanted tiles' first picture; None if they never came."""
    data = [picture.data for picture in pictures]
    return next((first for first in range(len(data)) if data[first : first + len(wanted)] == list(wanted)), None)


def _take(moves: Moves, name: str, pressed: float, pictures: list[Sixel], tiles: int) -> float | None:
    """Add a move to `moves`; return its latency in ms."""
    pictures, refined = pictures[:tiles], pictures[tiles:]
    counts = Counter(picture.position for picture in pictures)
    again = len(refined) - tiles if refined else 0
    if len(counts) != tiles or again:
        moves.repeated.append(f"{name}: {len(counts)} of {tiles} tiles, {again} more than refined")
    if not pictures:
        return None
    if refined:
        moves.refined.append((refined[-1].time - pressed) * 1000)
    moves.latencies.append((pictures[-1].time - pressed) * 1000)
    moves.sizes.append(sum(len(picture.data) for picture in pictures) / 1000)
    return moves.latencies[-1]


def measure_maps(explorer: list[str], store: Store, start: Unit, screen: Screen, moves: int) -> None:
    """Time from a key to the last byte of attribution maps, where the store has any: of other methods, and images."""
    attributions = Attributions(store)
    others = len(attributions.methods) - 1
    if others < 1:
        return
    tiles = 1 + len(attributions.photos(attributions.images[0].path))
    with PtyTerminal([*explorer, "--unit", str(start)], screen.columns, screen.rows, CELL) as terminal:
        _settle(terminal)
        mark = terminal.mark()
        terminal.press("a")
        terminal.wait_for(lambda: len(terminal.sixels_since(mark)) >= tiles)
        terminal.wait_quiet(1.0)
        size = terminal.sixels_since(mark)[-1].size
        title(f"Attribution maps, {tiles} tiles{f' of {min(size)} px' if size else ''}")
        back = f"{'a' * others}n{'A' * others}n"
        report_walk(*walk(terminal, tiles, (back * moves)[:moves], ("a, A", "n")))


def walk(terminal: PtyTerminal, tiles: int, keys: str, kinds: Sequence[str]) -> tuple[Moves, dict[str, list[float]]]:
    """Presses the keys of somebody who looks at every picture; the latencies by kind of key too."""
    moves = Moves()
    by_key: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number, key in enumerate(keys):
        mark = terminal.mark()
        pressed = terminal.press(key)
        latency = _take(moves, f"{key} (move {number})", pressed, _pictures_after(terminal, mark, tiles), tiles)
        if latency is not None:
            next(times for name, times in by_key.items() if key in name).append(latency)
    return moves, by_key


def jump(terminal: PtyTerminal, store: Store, screen: Screen, first: Unit, count: int) -> Moves:
    """`/`, a unit's number, Enter: the grid is timed from Enter, and compared with the one wanted."""
    moves = Moves()
    units = store.layers(first.model)[first.layer].units
    chosen = np.random.default_rng(0).choice(np.arange(8, units), min(count, units - 8), replace=False)
    for number in chosen.tolist():
        terminal.press("/")
        time.sleep(0.05)
        for digit in str(number):
            terminal.press(digit)
            time.sleep(0.03)
        wanted = _wanted(store, Unit(first.model, first.layer, number), screen)
        terminal.wait_quiet(2 * QUIET)
        mark = terminal.mark()
        pressed = terminal.press("\r")
        pictures = _pictures_after(terminal, mark, len(wanted), wanted)
        _take(moves, f"to {number}", pressed, pictures, len(wanted))
        if _begins(pictures, wanted) != 0:
            moves.wrong.append(f"to {number}: the pictures are not this unit's")
    return moves


def hold(terminal: PtyTerminal, store: Store, screen: Screen, last: Unit) -> None:
    """A key held down: out-of-date grids are dropped, the last one comes soon."""
    wanted = _wanted(store, last, screen)
    mark = terminal.mark()
    start = time.monotonic()
    pressed = start
    for number in range(HELD):
        time.sleep(max(0.0, start + number / RATE - time.monotonic()))
        pressed = terminal.press("j")
    terminal.wait_quiet(0.5)
    pictures = terminal.sixels_since(mark)
    grids = Counter(picture.position for picture in pictures)
    first = _begins(pictures, wanted)
    right = first is not None
    came = pictures[first + len(wanted) - 1].time if first is not None else math.nan
    row(f"j held, {HELD} times at {RATE:g} a second", f"last grid {(came - pressed) * 1000:.0f} ms after")
    row("  grids begun, finished", f"{max(grids.values())}, {min(grids.values())} of {HELD}")
    row("  sixel in all", f"{sum(len(picture.data) for picture in pictures) / 1000:.0f} kB")
    row("  the last grid is the last unit's", "yes" if right else "NO")


def report_walk(walked: Moves, by_key: dict[str, list[float]]) -> None:
    report(f"looking, a key every {LOOKING} s", walked)
    for keys, times in by_key.items():
        row(f"  of these, {keys}", spread(times, "ms"))


def report(name: str, moves: Moves) -> None:
    row(
        f"{name}: key to last byte", spread(moves.latencies, "ms"), beside(moves.latencies, (MEDIAN, "ms"), (P95, "ms"))
    )
    row("  key to last byte of the refined grid", spread(moves.refined, "ms"))
    row(
        "  sixel a move, without what refines it",
        spread(moves.sizes, "kB"),
        beside(moves.sizes, (BYTES, "kB"), (BYTES, "kB")),
    )
    row(
        "  each picture sent exactly once", f"in {len(moves.latencies) - len(moves.repeated)} of {len(moves.latencies)}"
    )
    for fault in [*moves.repeated[:3], *moves.wrong[:3]]:
        row("", fault)


def report_process(pid: int) -> None:
    """Peak memory, and whether torch was loaded (Linux)."""
    folder = Path("/proc") / str(pid)
    if not folder.exists():
        return
    peak = re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text())
    row("peak memory of the explorer", f"{int(peak[1]) / 1024:.0f} MiB" if peak else "unknown")
    row("torch loaded", "YES" if "libtorch" in (folder / "maps").read_text() else "no", "must be no")


# Encoders


if __name__ == "__main__":
    main()
