"""One of a unit's top images on the whole screen, with the unit's activation map or the models' attribution maps."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Static

from shapebias.core.analysis.by_image import Decision, ImageName, decision_text, decisions_on, probe_image
from shapebias.core.errors import ShapebiasError
from shapebias.core.numbers import number_text
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable
from shapebias.tui.messages import OpenByImage
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.framed import write_frame
from shapebias.tui.widgets.key_bar import KeyBar


class NoImagesError(ShapebiasError):
    """A unit has no top images to show."""


class ImageScreen(TellsErrors, Screen[None]):
    """One of a unit's top images; `rank` is its number from 0, strongest first. Posts `OpenByImage` with it at i.

    Images without attribution maps have the unit's activation map even while `maps`, the view of these, is open.
    """

    DEFAULT_CSS = """
    ImageScreen .facts { height: 3; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ImageScreen .activation { margin: 0 1; }
    ImageScreen.-mapped .facts, ImageScreen.-mapped .activation { display: none; }
    ImageScreen.-mapped AttributionView { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter", "back", "Back"),
        Binding("right,down,j,space", "move(1)", "Next image"),
        Binding("left,up,k", "move(-1)", "Previous image", show=False),
        Binding("g,home", "move(-1000000)", "Strongest", show=False),
        Binding("G,end", "move(1000000)", "Weakest", show=False),
        Binding("i", "by_image", "By image"),
        Binding("a", "walk(1)", "Attribution"),
        Binding("A", "walk(-1)", "Previous method", show=False),
        Binding("n", "mapped(1)", "Next with attribution", show=False),
        Binding("N", "mapped(-1)", "Previous with attribution", show=False),
        Binding("v", "scale", "Scale of the maps", show=False),
    ]

    def __init__(self, session: Session, unit_image: UnitImage) -> None:
        """Begin at `unit_image`, at the unit's last image where its rank is too high.

        Raises NoImagesError where the unit has no top images, and StoreError.
        """
        super().__init__()
        self._store, self._unit = session.store, unit_image.unit
        self._top = self._store.top(self._unit)
        if not len(self._top.image):
            raise NoImagesError("no image: the unit has no top images")
        self.rank = min(unit_image.rank, len(self._top.image) - 1)
        self.grid, self.maps = session.new_grid(), session.new_attribution_view("i, a shows them")
        self._said = ""  # a message to the user, until the next image or view
        self._frame, self._facts = Vertical(classes="framed"), Static(classes="facts")
        self.grid.add_class("activation")

    @property
    def unit_image(self) -> UnitImage:
        """The image that is shown, as one of its unit's."""
        return UnitImage(self._unit, self.rank)

    @property
    def image(self) -> ImageName:
        """The image that is shown."""
        return self._image_at(self.rank)

    def _image_at(self, rank: int) -> ImageName:
        return probe_image(self._store, int(self._top.image[rank]))

    def compose(self) -> ComposeResult:
        with self._frame:
            yield self._facts
            yield self.grid
            yield self.maps
        yield KeyBar()

    def on_mount(self) -> None:
        self._show()

    def action_move(self, step: int) -> None:
        """Show the image so many ranks weaker, stronger where `step` is negative; at the ends the last or first one."""
        self._show_at(min(max(self.rank + step, 0), len(self._top.image) - 1))

    def action_by_image(self) -> None:
        """Ask for the screen of what fires on the image."""
        self.post_message(OpenByImage(self.image, self._unit))

    def action_back(self) -> None:
        """Close the attribution maps, or leave the screen where they are closed."""
        if self.maps.method is None:
            self.app.pop_screen()
        else:
            self.maps.close()
            self._show()

    def action_walk(self, step: int) -> None:
        """Open the attribution maps, or go on by `step` methods; behind the last comes the activation map again."""
        self._show(self.maps.walk(step, self.image))

    def action_mapped(self, step: int) -> None:
        """Open the attribution maps, at the unit's next image that has any; at the previous one for a `step` of -1."""
        said = self.maps.open()
        ahead = [rank for rank in self._mapped if (rank - self.rank) * step > 0]
        if self._mapped and not ahead:
            said = "no further image of the unit has attribution maps"
        self.rank = min(ahead, key=lambda rank: abs(rank - self.rank), default=self.rank)
        self._show(said)

    @property
    def _mapped(self) -> list[int]:
        """The ranks of the unit's images that have attribution maps; empty while no attribution maps are open."""
        return [rank for rank in range(len(self._top.image)) if self.maps.has(self._image_at(rank))]

    def action_scale(self) -> None:
        """Show all attribution maps on one scale, or each on its own."""
        self.maps.next_scale()

    def _show_at(self, rank: int) -> None:
        if rank != self.rank:
            self.rank = rank
            self._show()

    def _show(self, said: str = "") -> None:
        """Show the image, or its attribution maps where they are open, and have its neighbours' pictures made.

        `said` is a message; without one, it says that the image has no maps where they are open but it has none.
        """
        mapped = self.maps.has(self.image)
        self._said = said or ("" if mapped or self.maps.method is None else self._without_maps())
        neighbours = [self.rank + step for step in (1, -1) if 0 <= self.rank + step < len(self._top.image)]
        self.set_class(mapped, "-mapped")
        self._write_frame()
        if mapped:
            self.grid.show(None)
            self.maps.show(self.image, self._about(), self._unit.model, [self._image_at(rank) for rank in neighbours])
        else:
            self._facts.update(self.facts(), layout=False)
            self.grid.show(UnitImage(self._unit, self.rank), [UnitImage(self._unit, rank) for rank in neighbours])

    def _write_frame(self) -> None:
        """Write into the frame which image of which unit is shown."""
        write_frame(self._frame, str(self._unit), f"image {self.rank + 1} of {len(self._top.image)}")

    def _without_maps(self) -> str:
        """Return the text that tells the user that the image shown has no attribution maps."""
        if self._mapped:
            count = len(self._mapped)
            return f"this image has no attribution maps: n and N go to the unit's {count} images that have some"
        count = len(self.maps.images)
        return f"no image of the unit has attribution maps: i, a, then n goes through the {count:,} that have some"

    def _about(self) -> Text:
        """Return one line: the image's path and class, and the message to the user."""
        text = Text.assemble(printable(self.image.path, 120), (f"  {printable(self.image.about, 60)}", "dim"))
        return text.append(f"  {self._said}" if self._said else "", "yellow")

    def facts(self) -> Text:
        """Return three lines: the activation; path and class; the models' decisions, or the message to the user."""
        value, (y, x) = float(self._top.value[self.rank]), self._top.position[self.rank].tolist()
        largest, (height, width) = float(self._top.value[0]), self._top.map.shape[1:]
        share = f", {number_text(value / largest)} of its max" if largest > 0 else ""
        drawn = "whole; its activation map, a line around a > q995" if self.grid.draws else "its activation map"
        image = self.image
        lines = [
            Text.assemble(
                f"activation {number_text(value)}{share}, the maximum at y {y}, x {x} of the {height} × {width} map",
                (f"  {drawn}", "dim"),
            ),
            Text.assemble(printable(image.path, 120), ("  " + printable(image.about, 60), "dim")),
            Text(self._said, style="yellow") if self._said else decisions_line(decisions_on(self._store, image)),
        ]
        return Text("\n").join(lines)


def strongest_image(store: Store, unit: Unit) -> ImageName:
    """Return a unit's strongest image; the store's first image for a unit without top images. Raises StoreError."""
    images = store.top(unit).image
    return probe_image(store, int(images[0]) if len(images) else 0)


def mapped_image(session: Session, unit: Unit) -> ImageName:
    """Return the strongest of a unit's top images that have attribution maps.

    Where none of them has, it is the store's first image that has; where no image has, the unit's strongest one. Raises
    StoreError.
    """
    top = [probe_image(session.store, image) for image in session.store.top(unit).image.tolist()]
    mapped = [*filter(session.attributions.has, top), *session.attributions.images]
    return mapped[0] if mapped else strongest_image(session.store, unit)


def decisions_line(decisions: dict[str, Decision]) -> Text:
    """Return one line with what each model predicts; `decisions` are by model."""
    texts = [
        Text.assemble((f"{printable(model, 30)} predicts ", "dim"), decision_text(decision))
        for model, decision in decisions.items()
    ]
    return Text("   ").join(texts)
