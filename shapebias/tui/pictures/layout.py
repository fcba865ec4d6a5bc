"""The number and size of the tiles that fit into a region of the terminal."""

from dataclasses import dataclass, replace

from shapebias.core.pictures.sixel import MAX_SIDE

_SMALLEST = 48  # pixels; below it a photo tells little, so fewer are shown instead
GAP = 4  # pixels between tiles where nothing is written between them


@dataclass(frozen=True)
class GridLayout:
    """A grid of `columns` x `rows` square tiles of `size` pixels.

    A tile starts at a cell, and the next ones `cell_columns` cells to the right and `cell_rows` cells below. `cell` is
    the size (width, height) of a cell in pixels; `left` are the cells before the first column.
    """

    columns: int
    rows: int
    cell_columns: int
    cell_rows: int
    size: int
    cell: tuple[int, int]
    left: int = 0

    @property
    def tile_columns(self) -> int:
        """The cells that a tile is wide."""
        return -(-self.size // self.cell[0])

    @property
    def tile_rows(self) -> int:
        """The cells that a tile is high."""
        return -(-self.size // self.cell[1])

    @property
    def caption_columns(self) -> int:
        """The cells that a caption may be wide: one is left free before the next."""
        return max(self.cell_columns - 1, self.tile_columns)

    @property
    def frame(self) -> tuple[int, int]:
        """The width and height in pixels of the cells that a tile takes."""
        return self.tile_columns * self.cell[0], self.tile_rows * self.cell[1]

    @property
    def count(self) -> int:
        """The number of tiles."""
        return self.columns * self.rows

    def cell_of(self, index: int) -> tuple[int, int]:
        """Return the cell (x, y) of the grid where a tile starts; tiles are numbered in reading order, from 0."""
        return self.left + index % self.columns * self.cell_columns, index // self.columns * self.cell_rows

    def tile_at(self, x: int, y: int) -> int | None:
        """Return the number of the tile at a cell or above it, where its caption is; None between the columns."""
        column, beside = divmod(x - self.left, self.cell_columns)
        row = y // self.cell_rows
        if beside >= self.tile_columns or not (0 <= column < self.columns and 0 <= row < self.rows):
            return None
        return row * self.columns + column


def fit_grid(
    width: int,
    height: int,
    cell: tuple[int, int],
    wanted: int,
    *,
    smallest: int = _SMALLEST,
    captioned: bool = False,
) -> GridLayout | None:
    """Return the grid of at most `wanted` tiles (and less than a row of blanks) whose sides have the largest sum, so
    that they are many and large, in width x height cells of `cell` (w, h) pixels.

    None where not one tile of `smallest` pixels fits. Tiles are as high as whole cells. The gap between them is one
    cell high, and about as wide; where they are `captioned` there is a gap below the last row, too, and room for
    captions and for a line at each side. No tile is wider or higher than the largest picture that terminals take.
    """
    best: tuple[int, GridLayout] | None = None
    for tile_rows in range(1, height + 1 - captioned):
        size = tile_rows * cell[1]
        step = round((size + cell[1]) / cell[0])
        tile_columns, gap = -(-size // cell[0]), step - -(-size // cell[0])
        columns = (min(width, width - 2 + gap) if captioned else width + gap) // step
        rows = (height + 1 - captioned) // (tile_rows + 1)
        if size < smallest or columns < 1 or rows < 1:
            continue
        if max(size, tile_columns * cell[0]) > MAX_SIDE:
            break
        columns = min(columns, wanted)
        layout = GridLayout(columns, min(rows, -(-wanted // columns)), step, tile_rows + 1, size, cell, int(captioned))
        worth = min(layout.count, wanted) * size
        if best is None or worth >= best[0]:
            best = worth, layout
    return None if best is None else best[1]


def fit_row(
    width: int, height: int, cell: tuple[int, int], count: int, *, smallest: int = _SMALLEST
) -> GridLayout | None:
    """Return a grid of one row of `count` tiles, each as large as fits into its part of the width and the height.

    width, height:  in cells of `cell` (w, h) pixels

    None where a tile would be smaller than `smallest` pixels..
    """
    layout = fit_grid(width // count - 1, height, cell, 1, smallest=smallest)
    return None if layout is None else replace(layout, columns=count, cell_columns=layout.tile_columns + 1)
