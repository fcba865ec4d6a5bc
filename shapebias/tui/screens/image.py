"""One of a unit's top images on the whole screen, and the activation map over it."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from shapebias.core.analysis.by_image import Decision, ImageName, decision_text, decisions_on
from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.messages import OpenByImage
from shapebias.tui.session import Session


class NoImagesError(ShapebiasError):
    """A unit has no top images to show."""


class ImageScreen(Screen[None]):
    """One of a unit's top images; `rank` is its number from 0, strongest first. Posts `OpenByImage`."""

    DEFAULT_CSS = """
    ImageScreen > .facts { height: 4; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ImageScreen > GridView { margin: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter", "app.pop_screen", "Back"),
        Binding("right,down,j,space", "move(1)", "Next image"),
        Binding("left,up,k", "move(-1)", "Previous image"),
        Binding("g,home", "move(-1000000)", "Strongest", show=False),
        Binding("G,end", "move(1000000)", "Weakest", show=False),
        Binding("i", "by_image", "By image"),
    ]

    def __init__(self, session: Session, unit_image: UnitImage) -> None:
        """Begin at an image, at the last one where its rank is too high. Raises NoImagesError and StoreError."""
        super().__init__()
        self._store, self._unit = session.store, unit_image.unit
        self._top = self._store.top(self._unit)
        if not len(self._top.image):
            raise NoImagesError("no image: the unit has no top images")
        self.rank = min(unit_image.rank, len(self._top.image) - 1)
        self.grid = session.new_grid()
        self._facts = Static(classes="facts")

    @property
    def image(self) -> ImageName:
        """The image that is shown."""
        return _probe_image(self._store, int(self._top.image[self.rank]))

    def compose(self) -> ComposeResult:
        yield self._facts
        yield self.grid
        yield Footer()

    def on_mount(self) -> None:
        self._show()

    def action_move(self, step: int) -> None:
        """Show the image so many ranks below, as far as there are images."""
        rank = min(max(self.rank + step, 0), len(self._top.image) - 1)
        if rank != self.rank:
            self.rank = rank
            self._show()

    def action_by_image(self) -> None:
        """Ask for the screen of what fires on the image."""
        self.post_message(OpenByImage(self.image, self._unit))

    def _show(self) -> None:
        """Show the image, and have the pictures of the next and the previous one made."""
        neighbours = [self.rank + step for step in (1, -1) if 0 <= self.rank + step < len(self._top.image)]
        self._facts.update(self.facts(), layout=False)
        self.grid.show(UnitImage(self._unit, self.rank), [UnitImage(self._unit, rank) for rank in neighbours])

    def facts(self) -> Text:
        """Return four lines: unit and rank; the activation; path and class; what the models decide."""
        value, (y, x) = float(self._top.value[self.rank]), self._top.position[self.rank].tolist()
        largest, (height, width) = float(self._top.value[0]), self._top.map.shape[1:]
        share = f", {value / largest:.3f} of its max" if largest > 0 else ""
        title = Text(printable(str(self._unit), 60), style="bold")
        title.append(f"  image {self.rank + 1} of {len(self._top.image)}", style="not bold")
        drawn = "whole; its activation map, a line around a > q995" if self.grid.draws else "its activation map"
        title.append(f"  {drawn}", style="not bold dim")
        image = self.image
        lines = [
            title,
            Text(f"activation {value:.4g}{share}, the maximum at y {y}, x {x} of the {height} × {width} map"),
            Text.assemble(printable(image.path, 120), ("  " + printable(image.about, 60), "dim")),
            decisions_line(decisions_on(self._store, image)),
        ]
        return Text("\n").join(lines)


def strongest_image(store: Store, unit: Unit) -> ImageName:
    """Return the image that drives a unit hardest; the store's first one for a unit without top images."""
    images = store.top(unit).image
    return _probe_image(store, int(images[0]) if len(images) else 0)


def _probe_image(store: Store, number: int) -> ImageName:
    """Return the name of a probe image by its number."""
    return ImageName(store.image_name(number), store.class_of(number), False)


def decisions_line(decisions: dict[str, Decision]) -> Text:
    """Return what the models decide, one after the other."""
    texts = [
        Text.assemble((f"{printable(model, 30)} decides ", "dim"), decision_text(decision))
        for model, decision in decisions.items()
    ]
    return Text("   ").join(texts)
