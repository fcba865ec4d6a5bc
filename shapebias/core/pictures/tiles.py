"""A unit's top images as a grid of tiles."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from shapebias.core.errors import UsageError
from shapebias.core.pictures.heatmap import heat_scale, heat_tile
from shapebias.core.store.errors import damaged
from shapebias.core.store.reader import Store, TopImages, Unit
from shapebias.core.text import printable

BACKGROUND = (18, 18, 18)
_CROP_CELLS = 8  # map cells that a crop shows around the maximum
_DIMMED = 0.6  # brightness outside the activation mask
_HEAT = 0.65  # opacity of the activation map over the image
_LINE = (0, 255, 255)  # colour of the line around the mask


class View(StrEnum):
    """The content of a tile: the crop around the maximum, the image with a line around the mask, or the whole image.

    The mask is where the unit fires: see `unit_tiles`.
    """

    CROP = "crop"
    MASK = "mask"
    WHOLE = "whole"

    @property
    def next(self) -> "View":
        """The view that follows this one; after the last comes the first."""
        views = list(View)
        return views[(views.index(self) + 1) % len(views)]


def parse_view(text: str) -> View:
    """Return the view with this name. Raises UsageError where there is none."""
    try:
        return View(text)
    except ValueError:
        raise UsageError(f"no --view {printable(text)}: {', '.join(View)}") from None


@dataclass(frozen=True)
class UnitImage:
    """One of a unit's top images; rank 0 is the strongest."""

    unit: Unit
    rank: int


@dataclass(frozen=True)
class Photo:
    """A probe image as one model saw it. `image` is its number in the model's own store."""

    model: str
    image: int


@dataclass(frozen=True)
class AttributionMaps:
    """One image with the attribution maps of several models by one method.

    photos:            the image as each model saw it, one for each model
    each_alone:        whether each map is drawn on a scale of its own, instead of one scale for all
    signed, coloured:  see `heat_tile`
    """

    method: str
    signed: bool
    photos: tuple[Photo, ...]
    each_alone: bool = False
    coloured: bool = True


Subject = Unit | UnitImage | Photo | AttributionMaps


def subject_tiles(
    store: Store, subject: Subject, count: int, size: int, view: View, apply: Callable[..., Iterable[Image.Image]] = map
) -> list[Image.Image]:
    """Return the pictures of a subject, RGB of size x size pixels: of a unit (`unit_tiles`), of one of its images
    (`image_views`), of a probe image, or of an image with attribution maps (`attribution_views`).

    There are at most `count`; `view` is for units only. `apply` is `map`, or that of an executor. Raises StoreError for
    a damaged store.
    """
    if isinstance(subject, Unit):
        return unit_tiles(store, subject, count, size, view, apply)
    if isinstance(subject, UnitImage):
        return image_views(store, subject, size)[:count]
    if isinstance(subject, AttributionMaps):
        return attribution_views(store, subject, size, apply)[:count]
    return [_photo(store, subject, size)]


def unit_tiles(
    store: Store,
    unit: Unit,
    count: int,
    size: int,
    view: View,
    apply: Callable[..., Iterable[Image.Image]] = map,
) -> list[Image.Image]:
    """Return the unit's strongest `count` images (or all where it has fewer) as RGB tiles of size x size pixels.

    The mask is Network Dissection's: it marks where the map, upsampled bilinearly, exceeds the unit's q995. Outside it
    the image has 60 % of its brightness. `apply` is `map`, or that of an executor: Pillow releases the lock of threads.
    Raises StoreError for a damaged store.
    """
    top = store.top(unit)
    threshold = _mask_threshold(store, unit, top) if view is View.MASK else 0.0

    def tile(rank: int) -> Image.Image:
        picture = _picture(store, unit.model, int(top.image[rank]))
        if view is View.CROP:
            return _crop(picture, top.position[rank], top.map.shape[1:], size)
        whole = picture.resize((size, size), Image.Resampling.BILINEAR)
        return whole if view is View.WHOLE else _masked(whole, top.map[rank], threshold)

    return list(apply(tile, range(min(count, len(top.image)))))


def image_views(store: Store, subject: UnitImage, size: int) -> list[Image.Image]:
    """Return two RGB pictures of size x size pixels: the whole image, and the activation map over it.

    The map goes from black, 0, to white, the unit's maximum, with a line around the mask of `View.MASK`. The list is
    empty where the unit has no image of that rank. Raises StoreError for a damaged store.
    """
    top = store.top(subject.unit)
    if subject.rank >= len(top.image):
        return []
    picture = _picture(store, subject.unit.model, int(top.image[subject.rank]))
    whole = picture.resize((size, size), Image.Resampling.BILINEAR)
    upsampled = Image.fromarray(top.map[subject.rank]).resize(whole.size, Image.Resampling.BILINEAR)
    heat = [min(max(3 * level - 255 * band, 0), 255) for band in range(3) for level in range(256)]
    heated = Image.blend(whole.convert("L").convert("RGB"), Image.merge("RGB", [upsampled] * 3).point(heat), _HEAT)
    heated.paste(_LINE, mask=_outline(_mask_above(upsampled, _mask_threshold(store, subject.unit, top))))
    return [whole, heated]


def attribution_views(
    store: Store, subject: AttributionMaps, size: int, apply: Callable[..., Iterable[Image.Image]] = map
) -> list[Image.Image]:
    """Return the image, and for each model its attribution map over the image (see `heat_tile`), RGB of size x size
    pixels.

    Raises StoreError for a damaged store.
    """
    photos, (maps, scales) = [_photo(store, photo, size) for photo in subject.photos], attribution_maps(store, subject)

    def tile(photo: Image.Image, values: NDArray[np.float32] | None, scale: float) -> Image.Image:
        return heat_tile(photo, values, scale=scale, signed=subject.signed, coloured=subject.coloured)

    return [photos[0], *apply(tile, photos, maps, scales)]


def attribution_maps(store: Store, subject: AttributionMaps) -> tuple[list[NDArray[np.float32] | None], list[float]]:
    """Return each model's map, float32 [h, w], None where it was not measured; and for each the value with the
    strongest colour.

    That value is the same for all maps, unless each has its own scale. Raises StoreError for a damaged store.
    """
    maps = [_attribution_map(store, photo, subject.method) for photo in subject.photos]
    groups = [[values] for values in maps] if subject.each_alone else [maps] * len(maps)
    scales = [heat_scale([values for values in group if values is not None], subject.signed) for group in groups]
    return maps, scales


def _attribution_map(store: Store, photo: Photo, method: str) -> NDArray[np.float32] | None:
    """Return a model's map of an image, float32 [h, w]; None where it was not measured."""
    owner, label = store.owner(photo.model)
    attribution = owner.attribution(label)
    row = None if attribution is None else attribution.row(photo.image)
    if attribution is None or row is None or method not in attribution.methods:
        return None
    return attribution.map(method, row)


def _photo(store: Store, photo: Photo, size: int) -> Image.Image:
    """Return a probe image as the model saw it, RGB of size x size pixels."""
    owner, label = store.owner(photo.model)
    return _picture(owner, label, photo.image).resize((size, size), Image.Resampling.BICUBIC)


def _picture(store: Store, model: str, image: int) -> Image.Image:
    """Return the decoded thumbnail of a probe image, RGB. Raises StoreError where there is none, or it is damaged."""
    encoded = store.thumbnail(model, image)
    try:
        return _decode(encoded)
    except Exception as error:  # Pillow's decoders raise errors of nearly every kind
        raise damaged(store.owner(model).store.path, f"the thumbnail of image {image} cannot be decoded") from error


@lru_cache(maxsize=256)
def _decode(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")).convert("RGB")


def _mask_threshold(store: Store, unit: Unit, top: TopImages) -> float:
    """Return the unit's q995 on the scale of the stored maps, where 255 is the unit's maximum; 255, above which nothing
    is, for a unit that is never above 0.
    """
    if len(top.value) == 0 or top.value[0] <= 0:
        return 255.0
    quantile = float(store.metric(unit.model, unit.layer, "q995")[unit.index])
    return float(np.clip(255.0 * quantile / top.value[0], 0.0, 254.0))


def _crop(picture: Image.Image, position: NDArray[np.int32], extent: Sequence[int], size: int) -> Image.Image:
    sides = [
        min(full, max(16.0, _CROP_CELLS * full / cells)) for full, cells in zip(picture.size[::-1], extent, strict=True)
    ]
    height, width = sides
    centre_y, centre_x = (
        (int(cell) + 0.5) * full / cells for cell, full, cells in zip(position, picture.size[::-1], extent, strict=True)
    )
    left = min(max(centre_x - width / 2, 0.0), picture.width - width)
    upper = min(max(centre_y - height / 2, 0.0), picture.height - height)
    box = (left, upper, left + width, upper + height)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _masked(tile: Image.Image, activation: NDArray[np.uint8], threshold: float) -> Image.Image:
    inside = _mask_above(Image.fromarray(activation).resize(tile.size, Image.Resampling.BILINEAR), threshold)
    masked = Image.composite(tile, tile.point([round(level * _DIMMED) for level in range(256)] * 3), inside)
    masked.paste(_LINE, mask=_outline(inside))
    return masked


def _outline(inside: Image.Image) -> Image.Image:
    """Return the edge of a mask (255 inside, else 0), within it; where the picture ends there is none."""
    return ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(2 * (inside.width // 200) + 3)))


def _mask_above(levels: Image.Image, threshold: float) -> Image.Image:
    """Return a grey picture that is 255 where that of the levels, 0 to 255, exceeds the threshold, else 0."""
    return levels.point([255 if level > threshold else 0 for level in range(256)])


def compose(
    tiles: Sequence[Image.Image],
    columns: int,
    rows: int,
    size: int,
    gap: int = 4,
    background: tuple[int, int, int] = BACKGROUND,
    captions: Sequence[str] = (),
) -> Image.Image:
    """Return one RGB picture of tiles of size x size pixels in reading order, with `gap` pixels to the right of and
    below each tile.

    Tiles beyond `columns` x `rows` are left out. `captions` has a line of text for each tile, drawn below it and cut to
    its width; without captions there is no room for them.
    """
    line = 16 if captions else 0
    step_x, step_y = size + gap, size + gap + line
    canvas = Image.new("RGB", (columns * step_x, rows * step_y), background)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(11) if captions else None
    for index, tile in enumerate(tiles[: columns * rows]):
        x, y = index % columns * step_x, index // columns * step_y
        canvas.paste(tile, (x, y))
        if captions:
            draw.text((x, y + size + 2), fitting_text(captions[index], size, draw, font), (200, 200, 200), font)
    return canvas


def fitting_text(
    text: str, width: int, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont | None
) -> str:
    """Return a text, cut at its end (with …) where it would be wider than `width` pixels when drawn in `font`."""
    while text and draw.textlength(text, font) > width:
        text = text[:-2] + "…" if len(text) > 2 else ""
    return text
