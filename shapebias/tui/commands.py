"""What the command palette offers besides Textual's own: everything the keys do, sorts and layers by name."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from rich.markup import escape
from textual.app import SystemCommand

from shapebias.core.metrics import METRICS
from shapebias.core.text import printable

if TYPE_CHECKING:
    from shapebias.tui.app import Explorer


def explorer_commands(app: "Explorer") -> Iterator[SystemCommand]:
    """The commands for what is shown now."""
    yield SystemCommand("Filter units", "Show only those that satisfy an expression (f)", app.action_filter)
    yield SystemCommand(
        "Choose columns", "Which metrics the table shows, how wide (c)", partial(app.action_screen, "columns")
    )
    yield SystemCommand(
        "Details of the unit", "Every number, concept and image (d)", partial(app.action_screen, "details")
    )
    yield SystemCommand(
        "Layer as a whole", "Metrics, noise, detectors, filters (l)", partial(app.action_screen, "layer")
    )
    yield SystemCommand("Models", "Shape bias, accuracy, sources (o)", partial(app.action_screen, "models"))
    yield SystemCommand("Twins", "Units that fire on the same images (t)", partial(app.action_screen, "twins"))
    yield SystemCommand(
        "By image", "What fires on an image, how the models decided (i)", partial(app.action_screen, "by_image")
    )
    yield SystemCommand("One image", "Its activation map, path, class, value", partial(app.action_screen, "image"))
    yield SystemCommand("Mark the unit", "Or take its mark away (m)", app.action_mark)
    yield SystemCommand("Write a note", "Marks the unit, too (M)", app.action_note)
    yield SystemCommand("Save the picture", "The unit's images as PNG (p)", app.action_save_picture)
    yield SystemCommand("Save the table", "The shown rows and columns as CSV (e)", app.action_save_table)
    yield SystemCommand("Save the marks", "Marked units as Markdown with pictures", app.action_save_marks)
    for name in app.units.columns[1:]:
        metric = METRICS[name]
        high, low = f"Sort by {metric.title}, largest first", f"Sort by {metric.title}, smallest first"
        yield SystemCommand(high, metric.high, partial(app.units.sort, name, False))
        yield SystemCommand(low, metric.low, partial(app.units.sort, name, True))
    for key in app.layers.keys:
        name = escape(printable("/".join(key), 60))  # the palette reads markup
        yield SystemCommand(f"Layer {name}", "Show its units", partial(app.go_to_layer, key))
