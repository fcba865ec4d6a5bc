"""Pictures as sixel graphics: encodes many tiles of one size at once in NumPy, each with a palette of its own.

Format: VT330/VT340 Programmer Reference Manual, vol. 2, ch. 14 (https://vt100.net/docs/vt3xx-gp/chapter14.html). A
picture is cut into bands of 6 rows. A byte 63 + mask paints one column of a band in the current colour, "!n" repeats
the next byte, "$" goes back to the band's left edge, "-" starts the next band, "#c" selects colour c and "#c;2;r;g;b"
defines it (0..100). Zero bits of a mask leave the pixels as they are, so a colour may paint over another: the first
line of a band, up to the first "$", fills it with wide spans; its other lines paint the remaining pixels over that.

A photo of 128 x 128 pixels needs far fewer colours than a grid of photos: at the same number of bytes, 16 colours per
tile are nearer to the photos than one palette for the whole grid.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_SIDE = 1000  # largest side in pixels: xterm's default limit, and the 10 bits of a column in a sort key
_MAX_COLOURS = 256  # 8 bits of a sort key
_MOST_FITTED = 64  # largest number of colours that k-means chooses: more take too long
_MAX_BANDS = 1 << 8  # 8 bits of a sort key: bands of tiles encoded together
_FEWEST = 9  # fewest colours per tile, even if the result is too long
_FEWEST_COARSE = 5  # fewest colours per tile on slow lines
_FEWEST_SQUARES = 2  # fewest colours of a tile of squares
_BAND = 6  # rows of pixels that one byte of sixel paints
_MIN_FILL = 6  # narrowest span worth a place in a band's first line ("#12!5~" is 6 bytes)
_BRIDGE = 8  # columns without its colour that such a span may cross
_ROUNDS = 3  # iterations of k-means
_FILLED = 0.95  # fraction of the byte limit that is aimed at
_SAMPLED = 500  # least number of a tile's pixels from which a palette is chosen
_SPARSEST = 32  # a palette is chosen from at least every 32nd pixel of a large tile
_BYTE = 1.5  # squared distance that is worth one byte, as a multiple of the palette's own error
_PART = 150_000  # bytes of pixels that are encoded at once where the caller may stop between parts
_SAMPLED_FINE = 1700  # least number of a tile's pixels from which a fine palette is chosen
_NEW, _AGAIN = 3.0, 1.2  # bytes of a colour in a column: where the column before lacks the colour, and where it has it

_PARTS = re.compile(  # the parts of a tile as `_wrap` writes them
    rb'\x1bP0;1q"1;1;\d+;(?P<height>\d+)(?P<palette>(?:#\d+;2;\d+;\d+;\d+)*)(?P<body>[^\x1b]*)\x1b\\'
)
_NUMBER = re.compile(rb"#(\d+)")

Pixels = NDArray[np.uint8]
_Marks = NDArray[np.uint32]


def encode_coarse(tiles: Pixels, limit: int, apply: Callable[..., Iterable[list[bytes]]] = map) -> list[bytes]:
    """Return sixel strings as `encode_within` does, for a slow line to the terminal.

    Where even 5 colours per tile make more than `limit` bytes, the tiles become squares of 6 x 6 pixels of one colour.
    At the same number of bytes such squares, as high as a band of sixel, are nearer to photos than fewer colours.
    """
    if len(tiles) == 0:
        return []
    if limit > 0.35 * _expected_bytes(tiles):
        encoded = encode_within(tiles, limit, apply, _FEWEST_COARSE)
        if sum(map(len, encoded)) <= limit:
            return encoded
    height, width = tiles.shape[1:3]
    small = (-(-width // _BAND), -(-height // _BAND))
    squares = np.stack([np.asarray(Image.fromarray(tile).resize(small, Image.Resampling.BOX)) for tile in tiles])
    squares = squares.repeat(_BAND, 1).repeat(_BAND, 2)[:, :height, :width]
    return encode_within(squares, limit, apply, _FEWEST_SQUARES, 0.5 * _expected_bytes(squares))


def encode_within(
    tiles: Pixels,
    limit: int,
    apply: Callable[..., Iterable[list[bytes]]] = map,
    fewest: int = _FEWEST,
    expected: float | None = None,
) -> list[bytes]:
    """Return sixel strings as `encode_tiles` does, with as many colours (`fewest` to 64) as fit all tiles together into
    `limit` bytes; with `fewest` they may be longer.

    The number of colours is estimated from `expected`, the length with 16 colours (estimated from the tiles where it is
    None). Encoding every other tile measures the real length; the remaining tiles then take as many colours as still
    fit. If the first ones were too long, all tiles are encoded again with fewer colours. `apply` is `map`, or that of
    an executor: NumPy releases the lock of threads.
    """
    if len(tiles) == 0:
        return []

    def encode(some: Pixels, colours: int) -> list[bytes]:
        parts = np.array_split(some, min(2, len(some))) if len(some) else []
        return [sixel for part in apply(partial(encode_tiles, colours=colours), parts) for sixel in part]

    halves = [tiles[::2], tiles[1::2]]
    guess = _fitting_colours(16, _FILLED * limit / (expected or _expected_bytes(tiles)), fewest)
    encoded = [encode(halves[0], guess)]
    room = _FILLED * limit / sum(map(len, encoded[0])) * len(halves[0]) - len(halves[0])
    colours = [guess, _fitting_colours(guess, float(np.clip(room / max(len(halves[1]), 1), 0.75, 1.25)), fewest)]
    encoded.append(encode(halves[1], colours[1]))
    while (size := sum(len(sixel) for half in encoded for sixel in half)) > limit and max(colours) > fewest:
        colours = [
            max(fewest, min(number - 1, _fitting_colours(number, _FILLED * limit / size, fewest))) for number in colours
        ]
        encoded = [encode(half, number) for half, number in zip(halves, colours, strict=True)]
    together = [b""] * len(tiles)
    together[::2], together[1::2] = encoded
    return together


def _fitting_colours(colours: int, factor: float, fewest: int) -> int:
    """Return how many colours, `fewest` to 64, make a picture about `factor` times as long as with `colours`."""
    return int(np.clip(colours * factor ** (1 / 0.62), fewest, _MOST_FITTED))


def _expected_bytes(tiles: Pixels) -> float:
    """Return the estimated length in bytes of all tiles together, with 16 colours per tile.

    It grows with how often neighbouring pixels differ by a quarter of the tile's contrast. The line was fitted to grids
    of photos 64 to 124 pixels wide, whole, magnified and dimmed (correlation 0.79 per grid).
    """
    brightness = tiles[:, ::2] @ np.array([0.3, 0.6, 0.1], np.float32)
    spread = brightness.std((1, 2), keepdims=True) + 1
    level = np.floor((brightness - brightness.mean((1, 2), keepdims=True)) / spread * 4)
    changes = float((np.diff(level, axis=2) != 0).mean()) if tiles.shape[2] > 1 else 0.0
    return len(tiles) * 200 + tiles[..., 0].size * (0.02 + 1.2 * changes)


def encode_tiles(tiles: Pixels, colours: int = 16) -> list[bytes]:
    """Return each of the tiles, uint8 [n, height, width, 3], as a sixel string that paints all of its pixels.

    Fewer `colours` (2 to 64 per tile) make it shorter. Raises ValueError for tiles wider or higher than MAX_SIDE.
    """

    def index(some: Pixels) -> tuple[Pixels, NDArray[np.float32]]:
        palettes, error = _choose_palettes(some, min(colours, _MOST_FITTED))
        return _index(_whole_bands(some), palettes, error), palettes

    return _encode(tiles, index)


def encode_fine(tiles: Pixels, colours: int, apply: Callable[..., Iterable[list[bytes]]] = map) -> list[bytes]:
    """Return sixel strings as `encode_tiles` does, but of any length: each pixel gets the nearest of up to 256 colours.

    `apply` is `map`, or a function like it: it gets few tiles at once, so that it can stop between them.
    """

    def index(some: Pixels) -> tuple[Pixels, NDArray[np.float32]]:
        return _nearest(_whole_bands(some), colours)

    parts = np.array_split(tiles, -(-len(tiles) * tiles[0].size // _PART)) if len(tiles) else []
    return [sixel for part in apply(partial(_encode, index=index), parts) for sixel in part]


def _encode(tiles: Pixels, index: Callable[[Pixels], tuple[Pixels, NDArray[np.float32]]]) -> list[bytes]:
    """Return the sixel strings of tiles. Raises ValueError for tiles wider or higher than MAX_SIDE.

    `index` returns for some of the tiles the colour number of each pixel, uint8 [n, height + padding, width], and the
    palettes, float32 [n, colours, 3]; the padding makes the height a multiple of 6.
    """
    count, height, width, _ = tiles.shape
    if max(height, width) > MAX_SIDE:
        raise ValueError(f"{width} x {height} pixels are more than {MAX_SIDE}")
    bands = -(-height // _BAND)
    at_once = max(1, _MAX_BANDS // bands)
    encoded = []
    for first in range(0, count, at_once):
        numbers, palettes = _common_first(*index(tiles[first : first + at_once]))
        bodies = _bodies(numbers.reshape(-1, bands, _BAND, width), height)
        encoded += [_wrap(body, palette, width, height) for body, palette in zip(bodies, palettes, strict=True)]
    return encoded


def _whole_bands(tiles: Pixels) -> Pixels:
    """Return the tiles with their last row repeated up to a multiple of 6 rows."""
    return np.pad(tiles, ((0, 0), (0, -tiles.shape[1] % _BAND), (0, 0), (0, 0)), "edge")


def _nearest(tiles: Pixels, colours: int) -> tuple[Pixels, NDArray[np.float32]]:
    """Return the nearest palette colour of each pixel, uint8 [n, height, width], and the palettes, float32 [n, colours,
    3].

    Palettes are a median cut of some pixels (Heckbert 1982); then each colour becomes the mean of its pixels.
    """
    step = max(1, math.isqrt(tiles[0].size // 3 // _SAMPLED_FINE))
    index = np.empty(tiles.shape[:3], np.uint8)
    for numbers, tile in zip(index, tiles, strict=True):
        palette = Image.fromarray(np.ascontiguousarray(tile[::step, ::step])).quantize(
            colours, Image.Quantize.MEDIANCUT
        )
        numbers[...] = Image.fromarray(tile).quantize(palette=palette, dither=Image.Dither.NONE)
    count = len(tiles)
    flat = (index.reshape(count, -1) + np.arange(count)[:, None] * colours).ravel()
    members = np.maximum(np.bincount(flat, minlength=count * colours), 1)
    means = [np.bincount(flat, tiles[..., channel].ravel(), count * colours) / members for channel in range(3)]
    palettes = np.stack(means, 1).reshape(count, colours, 3)
    return index, (np.rint(palettes / 2.55) * 2.55).astype(np.float32)


def side_by_side(tiles: Sequence[bytes], width: int) -> bytes:
    """Return one sixel string with several of `encode_tiles` beside each other, all `width` pixels wide and equally
    high.

    Each tile keeps its colours, under numbers of its own.
    """
    matches = [match for tile in tiles if (match := _PARTS.fullmatch(tile))]
    palettes, columns, first = list[bytes](), list[list[bytes]](), 0
    for match in matches:
        renumber = partial(_NUMBER.sub, partial(_renumbered, first))
        palettes.append(renumber(match["palette"]))
        skip = b"!%d?" % (len(columns) * width) if columns else b""
        columns.append([skip + band.replace(b"$", b"$" + skip) for band in renumber(match["body"]).split(b"-")])
        first += match["palette"].count(b"#")
    bands = b"-".join(b"$".join(parts) for parts in zip(*columns, strict=True))
    raster = b'\x1bP0;1q"1;1;%d;%d' % (len(tiles) * width, int(matches[0]["height"]))
    return b"".join((raster, *palettes, bands, b"\x1b\\"))


def _renumbered(first: int, number: re.Match[bytes]) -> bytes:
    return b"#%d" % (int(number[1]) + first)


def _wrap(body: bytes, palette: NDArray[np.float32], width: int, height: int) -> bytes:
    percent = np.rint(palette / 2.55).astype(int).tolist()
    registers = b"".join(b"#%d;2;%d;%d;%d" % (number, *colour) for number, colour in enumerate(percent))
    return b'\x1bP0;1q"1;1;%d;%d' % (width, height) + registers + body + b"\x1b\\"


def _choose_palettes(tiles: Pixels, colours: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return palettes, float32 [n, colours, 3] in 0..255, multiples of sixel's percent, and their mean squared errors,
    float32 [n].

    The palettes are found by k-means (Lloyd 1982) that starts from bins of brightness.
    """
    count = len(tiles)
    pixels = tiles.reshape(count, -1, 3)
    sample = pixels[:, :: max(1, min(pixels.shape[1] // _SAMPLED, _SPARSEST))].astype(np.float32)
    size = sample.shape[1]
    brightness = sample @ np.array([0.3, 0.59, 0.11], np.float32)
    ranks = brightness.argsort(1).argsort(1)
    group = (ranks * colours // size).astype(np.intp)
    palettes = np.zeros((count, colours, 3), np.float32)
    offset = np.arange(count)[:, None] * colours
    for _ in range(_ROUNDS + 1):
        flat = (group + offset).ravel()
        members = np.bincount(flat, minlength=count * colours)
        for channel in range(3):
            total = np.bincount(flat, sample[..., channel].ravel(), count * colours)
            mean = total / np.maximum(members, 1)
            palettes[..., channel] = np.where(members, mean, palettes[..., channel].ravel()).reshape(count, colours)
        scores = sample @ (2 * palettes.transpose(0, 2, 1)) - np.square(palettes).sum(2)[:, None]
        group = scores.argmax(2)
    error = (np.square(sample).sum(2) - scores.max(2)).mean(1)
    return np.rint(palettes / 2.55) * np.float32(2.55), error


def _index(tiles: Pixels, palettes: NDArray[np.float32], error: NDArray[np.float32]) -> Pixels:
    """Return a colour number for each pixel, uint8 [n, height, width], height a multiple of 6.

    It minimises squared distance + `error` * bytes, column by column: the rate-distortion trade-off (Sullivan & Wiegand
    1998). `error`, float32 [n], is the palette's own error. A colour near to the pixel's that the band has in the
    column before is preferred, since continuing a run takes fewer bytes than starting one.
    """
    count, height, width, _ = tiles.shape
    bands, colours = count * height // _BAND, palettes.shape[1]
    columns = np.ascontiguousarray(tiles.transpose(2, 0, 1, 3), np.float32)
    scale = 1 / np.maximum(_BYTE * error, 1)[:, None, None]
    factors = -2 * scale * palettes.transpose(0, 2, 1)
    squares = scale * np.square(palettes).sum(2)[:, None]
    index = np.empty((width, bands, _BAND), np.uint8)
    bytes_more = np.full((bands, 1, colours), _NEW, np.float32)
    first = np.arange(bands)[:, None] * colours
    for pixels, numbers in zip(columns, index, strict=True):
        costs = pixels @ factors
        costs += squares
        costs = costs.reshape(bands, _BAND, colours)
        costs += bytes_more
        chosen = costs.argmin(2)
        numbers[...] = chosen
        bytes_more[...] = _NEW
        bytes_more.reshape(-1)[chosen + first] = _AGAIN
    return np.ascontiguousarray(index.reshape(width, count, height).transpose(1, 2, 0))


def _common_first(index: Pixels, palettes: NDArray[np.float32]) -> tuple[Pixels, NDArray[np.float32]]:
    """Return the same picture with each palette sorted by use, so that frequent colours get one-digit numbers."""
    count, colours, _ = palettes.shape
    tile = np.arange(count)[:, None, None] * colours
    used = np.bincount((index + tile).ravel(), minlength=count * colours).reshape(count, colours)
    order = np.argsort(-used, axis=1, kind="stable")
    number = np.argsort(order, axis=1).astype(np.uint8)
    return number.ravel()[index + tile], np.take_along_axis(palettes, order[:, :, None], 1)


@cache
def _run_tokens() -> NDArray[np.uint64]:
    """Return tokens as 8 zero-padded bytes: entry 64 * n + mask paints mask in n columns."""
    tokens = [b""] * 64
    for n in range(1, MAX_SIDE + 1):
        tokens += [bytes([63 + mask]) * n if n < 4 else b"!%d%c" % (n, 63 + mask) for mask in range(64)]
    return np.array(tokens, "S8").view(np.uint64)


@cache
def _select_tokens(before: bytes) -> NDArray[np.uint64]:
    """Return the tokens that select each colour, each after the bytes `before`."""
    return np.array([b"%s#%d" % (before, colour) for colour in range(_MAX_COLOURS)], "S8").view(np.uint64)


def _marks(index: Pixels) -> _Marks:
    """Return the columns of every band by colour, as sorted numbers.

    A number says that a colour stands in a column of a band (six rows of pixels), and in which of its rows, the bits of
    the mask: band << 24 | colour << 16 | column << 6 | mask.

    index: colour numbers [bands, 6, width].
    """
    bands, _, width = index.shape
    band_and_column = np.arange(bands, dtype=np.uint32)[:, None] << 24 | np.arange(width, dtype=np.uint32) << 6
    masks = np.empty((6, bands, width), np.uint8)
    masks[:] = 1 << np.arange(6, dtype=np.uint8)[:, None, None]
    first = np.ones(masks.shape, bool)  # whether it is the colour's first row in this column
    keys = []
    for row in range(6):
        for below in range(row + 1, 6):
            same = index[:, row] == index[:, below]
            masks[row] |= same.view(np.uint8) << np.uint8(below)
            first[below] &= ~same
        key = band_and_column | index[:, row].astype(np.uint32) << 16 | masks[row]
        keys.append(key[first[row]])
    marks = np.concatenate(keys)
    marks.sort()
    return marks


def _places(marks: _Marks, width: int) -> NDArray[np.intp]:
    """Return band * width + column of each mark (see `_marks`)."""
    return ((marks >> 24) * np.uint32(width) + (marks >> 6 & 1023)).astype(np.intp)


def _fill(marks: _Marks, bands: int, width: int) -> NDArray[np.int16]:
    """Return the number of the colour that a band's first line paints in each column, int16 [bands * width].

    It is that of the widest span across the column, else the colour on its left. `marks` are those of `_marks`.
    """
    spot = marks >> 6
    start = np.flatnonzero(np.diff(spot, prepend=np.uint32(1 << 31)) > 1 + _BRIDGE)
    size = np.diff(start, append=len(spot))
    start, size = start[size >= _MIN_FILL], size[size >= _MIN_FILL]
    order = np.argsort(size.astype(np.uint16), kind="stable")  # the widest span is written last, so that it wins
    start, size = start[order], size[order]
    span = (spot[start + size - 1] - spot[start] + 1).astype(np.intp)
    inside = np.arange(span.sum()) - np.repeat(np.cumsum(span) - span, span)
    fill = np.full(bands * width, -1, np.int16)
    colour = (marks[start] >> 16 & 255).astype(np.int16)
    fill[np.repeat(_places(marks[start], width), span) + inside] = np.repeat(colour, span)
    # The remaining columns are narrow or empty: they take the colour on their left.
    start = np.flatnonzero(np.diff(fill, prepend=-2) | (np.arange(fill.size) % width == 0))
    kept = (np.diff(start, append=fill.size) >= _MIN_FILL) & (fill[start] >= 0)
    start = start[kept | (start % width == 0)]
    return np.repeat(np.maximum(fill[start], 0), np.diff(start, append=fill.size))


def _bodies(index: Pixels, height: int) -> list[bytes]:
    """Return for every tile the sixel bytes that paint its bands, without palette, beginning and end.

    index:   colour numbers, uint8 [n, bands, 6, width]
    height:  number of a tile's rows; those below them are not painted

    The bytes are put together from cells of three tokens: select a colour, skip columns, paint columns. Each run of
    columns of one colour and mask is one cell.
    """
    count, tile_bands, _, width = index.shape
    bands = count * tile_bands
    run = _run_tokens()
    full = np.full(bands, 63)
    full[tile_bands - 1 :: tile_bands] = 63 >> -height % 6  # rows beyond the picture stay unpainted
    marks = _marks(index.reshape(bands, 6, width))
    fill = _fill(marks, bands, width)
    marks = marks[fill[_places(marks, width)] != (marks >> 16 & 255)]
    start = np.flatnonzero(np.diff(marks, prepend=np.uint32(0)) != 64)
    head, size = marks[start], np.diff(start, append=len(marks))
    column = (head >> 6 & 1023).astype(np.intp)
    new = np.diff(head >> 16, prepend=np.uint32(1 << 16)) != 0
    skip = column.copy()
    skip[1:] -= np.where(new[1:], 0, (column + size)[:-1])
    under = np.flatnonzero(np.diff(fill, prepend=-1) | (np.arange(fill.size) % width == 0))
    in_band = np.bincount(under // width, minlength=bands)
    over_in_band = np.bincount((head >> 24).astype(np.intp), minlength=bands)
    # Each band has the cells of its fill first, then the others.
    over_at = np.arange(len(head)) + np.repeat(np.cumsum(in_band), over_in_band)
    before = np.cumsum(over_in_band) - over_in_band
    under_at = np.arange(len(under)) + np.repeat(before, in_band)
    cells = np.zeros((len(head) + len(under), 3), np.uint64)
    cells[over_at[new], 0] = _select_tokens(b"$")[head[new] >> 16 & 255]
    cells[over_at, 1] = run[skip * 64]
    cells[over_at, 2] = run[size * 64 + (head & full[head >> 24])]
    below = (under % width == 0) & (under // width % tile_bands > 0)
    cells[under_at, 0] = np.where(below, _select_tokens(b"-")[fill[under]], _select_tokens(b"")[fill[under]])
    cells[under_at, 2] = run[np.diff(under, append=fill.size) * 64 + full[under // width]]
    ends = np.cumsum((in_band + over_in_band).reshape(count, tile_bands).sum(1))
    return [cell[cell != 0].tobytes().translate(None, b"\0") for cell in np.split(cells, ends[:-1])]
