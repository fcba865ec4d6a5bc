"""One picture of attribution maps: methods side by side, models below one another, everything labelled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from shapebias.core.attribution.explained import AttributionResult, ExplainedImage
from shapebias.core.pictures.heatmap import heat_scale, heat_tile
from shapebias.core.pictures.tiles import BACKGROUND, fitting_text
from shapebias.core.text import printable

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
_GAP = 4  # px between tiles
_FAINT = 0.1  # a map below this fraction of another model's map is hardly visible on one scale; a label says so
_LABEL_LINES = 3  # lines of text below each tile
_BRIGHT, _PLAIN = (240, 240, 240), (190, 190, 190)
_LEGEND = (  # for signed and unsigned maps: the texts left and right of the colour ramp
    (True, "signed: against the class", "for it"),
    (False, "without a sign: weak", "strong"),
)
_EXPLANATION = (
    "Of a method, the models of an image are on one scale. "
    "Gap: how far a map's sum is from the score that it should add up to."
)


@dataclass(frozen=True)
class Tile:
    """A square picture with labels below it: a name, and further lines."""

    picture: Image.Image
    name: str
    more: Sequence[str] = ()


@dataclass(frozen=True)
class Band:
    """The rows of one image, below its title: for each model a row of tiles, the first being the image as the model saw
    it.
    """

    title: str
    rows: Sequence[Sequence[Tile]]


def bands(explained: AttributionResult, size: int, columns: int) -> list[Band]:
    """Return the maps of every image as tiles of `size` x `size` pixels, in rows of the image and its maps by several
    methods, at most `columns` tiles together.

    An image with more methods has several bands. All maps of one method on one image have the same scale, so that the
    models can be compared. An image's path is the title of its bands.
    """
    methods = [choice.method for choice in explained.choices]
    together = max(1, columns - 1)
    result = []
    for images in explained.by_image():
        photos = [Image.fromarray(image.pixels).resize((size, size), Image.Resampling.BICUBIC) for image in images]
        by_method = [
            _map_tiles(images, photos, name=method.name, title=method.title, signed=method.signed) for method in methods
        ]
        for first in range(0, len(methods), together):
            part = by_method[first : first + together]
            rows = [
                [_photo_tile(image, photos[row]), *(tiles[row] for tiles in part)] for row, image in enumerate(images)
            ]
            result.append(Band(printable(str(images[0].image), 120), rows))
    return result


def _photo_tile(image: ExplainedImage, photo: Image.Image) -> Tile:
    return Tile(photo, image.model, (printable(image.output_name, 60), f"{image.probability:.1%}"))


def _map_tiles(
    images: Sequence[ExplainedImage], photos: Sequence[Image.Image], *, name: str, title: str, signed: bool
) -> list[Tile]:
    """Return one method's map over the image, for each model.

    `images` and `photos` have the image as each model saw it; `name`, `title` and `signed` are the method's.
    """
    maps = [image.maps[name] for image in images]
    values = [attribution_map.values for attribution_map in maps]
    scales = [0.0 if array is None else heat_scale([array], signed) for array in values]
    scale = max(scales)
    strongest = images[scales.index(scale)].model
    tiles = []
    for photo, attribution_map, own_scale in zip(photos, maps, scales, strict=True):
        faint = f"{own_scale / scale:.1%} of {strongest}'s" if 0 < own_scale < _FAINT * scale else ""
        picture = heat_tile(photo, attribution_map.values, scale=scale, signed=signed)
        tiles.append(Tile(picture, title, tuple(filter(None, (attribution_map.remark, faint)))))
    return tiles


def label_height(size: int) -> int:
    """Return the height in pixels of the labels below a tile of `size` pixels."""
    return _LABEL_LINES * _line_height(size) + 4


def labelled(tile: Tile, height: int | None = None, width: int | None = None) -> Image.Image:
    """Return a tile with its labels below it, on a background of `width` x `height` pixels; None: as large as it
    needs. Labels that are too long are cut.
    """
    size = tile.picture.width
    canvas = Image.new("RGB", (width or size, height or size + label_height(size)), BACKGROUND)
    canvas.paste(tile.picture, (0, 0))
    draw, font, line = ImageDraw.Draw(canvas), _font(size), _line_height(size)
    rest = [part for text in tile.more for part in _wrapped(text, size, draw, font)]
    for number, text in enumerate([tile.name, *rest][:_LABEL_LINES]):
        corner = (0, size + 2 + number * line)
        draw.text(corner, fitting_text(text, size, draw, font), _PLAIN if number else _BRIGHT, font)
    return canvas


def sheet(image_bands: Sequence[Band]) -> Image.Image:
    """Return one picture of all bands, with each band's title above it and a legend of the colours at the bottom.

    There is at least one band, and all tiles have one size.
    """
    size = image_bands[0].rows[0][0].picture.width
    font, line = _font(size), _line_height(size)
    step_x, step_y, title = size + _GAP, size + label_height(size) + _GAP, line + 2 * _GAP
    width = max(len(band.rows[0]) for band in image_bands) * step_x + _GAP
    height = sum(title + len(band.rows) * step_y for band in image_bands) + 3 * (line + _GAP)
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw, y = ImageDraw.Draw(canvas), 0
    for band in image_bands:
        draw.text((_GAP, y + _GAP), fitting_text(band.title, width - 2 * _GAP, draw, font), _BRIGHT, font)
        y += title
        for row in band.rows:
            for column, tile in enumerate(row):
                canvas.paste(labelled(tile), (_GAP + column * step_x, y))
            y += step_y
    for signed, left, right in _LEGEND:
        _draw_ramp(canvas, y, size, signed=signed, texts=(left, right))
        y += line + _GAP
    draw.text((_GAP, y), fitting_text(_EXPLANATION, width - 2 * _GAP, draw, font), _PLAIN, font)
    return canvas


def _draw_ramp(canvas: Image.Image, y: int, size: int, *, signed: bool, texts: tuple[str, str]) -> None:
    """Draw a ramp of the colours of maps, over grey, between two texts, at `y` px from the top of the picture."""
    draw, font, line = ImageDraw.Draw(canvas), _font(size), _line_height(size)
    values: NDArray[np.float32] = np.linspace(-1 if signed else 0, 1, 6 * line, dtype=np.float32)[None]
    ramp = heat_tile(Image.new("L", (6 * line, line - 4), 128).convert("RGB"), values, scale=1.0, signed=signed)
    left = _GAP + max(int(draw.textlength(text, font)) for _, text, _ in _LEGEND) + line // 2
    draw.text((left - line // 2, y), texts[0], _PLAIN, font, "ra")
    canvas.paste(ramp, (left, y + 2))
    draw.text((left + ramp.width + line // 2, y), texts[1], _PLAIN, font)


def _font(size: int) -> Font:
    """Return the font of the labels below tiles of `size` pixels."""
    return ImageFont.load_default(_font_size(size))


def _font_size(size: int) -> int:
    return min(max(10, size // 12), 20)


def _line_height(size: int) -> int:
    return _font_size(size) + 4


def _wrapped(text: str, width: int, draw: ImageDraw.ImageDraw, font: Font) -> list[str]:
    """Return a text as lines of at most `width` pixels; only a single long word may be wider."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
