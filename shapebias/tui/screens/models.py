"""The models of a store: what they are, how they decide, what they withstand."""

import math
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.shape_bias.observers import Observer, observe, published, saw_other_images, shape_categories
from shapebias.core.store.reader import Store
from shapebias.core.text import printable
from shapebias.tui.widgets.text_plots import PEOPLE, bar, marked_line, series

_NAME = 22  # cells for a category's or a condition's name


class ModelScreen(Screen[None]):
    """Scrolls. What a store lacks is one line that says how to get it."""

    DEFAULT_CSS = "ModelScreen > VerticalScroll { padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,o,enter", "app.pop_screen", "Back"),
        Binding("j", "scroll(1)", "Down"),
        Binding("k", "scroll(-1)", "Up"),
    ]

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._shown = Static()
        self._observers = _observers(store)
        self._accuracies = accuracies(store)

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield self._shown
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        self._shown.update(self.text(self.size.width - 4))

    def action_scroll(self, rows: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=3 * rows, animate=False)

    def text(self, width: int) -> Text:
        """All of it, in lines of at most `width` cells."""
        parts = [self._models(width), self._bias(width), self._withstood(width)]
        return Text("\n").join(line for part in parts for line in [*part, Text()])

    def _models(self, width: int) -> list[Text]:
        lines = []
        for label, (color, mark) in series(list(self._store.models)).items():
            model = self._store.models[label]
            units = sum(layer.units for layer in self._store.layers(label).values())
            accuracy = "" if model.top1 is None else f", top-1 {model.top1:.1%}"
            what = f"{printable(model.architecture, 40)}, {model.parameters:,} weights, {units:,} units{accuracy}"
            lines.append(Text.assemble((mark, color), (f" {printable(label, 64)}  ", "bold"), what))
            source = f"sha256 {printable(model.weights_sha256[:12])}, from {printable(model.source, 200)}"
            lines.append(Text(f"  {source}", style="dim"))
            lines.append(Text(f"  {_preprocessing(model.preprocessing)}", style="dim"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _bias(self, width: int) -> list[Text]:
        models = [each for each in self._observers if not each.is_people]
        if not models:
            return [_missing("shape bias", "--cue-conflict DIR")]
        marks = series(list(self._store.models))
        shown = [(each, PEOPLE if each.is_people else marks[each.name]) for each in self._observers]
        lines = [Text("shape bias", style="bold")]
        for each, (color, mark) in shown:
            low, high = each.score.interval
            known = "" if math.isnan(low) else f"  {low:.3f} to {high:.3f}"
            counts = each.score.counts
            said = f" {printable(each.name, 40)}  {_number(counts.shape_bias)}{known}  "
            said += f"({counts.shape:,} shape, {counts.texture:,} texture, {counts.other:,} other)"
            lines.append(Text.assemble((mark, color), said))
        room = max(min(width - _NAME - 2, 80), 10)
        ends = "texture".ljust(room - len("shape")) + "shape"
        lines.append(Text(" " * _NAME + ends, style="dim"))
        for category in shape_categories(self._observers):
            values = {mark: each.category_bias.get(category, math.nan) for each, mark in reversed(shown)}
            lines.append(Text(printable(category, _NAME - 2).ljust(_NAME)) + marked_line(values, room))
        return lines

    def _withstood(self, width: int) -> list[Text]:
        if not self._accuracies:
            return [_missing("accuracy", "images in folders named by class")]
        marks = series(list(self._store.models))
        lines = [Text("accuracy", style="bold")]
        room = max(min(width - _NAME - 14, 60), 8)
        for condition in dict.fromkeys(each.condition for each in self._accuracies):
            name = condition
            for each in (one for one in self._accuracies if one.condition == condition):
                color, mark = marks[each.model]
                line = Text(printable(name, _NAME - 2).ljust(_NAME)).append(f"{mark} ", color)
                lines.append(line.append(bar(each.accuracy, room), color).append(f" {each.accuracy:6.1%}"))
                name = ""
        if len({each.condition for each in self._accuracies}) == 1:
            lines.append(_missing("accuracy without shape, without texture, with noise", "--passes distortions"))
        return lines


def _observers(store: Store) -> list[Observer]:
    """The models that decided for cue-conflict images; and people, as published, where they saw the same ones."""
    decided = {label: store.cue_conflict(label) for label in store.models}
    models = [observe(label, "", False, found) for label, found in decided.items() if found is not None]
    people = [each for each in published() if each.is_people and models and not saw_other_images(each, models)]
    return [*models, *people]


def _missing(what: str, option: str) -> Text:
    return Text(f"no {what}: the store was made without {option}", style="dim")


def _preprocessing(facts: dict[str, object]) -> str:
    pieces = []
    for name, value in facts.items():
        if isinstance(value, dict):
            pieces += [f"{inner} {each}" for inner, each in value.items()]
        elif isinstance(value, list):
            pieces.append(f"{name} {' '.join(map(str, value))}")
        elif value is not None:
            pieces.append(f"{name} {value}")
    return printable(", ".join(pieces), 300)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
