"""The models and their layers: how many units each layer has, their mean smoothness, how many are detectors."""

import math
from contextlib import suppress
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from shapebias.core.analysis.comparison import summarize
from shapebias.core.analysis.dissection import detectors_in
from shapebias.core.errors import ShapebiasError
from shapebias.core.store import schema
from shapebias.core.store.reader import Store
from shapebias.core.text import cell_width, padded, printable
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.text_plots import bar

LayerKey = tuple[str, str]  # a model and one of its layers

_NAME, _BAR = 20, 6  # cells for a name and for a bar of 0 to 1
_LATER = 0.2  # seconds after the start when there is time to read every layer


class LayerList(Tree[LayerKey | None]):
    """A tree with a branch for each model, and a leaf for each layer that carries (model, layer)."""

    DEFAULT_CSS = """
    LayerList { width: auto; max-width: 42; height: 1fr; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "scroll_home", "First", show=False),
        Binding("G", "scroll_end", "Last", show=False),
    ]

    def __init__(self, store: Store, id: str | None = None) -> None:
        super().__init__("store", id=id, classes="framed")
        write_frame(self, "Layers")
        self.show_root = False
        self.guide_depth = 2
        self._store = store
        self._leaves: dict[LayerKey, TreeNode[LayerKey | None]] = {}
        names = [printable(name, _NAME) for label in store.models for name in store.layers(label)]
        self._widest = max(map(cell_width, names))
        dissected = any(part.has(schema.CONCEPTS) for part, _ in store.parts)
        for label in store.models:
            title = Text(padded(printable(label, self._widest + 2), self._widest + 2), style="bold")
            title.append(" units smooth" + dissected * " det.", "not bold dim")
            branch = self.root.add(title, expand=True)
            for name in store.layers(label):
                self._leaves[label, name] = branch.add_leaf(self._line((label, name)), (label, name))

    def on_mount(self) -> None:
        self.set_timer(_LATER, lambda: self.run_worker(self._summarize, thread=True))

    def _line(self, key: LayerKey, smoothness: float = math.nan, detectors: int | None = None) -> Text:
        """Return a layer's line: its name, its units, a bar of their mean smoothness, how many are detectors."""
        model, name = key
        units = self._store.layers(model)[name].units
        numbers = f" {units:>5} {bar(smoothness, _BAR)}" + ("" if detectors is None else f" {detectors:>4}")
        return Text.assemble(padded(printable(name, _NAME), self._widest), (numbers, "dim"))

    def _summarize(self) -> None:
        """Write the numbers of every layer. Runs on a thread, as it reads them all."""
        with suppress(ShapebiasError):  # a store's damage is said where it is in the way
            for key in self._leaves:
                smoothness = summarize(self._store, *key, "smoothness").mean
                line = self._line(key, smoothness, detectors_in(self._store, *key))
                self.app.call_later(self._leaves[key].set_label, line)

    @property
    def keys(self) -> list[LayerKey]:
        """All layers, from the top."""
        return list(self._leaves)

    def go_to(self, key: LayerKey) -> None:
        """Put the cursor on a layer."""
        self.move_cursor(self._leaves[key])

    def render_label(self, node: TreeNode[LayerKey | None], base_style: Style, style: Style) -> Text:
        label = node.label.copy() if isinstance(node.label, Text) else Text(str(node.label))
        label.stylize(style)
        return label
