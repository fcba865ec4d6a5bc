"""The models of a store: what they are, their shape bias, and their accuracy on clean and on changed images."""

import math
import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.analysis.criteria import criteria, criteria_notes, criteria_rows
from shapebias.core.analysis.describe import category_choices, observers_of, preprocessing_text
from shapebias.core.analysis.ood import mean_accuracy, ood_accuracies
from shapebias.core.numbers import number_text
from shapebias.core.shape_bias.observers import choice_text, shape_categories
from shapebias.core.text import aligned, cell_width, printable
from shapebias.tui.screens.reading import ReadingScreen, reading_keys
from shapebias.tui.session import Session
from shapebias.tui.widgets.text_plots import PEOPLE, bar, marked_line, series

_SIDE = 170  # columns from which the page is two columns
_NAME = 22  # cells for a category's or a condition's name


class ModelScreen(ReadingScreen):
    """All models of the store. For what the store lacks there is one line that says how to get it."""

    DEFAULT_CSS = """
    ModelScreen Horizontal { height: auto; }
    ModelScreen Static { width: 1fr; height: auto; }
    ModelScreen #right { display: none; padding-left: 2; }
    ModelScreen.-beside #right { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = reading_keys("o")
    heading = "Models"

    def __init__(self, session: Session) -> None:
        """Read what the store knows of its models. Raises StoreError."""
        super().__init__()
        self._store = session.store
        self._left, self._right = Static(), Static(id="right")
        self._choices = category_choices(self._store)
        self._observers = observers_of(self._store)
        self._accuracies = accuracies(self._store)
        self._criteria = criteria(self._store)
        self._ood = {label: ood_accuracies(self._store, label) for label in self._store.models}

    def parts(self) -> list[Widget]:
        return [Horizontal(self._left, self._right)]

    def on_resize(self) -> None:
        width, beside = self.size.width - 6, self.size.width >= _SIDE
        self.set_class(beside, "-beside")
        if beside:
            self._left.update(_page(self._facts(width // 2)))
            self._right.update(_page(self._measured(width // 2 - 2)))
        else:
            self._left.update(self.text(width))

    def text(self, width: int) -> Text:
        """Return the whole page, in lines of at most `width` cells."""
        return _page([*self._facts(width), *self._measured(width)])

    def _facts(self, width: int) -> list[list[Text]]:
        """Return the sections on what the models are and how they decide."""
        return [self._models(width), self._three_criteria(width), self._bias(width)]

    def _measured(self, width: int) -> list[list[Text]]:
        """Return the sections on what the models withstand."""
        return [self._withstood(width), self._out_of_distribution(width)]

    def _models(self, width: int) -> list[Text]:
        """Return three lines for each model: what it is, where it is from, how images are prepared for it."""
        lines = []
        for label, (color, mark) in series(list(self._store.models)).items():
            model = self._store.models[label]
            units = sum(layer.units for layer in self._store.layers(label).values())
            accuracy = "" if model.top1 is None else f", top-1 {model.top1:.1%}"
            facts = f"{printable(model.architecture, 40)}, {model.parameters:,} weights, {units:,} units{accuracy}"
            lines.append(Text.assemble((mark, color), (f" {printable(label, 64)}  ", "bold"), facts))
            source = f"sha256 {printable(model.weights_sha256[:12])}, from {printable(model.source, 200)}"
            lines.append(Text(f"  {source}", style="dim"))
            lines.append(Text(f"  {preprocessing_text(model.preprocessing)}", style="dim"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _three_criteria(self, width: int) -> list[Text]:
        """Return a line for each model with accuracy, accuracy out of distribution and explainability, then notes.

        Where the columns together are wider than `width`, they are split into several tables below one another.
        """
        if not self._criteria.has_more:
            return [_missing("explainability", "--passes attribution")]
        lines = [Text("criteria", style="bold")]
        marks = [("  ", ""), *((f"{mark} ", color) for color, mark in series(list(self._store.models)).values())]
        for columns in _blocks(criteria_rows(self._criteria), width - 2):
            cells = aligned(columns).splitlines()
            lines += [Text.assemble((mark, color), line) for (mark, color), line in zip(marks, cells, strict=True)]
        for note in criteria_notes(self._criteria):
            lines += [Text(line, style="dim") for line in textwrap.wrap(note, width)]
        return lines

    def _bias(self, width: int) -> list[Text]:
        """Return the shape bias of each model, and of people together, with its interval; then for each category a line
        that marks where they are between texture and shape, and notes below it. Without a model's bias only a hint.
        """
        models = [observer for observer in self._observers if not observer.is_people]
        if not models:
            return [_missing("shape bias", "--cue-conflict DIR")]
        marks = series(list(self._store.models))
        marked = [(observer, PEOPLE if observer.is_people else marks[observer.name]) for observer in self._observers]
        lines = [Text("shape bias", style="bold")]
        for observer, (color, mark) in marked:
            low, high = observer.score.interval
            interval = "" if math.isnan(low) else f"  {number_text(low)} to {number_text(high)}"
            counts = observer.score.counts
            line = f" {printable(observer.name, 40)}  {number_text(counts.shape_bias)}{interval}  "
            prepared = f", {observer.score.stimuli} stimuli" if observer.score.stimuli else ""
            line += f"({counts.shape:,} shape, {counts.texture:,} texture, {counts.other:,} other{prepared})"
            lines.append(Text.assemble((mark, color), line))
        room = max(min(width - _NAME - 2, 120), 10)
        ends = "texture".ljust(room - len("shape")) + "shape"
        lines.append(Text(" " * _NAME + ends, style="dim"))
        for category in shape_categories(self._observers):
            values = {mark: observer.category_bias.get(category, math.nan) for observer, mark in reversed(marked)}
            lines.append(Text(printable(category, _NAME - 2).ljust(_NAME)) + marked_line(values, room))
        for choice in self._choices:
            text = "" if choice is None else choice_text(choice)
            lines += [Text(line, style="dim") for line in textwrap.wrap(text, width)]
        return lines

    def _withstood(self, width: int) -> list[Text]:
        """Return one bar for each condition and model: accuracy on the images as they are, and on distorted ones."""
        if not self._accuracies:
            return [_missing("accuracy", "images in folders named by class")]
        fractions: dict[str, dict[str, float]] = {}
        for measured in self._accuracies:
            fractions.setdefault(measured.condition, {})[measured.model] = measured.accuracy
        lines = [Text("accuracy", style="bold"), *self._bars(list(fractions.items()), width)]
        if len(fractions) == 1:
            lines.append(_missing("accuracy without shape, without texture, with noise", "--passes distortions"))
        return lines

    def _out_of_distribution(self, width: int) -> list[Text]:
        """Return one bar of accuracy for each out-of-distribution set and model; below several sets, their mean."""
        fractions: dict[str, dict[str, float]] = {}
        for model, known in self._ood.items():
            for measured in known:
                fractions.setdefault(measured.set_name, {})[model] = measured.accuracy
        if not fractions:
            return [_missing("accuracy out of distribution", "--ood NAME=IMAGES")]
        rows = list(fractions.items())
        if len(rows) > 1:
            rows.append(("mean", {model: mean_accuracy(known) for model, known in self._ood.items() if known}))
        return [Text("accuracy out of distribution", style="bold"), *self._bars(rows, width)]

    def _bars(self, rows: Sequence[tuple[str, dict[str, float]]], width: int) -> list[Text]:
        """Return one bar for each row and model; a row is a name and a fraction from 0 to 1 for each model."""
        marks, room = series(list(self._store.models)), max(min(width - _NAME - 14, 120), 8)
        lines = []
        for condition, by_model in rows:
            name = condition
            for model, fraction in by_model.items():
                color, mark = marks[model]
                line = Text(printable(name, _NAME - 2).ljust(_NAME)).append(f"{mark} ", color)
                lines.append(line.append(bar(fraction, room), color).append(f" {fraction:6.1%}"))
                name = ""
        return lines


def _page(sections: Sequence[Sequence[Text]]) -> Text:
    """Return sections below one another, with a blank line behind each."""
    return Text("\n").join(line for section in sections for line in [*section, Text()])


def _blocks(rows: Sequence[Sequence[str]], width: int) -> list[list[list[str]]]:
    """Return a table split into several, each with the first column and as many others as fit into `width` cells."""
    first, *others = zip(*rows, strict=True)
    blocks, room = [[first]], 0
    for column in others:
        cells = 2 + max(map(cell_width, column))
        if cells > room:
            blocks.append([first])
            room = width - max(map(cell_width, first))
        blocks[-1].append(column)
        room -= cells
    return [[list(row) for row in zip(*block, strict=True)] for block in blocks[1:]]


def _missing(what: str, option: str) -> Text:
    """Return the line that says that the store lacks something, and without which `option` it was made."""
    return Text(f"no {what}: the store was made without {option}", style="dim")
