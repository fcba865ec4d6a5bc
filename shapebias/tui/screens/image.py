"""One of a unit's top images on the whole screen, and the activation map over it."""

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from shapebias.core.analysis.by_image import Decision, ImageName, decision_text, decisions_on
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.widgets.grid_view import GridView


class ImageScreen(Screen[None]):
    """Walks the unit's images. `go` gets the image whose units are asked for."""

    DEFAULT_CSS = """
    ImageScreen > .facts { height: 4; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ImageScreen > GridView { margin: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "app.pop_screen", "Back"),
        Binding("right,down,j,space", "move(1)", "Next image"),
        Binding("left,up,k", "move(-1)", "Previous image"),
        Binding("g,home", "move(-1000000)", "Strongest", show=False),
        Binding("G,end", "move(1000000)", "Weakest", show=False),
        Binding("i", "by_image", "By image"),
    ]

    def __init__(self, store: Store, subject: UnitImage, grid: GridView, go: Callable[[ImageName, Unit], None]) -> None:
        """Raises StoreError."""
        super().__init__()
        self._store, self._go = store, go
        self._top = store.top(subject.unit)
        self._unit = subject.unit
        self.rank = min(subject.rank, max(len(self._top.image) - 1, 0))
        self.grid = grid
        self._facts = Static(classes="facts")

    @property
    def image(self) -> ImageName:
        """The image that is shown."""
        number = int(self._top.image[self.rank])
        return ImageName(self._store.image_name(number), self._store.class_of(number), False)

    def compose(self) -> ComposeResult:
        yield self._facts
        yield self.grid
        yield Footer()

    def on_mount(self) -> None:
        self._show()

    def action_move(self, step: int) -> None:
        place = min(max(self.rank + step, 0), len(self._top.image) - 1)
        if place != self.rank:
            self.rank = place
            self._show()

    def action_by_image(self) -> None:
        self._go(self.image, self._unit)

    def _show(self) -> None:
        others = [self.rank + step for step in (1, -1) if 0 <= self.rank + step < len(self._top.image)]
        self._facts.update(self.facts(), layout=False)
        self.grid.show(UnitImage(self._unit, self.rank), [UnitImage(self._unit, rank) for rank in others])

    def facts(self) -> Text:
        """Unit and rank; the activation; path and class; what the models decide."""
        value, (y, x) = float(self._top.value[self.rank]), self._top.position[self.rank].tolist()
        largest, (height, width) = float(self._top.value[0]), self._top.map.shape[1:]
        share = f", {value / largest:.3f} of its max" if largest > 0 else ""
        title = Text(printable(str(self._unit), 60), style="bold")
        title.append(f"  image {self.rank + 1} of {len(self._top.image)}", style="not bold")
        shown = "whole; its activation map, a line around a > q995" if self.grid.draws else "its activation map"
        title.append(f"  {shown}", style="not bold dim")
        image = self.image
        named = Text.assemble(printable(image.path, 120), ("  " + printable(image.about, 60), "dim"))
        lines = [
            title,
            Text(f"activation {value:.4g}{share}, the maximum at y {y}, x {x} of the {height} × {width} map"),
            named,
            decisions_line(decisions_on(self._store, image)),
        ]
        return Text("\n").join(lines)


def decisions_line(decisions: dict[str, Decision]) -> Text:
    """What the models decide, one after the other."""
    said = [
        Text.assemble((f"{printable(model, 30)} decides ", "dim"), decision_text(decision))
        for model, decision in decisions.items()
    ]
    return Text("   ").join(said)
