"""A layer as a whole, beside the same layer of the other models: metrics, noise, detectors, filters."""

from typing import ClassVar

import numpy as np
from rich.text import Text
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from shapebias.core.analysis.chance import chance_text, class_diversity_by_chance
from shapebias.core.analysis.comparison import dead_units, living
from shapebias.core.analysis.dissection import count_detectors
from shapebias.core.figures.units import tiled_filters
from shapebias.core.metrics import METRICS
from shapebias.core.numbers import number_text
from shapebias.core.store.concepts import read_concepts, was_dissected
from shapebias.core.text import printable
from shapebias.tui.screens.reading import ReadingScreen, reading_keys
from shapebias.tui.session import Session
from shapebias.tui.widgets.layer_list import LayerKey
from shapebias.tui.widgets.text_plots import bar, picture, scatter, series, spread

_SIDE = 110  # columns of the screen from which numbers and pictures stand side by side


class LayerScreen(ReadingScreen):
    """A layer of one model, and the layer of the same name in every other model that has one."""

    DEFAULT_CSS = """
    LayerScreen Horizontal { height: auto; }
    LayerScreen #numbers { width: 1fr; height: auto; }
    LayerScreen #pictures { width: 1fr; height: auto; }
    LayerScreen.-one Horizontal { layout: vertical; }
    LayerScreen.-one #numbers, LayerScreen.-one #pictures { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = reading_keys("l")

    def __init__(self, session: Session, layer: LayerKey) -> None:
        super().__init__()
        self._store, (_, self._layer) = session.store, layer
        self.heading = self._layer
        self._models = [model for model in self._store.models if self._layer in self._store.layers(model)]
        self._marks = series(self._models)
        chances = (class_diversity_by_chance(self._store, model, self._layer) for model in self._models)
        self._chances = dict.fromkeys(chance_text(chance) for chance in chances if chance is not None)

    def parts(self) -> list[Widget]:
        return [Horizontal(Static(id="numbers"), Static(id="pictures"))]

    def on_resize(self) -> None:
        beside = self.size.width >= _SIDE
        self.set_class(not beside, "-one")
        width = (self.size.width - 8) // (2 if beside else 1)
        self.query_one("#numbers", Static).update(Text("\n").join([*self._heading(), *self.metrics(width)]))
        below = [*self.detectors(width), *self.filters(width)]
        pictures = [*self.noise(width, max(self.size.height - len(below) - 8, 16)), *below]
        self.query_one("#pictures", Static).update(Text("\n").join(pictures))

    def _heading(self) -> list[Text]:
        """Return one line for each model with its units and the size of the layer's maps, then a blank line."""
        lines = []
        for model, (color, mark) in self._marks.items():
            facts = self._store.layers(model)[self._layer]
            dead = int(dead_units(self._store, model, self._layer).sum())
            size = f"{facts.units} units, {dead} dead, maps {facts.map_height} x {facts.map_width}"
            size += f", {printable(facts.ending, 60)}" if facts.ending else ""
            lines.append(Text.assemble((mark, color), f" {printable(model, 40)}  ", (size, "dim")))
        return [*lines, Text()]

    def metrics(self, width: int) -> list[Text]:
        """Return one line for each metric and model: the median and a histogram of the living units' values.

        The histograms of one metric have the same two ends for all models. `width` is the room for a line in cells.
        Metrics that no living unit has are left out.
        """
        names = {name: None for model in self._models for name in self._store.metric_names(model, self._layer)}
        room = max(min(width - 44, 120), 8)
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
            for model, living_values in values.items():
                color, mark = self._marks[model]
                median = number_text(float(np.median(living_values))) if len(living_values) else "–"
                line = Text(title[:13].ljust(14)).append(f"{mark} ", color).append(median.rjust(8))
                line.append(f"{number_text(low) if title else '':>9} ", "dim")
                line.append(spread(living_values, low, high, room), color)
                lines.append(line.append(f" {number_text(high)}" if title else "", "dim"))
                title = ""
            if name == "class_diversity":
                lines += [Text(f"{'':16}{chance}", style="dim") for chance in self._chances]
        return lines

    def noise(self, width: int, height: int) -> list[Text]:
        """Return a plot of total variation with one mark for each living unit: clean images across, noisy ones up.

        It is `height` lines high, without the title. A store without the noise pass has a line that says so instead.
        """
        points = {}
        for model in self._models:
            if "tv_noisy" in self._store.metric_names(model, self._layer):
                alive = ~dead_units(self._store, model, self._layer)
                clean = self._store.metric(model, self._layer, "tv")[alive].astype(np.float64)
                noisy = self._store.metric(model, self._layer, "tv_noisy")[alive].astype(np.float64)
                points[self._marks[model]] = clean, noisy
        if not points:
            return [Text("no variation under noise: the store was made without --passes noise", style="dim"), Text()]
        title = Text("total variation: clean images to the right, noisy images up", style="bold")
        return [title, *scatter(points, max(min(width - 2, 7 * height // 2), 10), height), Text()]

    def detectors(self, width: int) -> list[Text]:
        """Return one bar for each category and model: how many units detect a concept of that category.

        A store without the dissection pass has a line that says so instead.
        """
        concepts = read_concepts(self._store)
        dissected = [model for model in self._models if was_dissected(self._store, model, self._layer)]
        if concepts is None or not dissected:
            return [Text("no detectors: the store was made without --passes dissection", style="dim"), Text()]
        counts = {
            layer.model: layer.detectors
            for layer in count_detectors(self._store, concepts, [(model, self._layer) for model in dissected])
        }
        most = max(max(detectors.values(), default=0) for detectors in counts.values())
        lines = [Text("detectors (IoU of at least 0.04)", style="bold")]
        for category in concepts.categories:
            if not any(detectors[category] for detectors in counts.values()):
                continue
            name = category
            for model, detectors in counts.items():
                color, mark = self._marks[model]
                count = detectors[category]
                share = bar(count / most if most else 0.0, max(min(width - 24, 120), 6))
                line = Text(printable(name, 12).ljust(14)).append(f"{mark} ", color)
                lines.append(line.append(share, color).append(f" {count}"))
                name = ""
        if len(lines) == 1:
            lines.append(Text("none", style="dim"))
        return [*lines, Text()]

    def filters(self, width: int) -> list[Text]:
        """Return the kernels of the models whose first layer this is, as lines of half cells at most `width` long."""
        lines: list[Text] = []
        for model in self._models:
            kernels = self._store.filters(model) if self._store.models[model].layers[0] == self._layer else None
            if kernels is None:
                continue
            pixels = tiled_filters(kernels, max(1, (width - 1) // (kernels.shape[3] + 1)), ground=24)
            lines += [Text(f"filters of {printable(model, 40)}", style="bold"), *picture(pixels), Text()]
        return lines
