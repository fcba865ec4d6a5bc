"""The explorer's keys, in the footer's order; what they do is in app.py, what the help says of them in help.py."""

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
