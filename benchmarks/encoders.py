"""Sixel encoders on the same grids of a store's images: `python -m benchmarks.encoders STORE`.

Milliseconds, kilobytes and picture quality of shapebias.core.sixel beside textual-image's encoder and chafa.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shapebias.core.pictures.sixel import encode_tiles, encode_within
from shapebias.core.pictures.tiles import View, compose, unit_tiles
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store, Unit
from tests.support.sixel_decoder import decode_sixel, psnr

Pixels = NDArray[np.uint8]

BYTES = 245  # kB, what the explorer allows a grid


@dataclass(frozen=True)
class Encoder:
    """Encodes a grid, given as tiles uint8 [n, height, width, 3] or as one picture; `source` is what it should show."""

    name: str
    encode: Callable[[Pixels, Image.Image], list[bytes]]
    source: Callable[[Pixels, Image.Image], Pixels]  # uint8 [parts, height, width, 3]


def _one(picture: Image.Image) -> Pixels:
    return np.asarray(picture)[None]


def _rows_of_bands(picture: Image.Image) -> Image.Image:
    """Return a picture cut to a multiple of 6 rows of pixels: chafa scales other heights to one."""
    return picture.crop((0, 0, picture.width, picture.height // 6 * 6))


def encoders() -> list[Encoder]:
    """Return the program's encoders and those of the peers that are installed; print which ones are not."""
    hands = ThreadPoolExecutor(2)
    available = [
        Encoder(
            "shapebias, 16 colours a tile, one thread", lambda tiles, _: encode_tiles(tiles), lambda tiles, _: tiles
        ),
        Encoder(
            f"shapebias, within {BYTES} kB, two threads",
            lambda tiles, _: encode_within(tiles, BYTES * 1000, hands.map),
            lambda tiles, _: tiles,
        ),
    ]
    try:
        from textual_image._sixel import SixelOptions, image_to_sixels
    except ImportError:
        print("  textual-image's encoder: not installed")
    else:
        for method in ("fastoctree", "maxcoverage"):
            options = SixelOptions(quantize=method)

            def paint(_: Pixels, picture: Image.Image, options: Any = options) -> list[bytes]:
                return [_bytes(image_to_sixels(picture, options))]

            name = f"textual-image {version('textual-image')}, {method}"
            available.append(Encoder(name, paint, lambda _, picture: _one(picture)))
    try:
        import chafa
    except ImportError:
        print("  chafa: not installed (pip install chafa.py)")
    else:
        information = chafa.TermDb().detect()
        for dither in ("NONE", "DIFFUSION"):
            config = chafa.CanvasConfig()
            config.pixel_mode = chafa.PixelMode.CHAFA_PIXEL_MODE_SIXELS
            config.dither_mode = chafa.DitherMode[f"CHAFA_DITHER_MODE_{dither}"]
            config.preprocessing = False

            def draw(_: Pixels, picture: Image.Image, config: Any = config) -> list[bytes]:
                picture = _rows_of_bands(picture)
                config.cell_width, config.cell_height = 8, 6
                config.width, config.height = picture.width // 8, picture.height // 6
                canvas = chafa.Canvas(config)
                row_bytes = picture.width * 3
                kind = chafa.PixelType.CHAFA_PIXEL_RGB8
                canvas.draw_all_pixels(kind, picture.tobytes(), picture.width, picture.height, row_bytes)
                return [_bytes(canvas.print(term_info=information, fallback=True))]

            name = f"chafa.py {version('chafa.py')}, dither {dither.lower()}"
            available.append(Encoder(name, draw, lambda _, picture: _one(_rows_of_bands(picture))))
    return available


def _bytes(data: str | bytes | bytearray) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def compare_encoders(store: Store, units: int = 5) -> None:
    """Print what every encoder makes of the same grids of 24 tiles, those of `units` random units of a store.

    Printed are ms (the best of up to three), kB and PSNR, medians over the units.
    """
    print("Grids of 24 tiles of 128 x 128, 768 x 512 pixels (chafa: 768 x 510)")
    random = np.random.default_rng(0)
    pairs = [(model, layer, info.units) for model in store.models for layer, info in store.layers(model).items()]
    chosen = [pairs[number] for number in random.choice(len(pairs), units)]
    some = [Unit(model, layer, int(random.integers(count))) for model, layer, count in chosen]
    known = encoders()
    print(f"  {'':<46}{'ms':>8}{'kB':>8}{'PSNR dB':>10}")
    for view in (View.MASK, View.WHOLE):
        grids = []
        reading = []
        for unit in some:
            start = time.perf_counter()
            tiles = unit_tiles(store, unit, 24, 128, view)
            reading.append(1000 * (time.perf_counter() - start))
            if len(tiles) == 24:
                grids.append((np.stack([np.asarray(tile) for tile in tiles]), compose(tiles, 6, 4, 128, gap=0)))
        if not grids:
            print("  no unit has 24 images")
            return
        print(f"  view {view}: {len(grids)} units; reading and scaling their tiles takes {np.median(reading):.0f} ms")
        for encoder in known:
            figures = np.median([_measure(encoder, *grid) for grid in grids], axis=0)
            print("  {:<46}{:>8.1f}{:>8.0f}{:>10.1f}".format(encoder.name, *figures))


def _measure(encoder: Encoder, tiles: Pixels, picture: Image.Image) -> tuple[float, float, float]:
    times: list[float] = []
    while len(times) < 3 and sum(times) < 1000:
        start = time.perf_counter()
        encoded = encoder.encode(tiles, picture)
        times.append(1000 * (time.perf_counter() - start))
    source = encoder.source(tiles, picture)
    _, height, width, _ = source.shape
    decoded = np.stack([decode_sixel(data, width, height) for data in encoded])
    return min(times), sum(map(len, encoded)) / 1000, psnr(decoded, source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    compare_encoders(open_store(parser.parse_args().store))


if __name__ == "__main__":
    main()
