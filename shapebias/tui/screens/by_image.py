"""One image: what every model decides for it, the units of each layer that fire most on it, and where models look."""

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, HorizontalScroll, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from shapebias.core.analysis.by_image import ImageList, ImageName, OnImage, on_image
from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Unit
from shapebias.core.text import printable
from shapebias.tui.messages import GoTo
from shapebias.tui.screens.telling import TellsErrors
from shapebias.tui.session import Session
from shapebias.tui.widgets.framed import MUTED, write_frame
from shapebias.tui.widgets.image_list import ImageListView
from shapebias.tui.widgets.key_bar import KeyBar
from shapebias.tui.widgets.model_column import ModelColumn, decision_line
from shapebias.tui.widgets.prompt import PlainInput
from shapebias.tui.widgets.text_plots import series

_ROOMY = 24  # rows of the screen from which there is a picture; with more there is room to say what the numbers are


class ByImageScreen(TellsErrors, Screen[None]):
    """Images left, the chosen `image` with one column for each model in the middle, the unit under the cursor right.

    `results` are what each model makes of the image that was read last. Posts `GoTo` with the unit at Enter. While
    `maps` is open, only images with attribution maps are listed, and the maps of the chosen one replace the units.
    """

    DEFAULT_CSS = """
    ByImageScreen > Horizontal { height: 1fr; }
    ByImageScreen .find { width: 36; }
    ByImageScreen .find Input { height: 1; border: none; padding: 0 1; background: $surface; }
    ByImageScreen .image { width: 5fr; }
    ByImageScreen .about { height: auto; max-height: 4; }
    ByImageScreen .facts { width: 1fr; height: auto; padding: 0 1; }
    ByImageScreen GridView.photo { width: 1fr; height: 100%; margin-left: 1; display: none; }
    ByImageScreen.-roomy.-pictured .about { height: 35%; max-height: 100%; }
    ByImageScreen.-roomy.-pictured GridView.photo { display: block; }
    ByImageScreen HorizontalScroll { height: 1fr; scrollbar-size-horizontal: 1; }
    ByImageScreen > Horizontal > UnitPanel { width: 3fr; }
    ByImageScreen.-mapped .about, ByImageScreen.-mapped HorizontalScroll { display: none; }
    ByImageScreen.-mapped > Horizontal > UnitPanel { display: none; }
    ByImageScreen.-mapped AttributionView { display: block; }
    ByImageScreen.-normal .find, ByImageScreen.-narrow .find { display: none; }
    ByImageScreen.-narrow UnitPanel { display: none; }
    ByImageScreen.-finding .find { display: block; }
    ByImageScreen.-normal.-finding UnitPanel { display: none; }
    ByImageScreen.-narrow.-finding .image { display: none; }
    ByImageScreen.-narrow.-finding .find { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "back", "Back"),
        Binding("i", "app.pop_screen", "Back", show=False),
        Binding("slash,colon", "find", "Find an image", key_display="/"),
        Binding("tab", "find", "Images", show=False),
        Binding("n", "image(1)", "Next image"),
        Binding("N", "image(-1)", "Previous image", show=False),
        Binding("j,down", "step(1)", "Next", show=False),
        Binding("k,up", "step(-1)", "Previous", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("left,h", "model(-1)", "Previous model", show=False),
        Binding("right,l", "model(1)", "Next model", show=False),
        Binding("v", "view", "View"),
        Binding("a", "walk(1)", "Attribution"),
        Binding("A", "walk(-1)", "Previous method", show=False),
    ]

    def __init__(self, session: Session, image: ImageName, unit: Unit, *, mapped: bool = False) -> None:
        """Begin at `image`, with the cursor on `unit` if that is one of those that fire on it.

        With `mapped` the attribution maps are open at first.
        """
        super().__init__()
        self.image = image
        self.results: list[OnImage] = []
        self._session, self._unit, self._model = session, unit, unit.model
        self._images: ImageList | None = None
        self._reading: ImageName | None = None
        self._unread = {"images", "units"}  # what is not read yet
        self.panel, self.photo = session.new_panel(), session.new_grid()
        self.panel.follows = False
        self.photo.add_class("photo")
        self.maps = session.new_attribution_view("← →")
        self._said = self.maps.open() if mapped else ""  # a message to the user, until the next image
        self.list = ImageListView()
        colors = series(list(session.store.models))
        self.columns = {model: ModelColumn(color) for model, (color, _) in colors.items()}
        self._input = PlainInput(placeholder="path or class", compact=True)
        self._find, self._middle = Vertical(classes="find framed"), Vertical(classes="image framed")
        self._facts = Static(classes="facts")

    def compose(self) -> ComposeResult:
        with Horizontal():
            with self._find:
                yield self._input
                yield self.list
            with self._middle:
                with Horizontal(classes="about"):
                    yield self.photo
                    yield self._facts
                with HorizontalScroll(can_focus=False):
                    yield from self.columns.values()
                yield self.maps
            yield self.panel
        yield KeyBar()

    def on_mount(self) -> None:
        self.column.units.focus()
        self._count("reading …")
        self.run_worker(self._list_images, thread=True)
        self.show(self.image, self._said)

    def on_resize(self) -> None:
        self.set_class(self.size.height >= _ROOMY, "-roomy")

    # What is read, on threads

    @property
    def reading(self) -> bool:
        """Whether the images, or the units on the first one, are not read yet: keys wait for that (`KeyQueue`)."""
        return bool(self._unread)

    def _list_images(self) -> None:
        """Read the names of all images. Runs on a thread."""
        try:
            images = ImageList(self._session.store)
        except ShapebiasError as error:
            self.app.call_later(self._take_images, error)
        else:
            self.app.call_later(self._take_images, images)

    def _take_images(self, images: ImageList | ShapebiasError) -> None:
        """List the images that were read, or say why they could not be."""
        self._unread.discard("images")
        if not self.is_attached:
            return
        if isinstance(images, ShapebiasError):
            self._count(str(images))
        else:
            self._images = images
            self._search()

    def show(self, image: ImageName, said: str = "") -> None:
        """Show an image, with the message `said` to the user.

        If the attribution maps are open, those of the image are shown at once. Otherwise the units that fire on it are
        read on a thread; of several images that are asked for during a reading, only the last is read.
        """
        self.image = image
        mapped = self.maps.has(image)
        self._said = said or ("" if mapped or self.maps.method is None else self._without_maps())
        self.set_class(mapped, "-mapped")
        write_frame(self._middle, image.path)
        if mapped:
            self._unread.discard("units")
            self.maps.show(image, self._about(), self._model, self._beside())
            return
        self._facts.update(self.facts())
        if self._reading is None:
            self._reading = image
            self.run_worker(self._read, thread=True)

    def _without_maps(self) -> str:
        """Return the text that tells the user that the image shown has no attribution maps."""
        return (
            f"this image has no attribution maps: n goes to the next of {len(self.maps.images):,} images that have some"
        )

    def _about(self) -> Text:
        """Return one line: the class of the image, and the message to the user."""
        said = (f"  {self._said}" if self._said else "", "yellow")
        return Text.assemble((printable(self.image.about, 60), "dim"), said)

    def _beside(self) -> list[ImageName]:
        """Return the images below and above the cursor in the list, as far as there are any."""
        rows = (self.list.cursor + step for step in (1, -1))
        return [self.list.name_at(row) for row in rows if 0 <= row < self.list.row_count]

    def _read(self) -> None:
        """Read what each model makes of the image. Runs on a thread."""
        image = self._reading
        assert image is not None
        try:
            results: list[OnImage] | ShapebiasError = on_image(self._session.store, image)
        except ShapebiasError as error:
            results = error
        self.app.call_later(self._take, image, results)

    def _take(self, image: ImageName, results: list[OnImage] | ShapebiasError) -> None:
        """Show what was read of an image, or read the one that is wanted by now."""
        if not self.is_attached:
            return
        self._reading = None
        if image != self.image or self.has_class("-mapped"):
            self.show(self.image, self._said)
            return
        self._unread.discard("units")
        if isinstance(results, ShapebiasError):
            self._facts.update(Text(printable(str(results))))
            return
        self.results = results
        common = [line for line in results[0].missing if all(line in result.missing for result in results)]
        photo = next((result.photo for result in results if result.photo is not None), None)
        self.set_class(photo is not None and self.photo.draws, "-pictured")
        self._facts.update(self.facts(results, common))
        self.photo.show(photo)
        for result in results:
            self.columns[result.model].show(result, common, self._unit, decided=not self._tells_decisions)
        self._show_unit()

    def _count(self, text: str) -> None:
        """Write a text into the frame of the list of images: how many it has, or why it has none."""
        write_frame(self._find, "Images", text)

    def _search(self) -> None:
        """List the images that match the written text; only those with attribution maps while these are open.

        While the user writes, the first match is shown where the displayed image is none of them.
        """
        if self._images is None:
            return
        matches, image, kind = self._images.find(self._input.value), self.image, ""
        if self.maps.method is not None:
            matches, kind = matches[np.isin(matches, self._mapped)], ": with attribution"
            image = self._from_here(matches)
        self._count(f"{len(matches):,} of {len(self._images):,}{kind}")
        with self.prevent(ImageListView.Moved):
            self.list.show(self._images.names, matches, image)
        if len(matches) and self.list.name_at(self.list.cursor) != self.image and self._input.has_focus:
            self.show(self.list.name_at(self.list.cursor))

    @cached_property
    def _mapped(self) -> NDArray[np.int64]:
        """The positions, among all images, of those with attribution maps, int64, ascending. Needs the maps opened."""
        paths = {image.path for image in self.maps.images}
        names = enumerate(self._images.names if self._images is not None else [])
        return np.array([row for row, name in names if name.path in paths and not name.is_cue_conflict], np.int64)

    def _from_here(self, numbers: NDArray[np.int64]) -> ImageName:
        """Return the image at the first of these ascending positions, counted from the displayed image on, or around.

        It is the displayed image itself where there are no positions, or where it is no image of the store.
        """
        names = self._images.names if self._images is not None else []
        if self.image not in names or not len(numbers):
            return self.image
        return names[int(numbers[np.searchsorted(numbers, names.index(self.image)) % len(numbers)])]

    def facts(self, results: Sequence[OnImage] = (), missing: Sequence[str] = ()) -> Content:
        """Return lines: the message to the user, the image's class (or shape and texture), the decisions in `results`
        where they are not said by the columns, and the lines `missing`."""
        kind = "cue-conflict image" if self.image.is_cue_conflict else "probe image"
        decisions = [(one.model, one.decision) for one in results if one.decision is not None and self._tells_decisions]
        lines = [
            *([Content(self._said).stylize("$text-warning")] if self._said else []),
            Content.assemble(printable(self.image.about, 80), (f"  {kind}", MUTED)),
            *(decision_line(*decision) for decision in decisions),
            *(Content(line).stylize(MUTED) for line in missing),
        ]
        if self.size.height > _ROOMY and not self.image.is_cue_conflict:
            lines.append(Content("units by activation / their max over the probe images").stylize(MUTED))
        return Content("\n").join(lines)

    @property
    def _tells_decisions(self) -> bool:
        """Whether the decisions are beside the image, and not above the units of each model."""
        return self.has_class("-roomy") and self.has_class("-pictured")

    # The unit under the cursor

    @property
    def column(self) -> ModelColumn:
        """The column with the cursor."""
        return self.columns[self._model]

    def _show_unit(self) -> None:
        """Show the unit under the cursor at the right."""
        firing = self.column.firing
        if firing is None or self.has_class("-mapped"):
            return
        self._unit = firing.unit
        try:
            self.panel.show(firing.unit, self._session.load((firing.unit.model, firing.unit.layer)), [])
        except ShapebiasError as error:
            self._facts.update(Text(printable(str(error))))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_list.has_focus:
            self._show_unit()

    def on_descendant_focus(self) -> None:
        self.set_class(self._input.has_focus, "-finding")
        focused = (model for model, column in self.columns.items() if column.units.has_focus)
        self._model = next(focused, self._model)
        self._show_unit()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        firing = self.column.firing
        if firing is not None:
            self.post_message(GoTo(firing.unit))

    # Keys and mouse

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._search()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave_list()

    def on_image_list_view_moved(self, event: ImageListView.Moved) -> None:
        self.show(event.image)

    def action_find(self) -> None:
        """Move the focus to the images, or back to the units."""
        self._leave_list() if self._input.has_focus else self._input.focus()

    def _leave_list(self) -> None:
        """Move the focus back to the units; to nothing where attribution maps are shown instead."""
        self.set_focus(None if self.has_class("-mapped") else self.column.units)
        self.remove_class("-finding")

    def action_back(self) -> None:
        """Move the focus back to the units, or close the attribution maps, or leave the screen."""
        if self._input.has_focus:
            self._leave_list()
        elif self.maps.method is not None:
            self.maps.close()
            self._turn()
        else:
            self.app.pop_screen()

    def action_image(self, step: int) -> None:
        """Show the next image of the list for a `step` of 1, the previous one for -1; none beyond its ends."""
        if step > 0 and self.list.row_count and self.list.name_at(self.list.cursor) != self.image:
            self.show(self.list.name_at(self.list.cursor))  # the image that is shown is not listed
        else:
            self.list.action_move(step)

    def action_walk(self, step: int) -> None:
        """Open the attribution maps, or go on by `step` methods; behind the last one come the units again."""
        was_open = self.maps.method is not None
        said = self.maps.walk(step, self.image)
        if was_open and self.maps.method is not None:
            self.show(self.image)
        else:
            self._turn(said)

    def _turn(self, said: str = "") -> None:
        """List and show images anew after the attribution maps were opened or closed, with the message `said`."""
        self._search()
        self.show(self.image, said)
        if not self.has_class("-mapped"):
            self.call_after_refresh(self.column.units.focus)

    def action_step(self, step: int) -> None:
        """Move a cursor down for a `step` of 1, up for -1.

        It is that of the images while these have the focus or attribution maps are displayed, else that of the units.
        """
        if self._input.has_focus or self.has_class("-mapped"):
            self.list.action_move(step)
        elif step > 0:
            self.column.units.action_cursor_down()
        else:
            self.column.units.action_cursor_up()

    def action_page(self, pages: int) -> None:
        """Move the images' cursor down by so many pages, up where they are negative."""
        self.list.action_page(pages)

    def action_model(self, step: int) -> None:
        """Move to the next model's column for a `step` of 1, to the previous one's for -1, or around."""
        models = list(self.columns)
        self._model = models[(models.index(self._model) + step) % len(models)]
        if self.has_class("-mapped"):
            self.show(self.image)
        else:
            self.column.units.focus()

    def action_view(self) -> None:
        """Show the unit's images in the next view; attribution maps on one scale, or each on its own."""
        if self.has_class("-mapped"):
            self.maps.next_scale()
        else:
            self.panel.next_view()
