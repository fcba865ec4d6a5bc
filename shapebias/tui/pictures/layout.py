"""The number and size of the tiles that fit into a region of the terminal."""

from dataclasses import dataclass, replace

from shapebias.core.pictures.sixel import MAX_SIDE

_SMALLEST = 48  # pixels; below it a photo tells little, so fewer are shown instead
GAP = 4  # pixels between tiles


@dataclass(frozen=True)
class GridLayout:
    """A grid of `columns` x `rows` square tiles of `size` pixels.

    A tile starts at a cell; it takes `cell_columns` x `cell_rows` cells. `cell` is the size (width, height) of a cell
    in pixels.
    """

    columns: int
    rows: int
    cell_columns: int
    cell_rows: int
    size: int
    cell: tuple[int, int]

    @property
    def frame(self) -> tuple[int, int]:
        """The width and height in pixels of the cells that a tile takes."""
        return self.cell_columns * self.cell[0], self.cell_rows * self.cell[1]

    @property
    def count(self) -> int:
        """The number of tiles."""
        return self.columns * self.rows

    def cell_of(self, index: int) -> tuple[int, int]:
        """Return the cell (x, y) of the grid where a tile starts; tiles are numbered in reading order, from 0."""
        return index % self.columns * self.cell_columns, index // self.columns * self.cell_rows


def fit_grid(
    width: int, height: int, cell: tuple[int, int], wanted: int, *, smallest: int = _SMALLEST, gap: int = GAP
) -> GridLayout | None:
    """Return the grid with the largest tiles of which `wanted` fit into width x height cells of `cell` (w, h) pixels.

    Where these would be smaller than `smallest` pixels, the grid has as many tiles as fit with that size. None where
    not one of that size fits. Between tiles are at least `gap` pixels. The cells of a tile are never wider or higher
    than the largest picture that terminals take.
    """
    best: GridLayout | None = None
    sizes = {columns * cell[0] for columns in range(1, width + 1)} | {rows * cell[1] for rows in range(1, height + 1)}
    for step in sorted(sizes):
        cell_columns, cell_rows = -(-step // cell[0]), -(-step // cell[1])
        columns, rows = width // cell_columns, height // cell_rows
        if step - gap < smallest or not columns * rows:
            continue
        layout = GridLayout(columns, min(rows, -(-wanted // columns)), cell_columns, cell_rows, step - gap, cell)
        if max(layout.frame) > MAX_SIDE:
            break
        if best is None or layout.count >= min(wanted, best.count):
            best = layout
    return best


def fit_row(
    width: int, height: int, cell: tuple[int, int], count: int, *, smallest: int = _SMALLEST, gap: int = GAP
) -> GridLayout | None:
    """Return a grid of one row of `count` tiles, each as large as fits into its part of the width and the height.

    width, height:  in cells of `cell` (w, h) pixels

    None where a tile would be smaller than `smallest` pixels. Between tiles are at least `gap` pixels.
    """
    layout = fit_grid(width // count, height, cell, 1, smallest=smallest, gap=gap)
    return None if layout is None else replace(layout, columns=count, rows=1)
