"""The explorer's keys, in the footer's order; what they do is in app.py, what the help says of them in help.py."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from rich.markup import escape
from textual.app import SystemCommand

from shapebias.core.metrics import METRICS
from shapebias.core.text import printable

if TYPE_CHECKING:
    from shapebias.tui.app import Explorer

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding("question_mark", "screen('help')", "Help", key_display="?"),
    Binding("slash,colon", "search", "Find", key_display="/"),
    Binding("n", "match(1)", "Next match", show=False),
    Binding("N", "match(-1)", "Previous match", show=False),
    Binding("f", "filter", "Filter"),
    Binding("s", "table('sort_next(1)')", "Sort"),
    Binding("S", "table('sort_next(-1)')", "Sort by the previous column", show=False),
    Binding("r", "table('reverse')", "Reverse", show=False),
    Binding("v", "view", "View"),
    Binding("enter", "screen('zoom')", "Zoom"),
    Binding("d", "screen('details')", "Details"),
    Binding("l", "screen('layer')", "Layer"),
    Binding("o", "screen('models')", "Models"),
    Binding("t", "screen('twins')", "Twins"),
    Binding("i", "screen('by_image')", "By image"),
    Binding("m", "mark", "Mark"),
    Binding("M", "note", "Note", show=False),
    Binding("greater_than_sign", "marked(1)", "Next marked", show=False),
    Binding("less_than_sign", "marked(-1)", "Previous marked", show=False),
    Binding("c", "screen('columns')", "Columns"),
    Binding("p", "save_picture", "Save the picture", show=False),
    Binding("e", "save_table", "Save the table", show=False),
    Binding("tab", "other_side", "Layers", priority=True),
    Binding("left_square_bracket", "layer(-1)", "Previous layer", show=False),
    Binding("right_square_bracket", "layer(1)", "Layer", show=False),
    Binding("escape", "escape", "Clear the filter", show=False),
    Binding("ctrl+z", "suspend_process", "Stop, until fg", show=False),
    Binding("q", "quit", "Quit"),
]
CURSOR_ONLY = ("table", "layer", "match", "marked", "mark", "save_picture", "save_table", "view")  # where it is seen
PANES_ONLY = ("other_side", "search", "screen", "filter", "note", "escape")  # not over another screen


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
