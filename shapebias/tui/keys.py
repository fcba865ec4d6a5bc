"""The explorer's keys: one table, of which its bindings, its help and its command palette are made."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial

from rich.markup import escape
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.keys import key_to_character

from shapebias.core.metrics import METRICS
from shapebias.core.text import printable
from shapebias.tui.widgets.layer_list import LayerKey


@dataclass(frozen=True)
class Command:
    """Something that the explorer does at a key, from its command palette, or at both.

    `keys` are Textual's names, with commas between; empty where there is no key. `action` is `NAME` or `NAME(VALUES)`,
    for the app's method `action_NAME`. `label` names it in Textual's list of keys and, if `show`, in the footer;
    `key_display` is the key there, where it is not the usual one. `priority` means before the widget that has the
    focus. `palette` is a title and an explanation; without it the command is not in the palette.
    """

    keys: str
    action: str
    label: str = ""
    _: KW_ONLY
    show: bool = True
    key_display: str | None = None
    priority: bool = False
    palette: tuple[str, str] | None = None

    @property
    def key(self) -> str:
        """The first key, as people write it: `f`, `[`, `Tab`, `Ctrl-z`."""
        name = self.keys.split(",")[0]
        character = self.key_display or key_to_character(name)
        return character if character and character.isprintable() else name.replace("ctrl+", "Ctrl-").capitalize()

    @property
    def binding(self) -> Binding:
        """The binding of its keys."""
        return Binding(
            self.keys,
            self.action,
            self.label,
            show=self.show,
            key_display=self.key_display,
            priority=self.priority,
        )


class HelpLine:
    """A line of the help and the commands that it explains; without a `text` they are not in the help.

    `order` is the place of the commands in the footer and in Textual's list of keys, and in the palette where there is
    no `palette_order`. `keys` is what stands before the text; without it, that is the first key of each command.
    """

    def __init__(
        self, text: str, *commands: Command, order: int = 0, palette_order: int | None = None, keys: str = ""
    ) -> None:
        self.text, self.commands, self.order = text, commands, order
        self.palette_order = order if palette_order is None else palette_order
        self.keys = keys or " ".join(command.key for command in commands if command.keys)


HELP: dict[str, tuple[HelpLine, ...]] = {
    "Move": (
        HelpLine("", Command("question_mark", "screen('help')", "Help", key_display="?"), order=20),
        HelpLine(
            "next, previous unit",
            Command("j", "table('move(1)')", "Next unit", show=False),
            Command("k", "table('move(-1)')", "Previous unit", show=False),
            keys="j k ↓ ↑",
            order=27,
        ),
        HelpLine("first, last unit", keys="g G"),
        HelpLine("a page down, up", keys="Ctrl-d Ctrl-u"),
        HelpLine("scroll to hidden columns", keys="← →"),
        HelpLine(
            "from the units to the layers, the images: arrows choose one, Enter opens it, i asks what fires on it",
            Command("tab", "next_pane(1)", "Layers", show=False, priority=True),
            Command("shift+tab", "next_pane(-1)", "Images", show=False, priority=True),
            keys="Tab",
            order=7,
        ),
        HelpLine(
            "previous, next layer",
            Command("left_square_bracket", "layer(-1)", "Previous layer", show=False),
            Command("right_square_bracket", "layer(1)", "Layer", show=False),
            order=8,
        ),
        HelpLine(
            "back to the unit before; forward again with L (Ctrl-i is Tab in most terminals)",
            Command("ctrl+o,H", "visited(-1)", "Back", show=False),
            Command("L,ctrl+i", "visited(1)", "Forward", show=False),
            order=9,
        ),
        HelpLine(
            "the pane wider, narrower, all as usual; or drag a border",
            Command(
                "plus", "widen(1)", "Wider", show=False, key_display="+", palette=("Wider", "The pane with the focus")
            ),
            Command(
                "minus",
                "widen(-1)",
                "Narrower",
                show=False,
                key_display="-",
                palette=("Narrower", "The pane with the focus"),
            ),
            Command("equals_sign", "widen(0)", "Usual widths", show=False, palette=("Usual widths", "Of all panes")),
            order=30,
        ),
        HelpLine(
            "go back, from every screen",
            Command("escape,backspace", "escape", "Clear the filter", show=False),
            order=22,
        ),
        HelpLine("every command by name: themes, layers, sorts, the marks as Markdown", keys="Ctrl-p"),
        HelpLine(
            "back to the shell, whose fg returns here",
            Command("ctrl+z", "suspend_process", "Stop, until fg", show=False),
            order=23,
        ),
        HelpLine("quit", Command("q", "quit", "Quit"), order=21),
    ),
    "Find": (
        HelpLine(
            "filter: smooth > .8 and not top 10% selectivity; Escape clears it",
            Command("f", "filter", "Filter", palette=("Filter units", "Show only those that satisfy an expression")),
            order=2,
        ),
        HelpLine("in its line: earlier filters; @NAME = EXPRESSION saves one, @NAME recalls it", keys="↑ ↓"),
        HelpLine(
            "find a unit, a layer, a concept or a class: 42, conv5/42, dog; next, previous match",
            Command("slash,colon", "search", "Find", key_display="/"),
            Command("n", "match(1)", "Next match", show=False),
            Command("N", "match(-1)", "Previous match", show=False),
            order=1,
        ),
        HelpLine(
            "all layers in one table, and back to the unit's own",
            Command(
                "0",
                "all_layers",
                "All layers",
                show=False,
                palette=("All layers", "The units of all layers, one table"),
            ),
            order=10,
        ),
        HelpLine(
            "sort by the next, previous column (or click its header)",
            Command("s", "table('sort_next(1)')", "Sort"),
            Command("S", "table('sort_next(-1)')", "Sort by the previous column", show=False),
            order=3,
        ),
        HelpLine("reverse the order", Command("r", "table('reverse')", "Reverse", show=False), order=11),
        HelpLine(
            "choose the columns, and with ← → their widths",
            Command(
                "c",
                "screen('columns')",
                "Columns",
                show=False,
                palette=("Choose columns", "Which metrics the table shows, how wide"),
            ),
            order=17,
            palette_order=4,
        ),
    ),
    "Look": (
        HelpLine(
            "crops around the maximum, images with the activation mask, whole images",
            Command("v", "view", "View"),
            order=4,
        ),
        HelpLine(
            "the unit on the whole screen; again, or 1 to 9, or a click: one image with its activation map",
            Command("enter", "screen('zoom')", "Zoom"),
            order=5,
        ),
        HelpLine(
            "by image: what fires on an image, what the models predict; / finds images, n N next, previous",
            Command(
                "i",
                "screen('by_image')",
                "By image",
                palette=("By image", "What fires on an image, what the models predict"),
            ),
            Command("", "screen('image')", palette=("One image", "Its activation map, path, class, value")),
            order=6,
        ),
        HelpLine(
            "all numbers of the unit with rank and meaning, its concepts, its images",
            Command(
                "d",
                "screen('details')",
                "Details",
                show=False,
                palette=("Details of the unit", "Every number, concept and image"),
            ),
            order=12,
        ),
        HelpLine(
            "the whole layer, beside the same layer of other models; the models: shape bias, accuracy, sources",
            Command(
                "l",
                "screen('layer')",
                "Layer",
                show=False,
                palette=("Layer as a whole", "Metrics, noise, detectors, filters"),
            ),
            Command("o", "screen('models')", "Models", show=False, palette=("Models", "Shape bias, accuracy, sources")),
            order=13,
        ),
        HelpLine(
            "twins: the units that fire on the same images, in other models and in this one; Enter goes to one",
            Command(
                "t", "screen('twins')", "Twins", show=False, palette=("Twins", "Units that fire on the same images")
            ),
            order=14,
        ),
        HelpLine(
            "keep the unit; on another one: both side by side",
            Command(
                "x", "keep", "Side by side", show=False, palette=("Side by side", "Keep a unit, and compare others")
            ),
            order=25,
        ),
        HelpLine(
            "two layers side by side, such as one of each model, each with its own sort and cursor; Tab changes sides",
            Command(
                "T",
                "screen('two_layers')",
                "Two layers",
                show=False,
                palette=("Two layers side by side", "Two tables, each with its own sort, and their units"),
            ),
            order=29,
        ),
        HelpLine(
            "a scatter of two metrics, every model in its colour: pick units; s and w change the x and y metric",
            Command(
                "X", "screen('scatter')", "Scatter", show=False, palette=("Scatter", "Two metrics against each other")
            ),
            order=26,
        ),
        HelpLine(
            "the histogram of a metric, all models over each other, the cursor's unit pointed at; s S other metrics",
            Command(
                "h",
                "screen('histogram')",
                "Histogram",
                show=False,
                palette=("Histogram", "How a metric spreads, and where the unit is in it"),
            ),
            order=28,
        ),
        HelpLine(
            "attribution: where the models look; on an image, too: next, previous method, n N images, v scale",
            Command(
                "a",
                "screen('attribution')",
                "Attribution",
                show=False,
                palette=("Attribution", "Where the models look in an image, method by method"),
            ),
            keys="a A",
            order=15,
        ),
    ),
    "Keep": (
        HelpLine(
            "mark the unit, write a note, take the last change back",
            Command(
                "m,space", "mark", "Mark", show=False, palette=("Mark the unit", "Mark the unit, or remove its mark")
            ),
            Command("M", "note", "Note", show=False, palette=("Write a note", "Marks the unit, too")),
            Command("u", "undo_mark", "Undo", show=False, palette=("Undo a mark", "Takes the last change back")),
            order=16,
        ),
        HelpLine(
            "a range: moves extend it, m or Space marks all of it, Escape leaves it",
            Command("V", "range", "Range", show=False, palette=("Mark a range", "Moves extend it, m marks it")),
            order=31,
        ),
        HelpLine(
            "next, previous marked unit",
            Command("greater_than_sign", "marked(1)", "Next marked", show=False),
            Command("less_than_sign", "marked(-1)", "Previous marked", show=False),
            order=18,
        ),
        HelpLine(
            "save the picture (PNG), the table (CSV); what is on the screen as a page to send (HTML, Markdown)",
            Command(
                "p",
                "save_picture",
                "Save the picture",
                show=False,
                palette=("Save the picture", "The unit's images as PNG"),
            ),
            Command(
                "e",
                "save_table",
                "Save the table",
                show=False,
                palette=("Save the table", "The rows and their numbers as CSV"),
            ),
            Command(
                "E",
                "export",
                "Page to send",
                show=False,
                palette=("Write a page to send", "What is on the screen, as HTML or Markdown"),
            ),
            Command("", "save_marks", palette=("Save the marks", "Marked units as Markdown with pictures")),
            order=19,
        ),
        HelpLine(
            "copy the unit's name, the path of its strongest image (also over ssh); open that image",
            Command(
                "y", "copy_name", "Copy the name", show=False, palette=("Copy the unit's name", "MODEL/LAYER/UNIT")
            ),
            Command("Y", "copy_path", "Copy the path", show=False, palette=("Copy the image's path", "The strongest")),
            Command("O", "open_image", "Open the image", show=False, palette=("Open the image", "In another program")),
            order=24,
        ),
    ),
}
HELP_LINES = tuple(line for lines in HELP.values() for line in lines)
KEYS: list[BindingType] = [
    command.binding
    for line in sorted(HELP_LINES, key=lambda line: line.order)
    for command in line.commands
    if command.keys
]
# Actions that move the cursor or are done to its unit: off where no panel shows where the cursor is.
CURSOR_ONLY = (
    "table",
    "layer",
    "match",
    "marked",
    "mark",
    "undo_mark",
    "visited",
    "keep",
    "save_picture",
    "save_table",
    "view",
)
# Actions that belong to the panes: off over another screen.
PANES_ONLY = ("next_pane", "search", "all_layers", "screen", "filter", "note", "escape", "range", "widen")


def app_commands(run: Callable[[str], None]) -> Iterator[SystemCommand]:
    """Yield the palette's commands for the `HELP` above; `run` is called with the action of the chosen one."""
    for line in sorted(HELP_LINES, key=lambda line: line.palette_order):
        for command in line.commands:
            if command.palette is not None:
                title, explanation = command.palette
                key = f" ({command.key})" if command.keys else ""
                yield SystemCommand(title, f"{explanation}{key}", partial(run, command.action))


def sort_commands(metrics: Sequence[str], sort: Callable[[str, bool], None]) -> Iterator[SystemCommand]:
    """Yield two commands for each metric; they call `sort` with its name and whether its smallest values come first."""
    for name in metrics:
        metric = METRICS[name]
        for extreme, meaning, ascending in (("largest", metric.high, False), ("smallest", metric.low, True)):
            yield SystemCommand(f"Sort by {metric.title}, {extreme} first", meaning, partial(sort, name, ascending))


def layer_commands(layers: Sequence[LayerKey], show: Callable[[LayerKey], None]) -> Iterator[SystemCommand]:
    """Yield a command for each layer, which calls `show` with it."""
    for layer in layers:
        name = escape(printable("/".join(layer), 60))  # the palette reads markup
        yield SystemCommand(f"Layer {name}", "Show its units", partial(show, layer))
