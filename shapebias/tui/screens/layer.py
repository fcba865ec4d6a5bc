"""A layer as a whole, beside the same layer of the other models: metrics, noise, detectors, filters."""

from typing import ClassVar

import numpy as np
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from shapebias.core.analysis.comparison import dead_units, living
from shapebias.core.analysis.dissection import count_detectors
from shapebias.core.figures.units import tiled_filters
from shapebias.core.metrics import METRICS
from shapebias.core.store.concepts import read_concepts
from shapebias.core.store.reader import Store
from shapebias.core.store.schema import layer_path
from shapebias.core.text import printable
from shapebias.tui.widgets.text_plots import bar, picture, scatter, series, spread

_SIDE = 110  # columns from which two parts stand side by side


class LayerScreen(Screen[None]):
    """Scrolls. Beside it, in every model that has a layer of that name."""

    DEFAULT_CSS = """
    LayerScreen VerticalScroll { padding: 0 1; }
    LayerScreen Horizontal { height: auto; }
    LayerScreen #numbers { width: 1fr; height: auto; }
    LayerScreen #pictures { width: 1fr; height: auto; }
    LayerScreen.-one Horizontal { layout: vertical; }
    LayerScreen.-one #numbers, LayerScreen.-one #pictures { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,l,enter", "app.pop_screen", "Back"),
        Binding("j", "scroll(1)", "Down"),
        Binding("k", "scroll(-1)", "Up"),
    ]

    def __init__(self, store: Store, model: str, layer: str) -> None:
        super().__init__()
        self._store, self._layer = store, layer
        others = [each for each in store.models if each != model and layer in store.layers(each)]
        self._models = [each for each in store.models if each == model or each in others]
        self._marks = series(self._models)

    def compose(self) -> ComposeResult:
        with VerticalScroll(), Horizontal():
            yield Static(id="numbers")
            yield Static(id="pictures")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        beside = self.size.width >= _SIDE
        self.set_class(not beside, "-one")
        width = (self.size.width - 6) // (2 if beside else 1)
        self.query_one("#numbers", Static).update(Text("\n").join([*self._heading(), *self.metrics(width)]))
        pictures = [*self.noise(width, 16), *self.detectors(width), *self.filters(width)]
        self.query_one("#pictures", Static).update(Text("\n").join(pictures))

    def action_scroll(self, rows: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=3 * rows, animate=False)

    def _heading(self) -> list[Text]:
        lines = [Text(printable(self._layer, 60), style="bold")]
        for model, (color, mark) in self._marks.items():
            facts = self._store.layers(model)[self._layer]
            dead = int(dead_units(self._store, model, self._layer).sum())
            size = f"{facts.units} units, {dead} dead, maps {facts.map_height} x {facts.map_width}"
            lines.append(Text.assemble((mark, color), f" {printable(model, 40)}  ", (size, "dim")))
        return [*lines, Text()]

    def metrics(self, width: int) -> list[Text]:
        """How every metric spreads over the living units of each model, with its median, between the same two ends."""
        names = {name: None for model in self._models for name in self._store.metric_names(model, self._layer)}
        room = max(min(width - 44, 60), 8)
        lines = []
        for name in names:
            values = {
                model: living(self._store, model, self._layer, name)
                for model in self._models
                if name in self._store.metric_names(model, self._layer)
            }
            every = np.concatenate(list(values.values()))
            if not len(every):
                continue
            low, high = float(every.min()), float(every.max())
            title = METRICS[name].title
            for model, each in values.items():
                color, mark = self._marks[model]
                median = METRICS[name].format(float(np.median(each))) if len(each) else "–"
                line = Text(title[:13].ljust(14)).append(f"{mark} ", color).append(median.rjust(8))
                line.append(f"{METRICS[name].format(low) if title else '':>9} ", "dim")
                line.append(spread(each, low, high, room), color)
                lines.append(line.append(f" {METRICS[name].format(high)}" if title else "", "dim"))
                title = ""
        return lines

    def noise(self, width: int, height: int) -> list[Text]:
        """Total variation on clean images against noisy ones, a mark a living unit."""
        points = {}
        for model in self._models:
            if "tv_noisy" in self._store.metric_names(model, self._layer):
                alive = ~dead_units(self._store, model, self._layer)
                tv = (self._store.metric(model, self._layer, name)[alive] for name in ("tv", "tv_noisy"))
                clean, noisy = (each.astype(np.float64) for each in tv)
                points[self._marks[model]] = clean, noisy
        if not points:
            return [Text("no variation under noise: the store was made without --passes noise", style="dim"), Text()]
        title = Text("total variation: clean images across, noisy ones up", style="bold")
        return [title, *scatter(points, max(min(width - 2, 56), 10), height), Text()]

    def detectors(self, width: int) -> list[Text]:
        """How many units detect a concept, by category."""
        concepts = read_concepts(self._store)
        shown = [model for model in self._models if self._store.has(f"{layer_path(model, self._layer)}/concepts/label")]
        if concepts is None or not shown:
            return [Text("no detectors: the store was made without --passes dissection", style="dim"), Text()]
        found = {each.model: each for each in count_detectors(self._store, concepts, [(m, self._layer) for m in shown])}
        most = max(max(each.detectors.values(), default=0) for each in found.values())
        lines = [Text("detectors (IoU of at least 0.04)", style="bold")]
        for category in concepts.categories:
            if not any(each.detectors[category] for each in found.values()):
                continue
            name = category
            for model, each in found.items():
                color, mark = self._marks[model]
                count = each.detectors[category]
                share = bar(count / most if most else 0.0, max(min(width - 24, 40), 6))
                line = Text(printable(name, 12).ljust(14)).append(f"{mark} ", color)
                lines.append(line.append(share, color).append(f" {count}"))
                name = ""
        if len(lines) == 1:
            lines.append(Text("none", style="dim"))
        return [*lines, Text()]

    def filters(self, width: int) -> list[Text]:
        """The kernels of a first layer, as pictures."""
        lines: list[Text] = []
        for model in self._models:
            kernels = self._store.filters(model) if self._store.models[model].layers[0] == self._layer else None
            if kernels is None:
                continue
            pixels = tiled_filters(kernels, max(1, (width - 1) // (kernels.shape[3] + 1)), ground=24)
            lines += [Text(f"filters of {printable(model, 40)}", style="bold"), *picture(pixels), Text()]
        return lines
