"""The attribution maps of models for an image, side by side, with the explained outputs and a legend of the colours."""

from collections.abc import Callable, Sequence
from textwrap import wrap

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from shapebias.core.analysis.attribution import Attributions, ModelMap, is_control, title_of
from shapebias.core.analysis.by_image import ImageName
from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.heatmap import AGAINST, FOR, RED, YELLOW
from shapebias.core.pictures.tiles import AttributionMaps
from shapebias.core.text import printable
from shapebias.tui.settings import ExplorerSettings
from shapebias.tui.widgets.grid_view import GridView
from shapebias.tui.widgets.text_plots import AGAINST_SHADES, FOR_SHADES

_LEAST = 24  # cells: the narrowest column that can be read
_LOW, _ROOMY = 20, 30  # rows of the view below which it has short captions, from which it has long ones
_OUTPUTS = {"predicted": "its decision", "label": "the right one"}


class AttributionView(Vertical):
    """The image, and each model's map by one `method` over it, as columns; `method` is None while the view is closed.

    Where more models have maps than fit, the chosen model's is displayed, and those of the first others.
    """

    DEFAULT_CSS = """
    AttributionView { display: none; padding: 0 1; }
    AttributionView > Static { text-wrap: nowrap; text-overflow: ellipsis; }
    AttributionView > .method { height: 3; }
    AttributionView > .captions { height: 4; }
    AttributionView.-low > .method { height: 2; }
    AttributionView.-low > .captions { height: 2; }
    AttributionView.-roomy > .captions { height: 5; }
    """

    def __init__(self, read: Callable[[], Attributions], grid: GridView, settings: ExplorerSettings, more: str) -> None:
        """Begin closed.

        read:      returns the store's attribution maps; may raise StoreError
        grid:      draws the pictures
        settings:  their `method` is the one to open at; the view keeps it up to date, and saves them when it closes
        more:      tells the user how the models can be seen that do not fit, such as a key
        """
        super().__init__()
        self.method: str | None = None
        self._read, self._settings, self._more = read, settings, more
        self._attributions: Attributions | None = None  # until it is opened
        self.grid = grid
        self._head, self._captions = Static(classes="method"), Static(classes="captions")
        self._each_alone = False
        self._image, self._about, self._chosen = ImageName("", "", False), Text(), ""
        self._images_ahead: Sequence[ImageName] = ()

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._captions
        yield self.grid

    def on_resize(self) -> None:
        self.set_class(self.size.height < _LOW, "-low")
        self.set_class(self.size.height >= _ROOMY, "-roomy")
        if self.method is not None:
            self.call_after_refresh(self._show)

    def on_unmount(self) -> None:
        if self.method is not None:
            self._settings.save()

    # The walk

    @property
    def images(self) -> list[ImageName]:
        """The images that have maps of any model; none before the view was opened for the first time."""
        return [] if self._attributions is None else self._attributions.images

    def has(self, image: ImageName) -> bool:
        """Return whether the view is open, and any model has maps of an image."""
        return self.method is not None and self._attributions is not None and self._attributions.has(image)

    def open(self) -> str:
        """Open the view at the method displayed last, unless it is open. Return why that is impossible, else ""."""
        if self.method is not None:
            return ""
        try:
            self._attributions = self._read()
        except ShapebiasError as error:
            return printable(str(error))
        methods, last = self._attributions.methods, self._settings.method
        if not methods:
            return "no attribution maps in this store: make them with `shapebias precompute --passes attribution`"
        self.method = last if last in methods else methods[0]
        return ""

    def walk(self, step: int, image: ImageName) -> str:
        """Open the view; if it shows maps of `image` already, go on by `step` methods (-1: back) instead.

        Behind the last method, and before the first, it closes. Returns why it cannot be opened, else "".
        """
        if self._attributions is None or self.method is None or not self.has(image):
            return self.open()
        methods = self._attributions.methods
        position = methods.index(self.method) + step
        self._settings.method = methods[position % len(methods)]
        if 0 <= position < len(methods):
            self.method = self._settings.method
        else:
            self.close()
        return ""

    def close(self) -> None:
        """Close the view: take its pictures away, and save the settings."""
        self.method = None
        self._settings.save()
        self.grid.show(None)

    def next_scale(self) -> None:
        """Show all maps on one scale, or each on a scale of its own, in turn."""
        self._each_alone = not self._each_alone
        self._show()

    # What is shown

    def show(self, image: ImageName, about: Text, chosen: str, images_ahead: Sequence[ImageName] = ()) -> None:
        """Show the maps of an image by the present method.

        about:         a line about the image
        chosen:        the model that is displayed even where not all fit
        images_ahead:  images that may be next: their maps, and those by the methods before and after, are made ahead
        """
        self._image, self._about, self._chosen, self._images_ahead = image, about, chosen, images_ahead
        self._show()

    def _show(self) -> None:
        """Show the image's maps in the widget's present size; before it has one, wait for `on_resize` to call again."""
        attributions, method = self._attributions, self.method
        if attributions is None or method is None or not self.size.width:
            return
        position, methods = attributions.methods.index(method), attributions.methods
        ahead = [(self._image, methods[beside % len(methods)]) for beside in (position + 1, position - 1)]
        ahead += [(image, method) for image in self._images_ahead if attributions.has(image)]
        subject = self._subject(attributions, self._image, method)
        self.grid.show(subject, [self._subject(attributions, *other) for other in ahead])
        try:
            maps = [attributions.map_of(photo, method) for photo in subject.photos]
        except ShapebiasError as error:
            self._head.update(Text(printable(str(error)), style="red"), layout=False)
            return
        self._head.update(self._heading(attributions, method, maps), layout=False)
        self._captions.update(self._captioned(maps), layout=False)

    def _subject(self, attributions: Attributions, image: ImageName, method: str) -> AttributionMaps:
        """Return the maps of an image for as many models as there is room for, in the store's order.

        The chosen model is always among them.
        """
        photos = attributions.photos(image.path)
        room = max(1, self.content_size.width // _LEAST - self.grid.draws)
        kept = sorted(photos, key=lambda photo: photo.model != self._chosen)[:room]
        return AttributionMaps(
            method=method,
            signed=attributions.is_signed(method),
            photos=tuple(photo for photo in photos if photo in kept),
            each_alone=self._each_alone,
            coloured=not self.app.no_color,
        )

    def _heading(self, attributions: Attributions, method: str, maps: Sequence[ModelMap]) -> Text:
        """Return three lines: the method and its settings; the image; the meaning of the colours."""
        methods = attributions.methods
        title = Text(printable(title_of(method), 40), style="bold")
        title.append(f"  {methods.index(method) + 1} of {len(methods)}", style="not bold")
        if is_control(method):
            title.append("  a control: it knows nothing of the network", style="not bold")
        settings = _settings(maps)
        if len(settings) == 1:
            title.append(f"  {printable(settings.pop(), 200)}", style="not bold dim")
        without = ", ".join(printable(model, 30) for model in attributions.without(self._image.path))
        more = len(attributions.photos(self._image.path)) - len(maps)
        notes = [f"{more} more: {self._more}" if more else "", f"no maps of {without}" if without else ""]
        about = self._about.copy().append("".join(f"  {note}" for note in notes if note), style="yellow")
        rules = sorted({attributions.target_rule(one.model) for one in maps})
        outputs = ", ".join(_OUTPUTS.get(rule, printable(rule, 20)) for rule in rules)
        scale = "a scale for each, v: one for all" if self._each_alone else "one scale for all, v: one for each"
        legend = self._legend(attributions.is_signed(method)).append(f"  {scale}  class: {outputs}", style="dim")
        return Text("\n").join([title, about, legend])

    def _legend(self, signed: bool) -> Text:
        """Return the meaning of the colours, or of the characters in their place."""
        if not self.grid.draws:
            against = f"  {AGAINST_SHADES[1:]} against it" if signed else ""
            return Text(f"{FOR_SHADES[1:]} for the class{against}")
        if self.app.no_color:
            return Text("white: for the class" + ("  black: against it" if signed else ""))
        if signed:
            return Text.assemble(_swatch(FOR), " for the class  ", _swatch(AGAINST), " against it")
        return Text.assemble(_swatch(RED), " little, ", _swatch(YELLOW), " most evidence for the class")

    def _captioned(self, maps: Sequence[ModelMap]) -> Text:
        """Return the captions above the tiles, side by side: the image's class above the image; above each map the
        model's name, the explained class with its probability, and a remark.
        """
        draws, lines = self.grid.draws, self._captions.size.height
        layout = self.grid.grid_layout() if draws else None
        width = self.content_size.width // (draws + len(maps)) if layout is None else layout.cell_columns
        captions = [_caption(one, self._remark(one, maps), width - 2, lines - 2) for one in maps]
        if draws:
            captions.insert(0, [Text("the image", style="bold"), Text(printable(self._image.about, width))])
        text = Text("\n" * max(lines - max(map(len, captions)), 0))
        for line in range(lines):
            for caption in captions:
                cell = caption[line] if line < len(caption) else Text()
                cell.truncate(width - 2, overflow="ellipsis")
                text.append_text(cell).append(" " * (width - cell.cell_len))
            text.append("\n")
        return text

    def _remark(self, one: ModelMap, maps: Sequence[ModelMap]) -> str:
        """Return a remark on `one` of the `maps` that are side by side, empty where there is nothing to say."""
        faint = "" if self._each_alone else one.faintness(maps)
        settings = one.settings_text if len(_settings(maps)) > 1 else ""
        return ", ".join(filter(None, (one.remark, faint, settings)))


def _settings(maps: Sequence[ModelMap]) -> set[str]:
    """Return the different settings that the method ran with, a text each: one where all models have the same."""
    return {one.settings_text for one in maps if not one.problem}


def _swatch(colour: tuple[int, int, int]) -> tuple[str, Style]:
    return "■", Style.parse("rgb({},{},{})".format(*colour))


def _caption(one: ModelMap, remark: str, width: int, remarks: int) -> list[Text]:
    """Return the lines of a model's caption, each `width` cells or less; the last, at most `remarks`, are a remark."""
    probability = f" p {one.probability:.3f}" if one.output else ""
    explained = Text(printable(one.output, max(width - len(probability), 4))).append(probability, style="dim")
    wrapped = wrap(printable(remark, 400), max(width, 1))
    if len(wrapped) > remarks:
        wrapped[max(remarks - 1, 0) :] = [" ".join(wrapped[max(remarks - 1, 0) :])]
    style = "yellow" if one.problem else "dim"
    return [Text(printable(one.model, width), style="bold"), explained, *(Text(line, style=style) for line in wrapped)]
