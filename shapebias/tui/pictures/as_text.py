"""Text in place of pictures, for terminals without graphics: a unit's images as lines, maps as characters."""

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from shapebias.core.numbers import number_text
from shapebias.core.pictures.heatmap import relative_heat
from shapebias.core.pictures.tiles import AttributionMaps, Subject, UnitImage, attribution_maps
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.widgets.text_plots import shades

_FAINT = 1 / 8  # fraction of the strongest value below which nothing is drawn, since few values are exactly 0


def subject_text(store: Store, subject: Subject | None, width: int, height: int, most: int) -> Text:
    """Return text of at most `width` x `height` cells in place of a subject's picture.

    For a unit it is a line on each of its top images, at most `most`; for one image of a unit, the unit's map there;
    for attribution maps, these side by side. It is empty for a photo and for None. Raises StoreError where the store
    cannot be read.
    """
    if isinstance(subject, Unit):
        return _unit_lines(store, subject, width, min(height, most))
    if isinstance(subject, UnitImage):
        top = store.top(subject.unit)
        return Text("\n").join(shades(top.map[subject.rank] / 255, width, height))
    if isinstance(subject, AttributionMaps):
        return _maps_text(store, subject, width // len(subject.photos), height)
    return Text("")


def _unit_lines(store: Store, unit: Unit, width: int, most: int) -> Text:
    top = store.top(unit)
    lines = []
    for rank in range(min(len(top.image), most)):
        image = int(top.image[rank])
        name = printable(store.image_paths[image], 60)
        line = f"{rank + 1:2} {number_text(float(top.value[rank])):>8}  {name}  {printable(store.class_of(image), 30)}"
        lines.append(printable(line, width))
    return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")


def _maps_text(store: Store, subject: AttributionMaps, width: int, height: int) -> Text:
    """Return the maps side by side, each `width` cells wide; a map that is missing is blank."""
    columns = [
        [] if values is None else shades(_clear(relative_heat(values, scale, subject.signed)), width - 2, height)
        for values, scale in zip(*attribution_maps(store, subject), strict=True)
    ]
    lines = []
    for row in range(max(map(len, columns), default=0)):
        line = Text()
        for column in columns:
            cells = column[row] if row < len(column) else Text()
            line.append_text(cells).append(" " * (width - cells.cell_len))
        lines.append(line)
    return Text("\n").join(lines)


def _clear(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the heat with 0 in place of faint values."""
    return np.where(np.abs(heat) < _FAINT, np.float32(0), heat)
