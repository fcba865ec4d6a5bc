"""The models and their layers, with the number of units of each."""

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from shapebias.core.store import Store
from shapebias.core.text import cell_width, padded, printable

LayerKey = tuple[str, str]


class LayerList(Tree[LayerKey | None]):
    """Models as branches, layers as leaves that carry (model, layer). Selecting or moving onto a leaf shows it."""

    DEFAULT_CSS = """
    LayerList { width: auto; max-width: 40; height: 1fr; padding: 0 1 0 0; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G", "scroll_end", "Last", show=False),
    ]

    def __init__(self, store: Store, id: str | None = None) -> None:
        super().__init__("store", id=id)
        self.show_root = False
        self.guide_depth = 2
        self._leaves: dict[LayerKey, TreeNode[LayerKey | None]] = {}
        for label in store.models:
            branch = self.root.add(Text(printable(label, 30), style="bold"), expand=True)
            layers = store.layers(label)
            widest = max(cell_width(printable(name, 24)) for name in layers)
            for name, layer in layers.items():
                text = Text(padded(printable(name, 24), widest))
                text.append(f" {layer.units:>5}", style="dim")
                self._leaves[label, name] = branch.add_leaf(text, (label, name))

    @property
    def keys(self) -> list[LayerKey]:
        """All layers, from the top."""
        return list(self._leaves)

    def go_to(self, key: LayerKey) -> None:
        """Puts the cursor on a layer."""
        self.move_cursor(self._leaves[key])

    def render_label(self, node: TreeNode[LayerKey | None], base_style: Style, style: Style) -> Text:
        label = node.label.copy() if isinstance(node.label, Text) else Text(str(node.label))
        label.stylize(style)
        return label
