"""Sixel strings back into pixels, to compare encoders by what a terminal shows."""

import re

import numpy as np
from numpy.typing import NDArray

_TOKEN = re.compile(rb'"[\d;]*|#(\d+)(?:;2;(\d+);(\d+);(\d+))?|(?:!(\d+))?([?-~])|(\$)|(-)|[\r\n]+')


def decode_sixel(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """Return the pixels that a sixel string paints, uint8 [height, width, 3], black where it paints nothing.

    Raises ValueError for what is not sixel.
    """
    start = data.index(b"q", data.index(b"\x1bP")) + 1
    body = data[start : data.index(b"\x1b\\", start)]
    picture = np.zeros((height + 6, width, 3), np.uint8)
    palette: dict[int, NDArray[np.uint8]] = {}
    colour = np.zeros(3, np.uint8)
    x = y = position = 0
    for token in _TOKEN.finditer(body):
        if token.start() != position:
            raise ValueError(f"not sixel: {body[position : token.start()]!r}")
        position = token.end()
        if token[1]:
            number = int(token[1])
            if token[2]:
                palette[number] = np.rint([int(token[part]) * 2.55 for part in (2, 3, 4)]).astype(np.uint8)
            colour = palette[number]
        elif token[6]:
            count, mask = int(token[5] or 1), token[6][0] - 63
            for row in range(6):
                if mask >> row & 1:
                    picture[y + row, x : x + count] = colour
            x += count
        elif token[7]:
            x = 0
        elif token[8]:
            x, y = 0, min(y + 6, height)
    if position != len(body):
        raise ValueError(f"not sixel: {body[position : position + 20]!r}")
    return picture[:height]


def psnr(picture: NDArray[np.uint8], source: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio of a picture, uint8, to its source of the same shape, in dB."""
    error = float(np.mean(np.square(picture.astype(np.float64) - source)))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
