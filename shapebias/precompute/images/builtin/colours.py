"""The eleven basic colours, and random colours."""

from functools import cache

import numpy as np
import numpy.typing as npt

_PROTOTYPES = {  # RGB, 0 to 255; several for a colour that keeps its name from light to dark
    "black": [(30, 30, 30)],
    "blue": [(40, 80, 200), (120, 190, 235), (25, 35, 100), (20, 130, 170)],
    "brown": [(120, 72, 36), (70, 45, 25)],
    "green": [(50, 150, 60), (140, 225, 160), (25, 70, 35), (120, 200, 40)],
    "grey": [(120, 120, 120), (175, 175, 175)],
    "orange": [(240, 140, 40), (245, 185, 120), (200, 110, 30)],
    "pink": [(245, 160, 190), (240, 90, 160)],
    "purple": [(130, 50, 160), (180, 150, 225), (65, 25, 85)],
    "red": [(205, 40, 40), (130, 25, 30)],
    "white": [(245, 245, 245)],
    "yellow": [(240, 220, 60)],
}
COLOURS = tuple(_PROTOTYPES)
_LEVELS = 32  # steps of a channel: colours are named in steps of 8


def name_colours(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the basic colour of each of the pixels, uint8 [..., 3]: its index in COLOURS plus 1, uint8 [...].

    It is the colour with the nearest prototype in CIELAB.
    """
    red, green, blue = (pixels[..., channel] >> 3 for channel in range(3))
    names: npt.NDArray[np.uint8] = _table()[red, green, blue]
    return names


@cache
def _table() -> npt.NDArray[np.uint8]:
    levels = np.arange(_LEVELS) * 8 + 4
    colours = _to_lab(np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1))
    prototypes = _to_lab(np.array([prototype for colour in _PROTOTYPES.values() for prototype in colour]))
    names = np.repeat(np.arange(1, 12, dtype=np.uint8), [len(shades) for shades in _PROTOTYPES.values()])
    nearest = np.zeros(colours.shape[:-1], np.intp)
    smallest = np.full(colours.shape[:-1], np.inf)
    for index, prototype in enumerate(prototypes):
        distance = ((colours - prototype) ** 2).sum(-1)
        nearest[distance < smallest] = index
        np.minimum(smallest, distance, out=smallest)
    return names[nearest]


def _to_lab(rgb: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    part = rgb / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.moveaxis(np.cbrt(linear @ matrix.T / [0.9505, 1.0, 1.089]), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def random_colour(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a random colour, float64 [3] in [0, 1], of any hue; one in six is nearly grey."""
    hue, value = random.uniform(0, 6), random.uniform(0.25, 1)
    saturation = random.uniform(0.35, 1) if random.random() < 5 / 6 else random.uniform(0, 0.1)
    pure = np.clip(np.abs((hue - np.array([0.0, 2.0, 4.0]) + 3) % 6 - 3) * -1 + 2, 0, 1)
    colour: npt.NDArray[np.float64] = value * (1 - saturation * (1 - pure))
    return colour
