"""Keeps and exports the panes' units: marks and notes, files, the clipboard, other programs."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shapebias.core.analysis.by_image import ImageName
from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Unit
from shapebias.tui.finding import Finding
from shapebias.tui.saving import (
    free_path,
    image_file,
    open_image,
    page_path,
    page_problem,
    save_marks,
    save_page,
    save_table,
    save_unit_picture,
)
from shapebias.tui.screens.ask import AskScreen
from shapebias.tui.screens.image import strongest_image
from shapebias.tui.widgets.prompt import Purpose

if TYPE_CHECKING:
    from shapebias.tui.screens.pages import Page


class Keeping(Finding):
    """Panes whose units can be marked, saved and copied."""

    # Marks

    def action_range(self) -> None:
        """Begin a range of units at the cursor, which moves of the cursor extend; end it where there is one."""
        if self.units.has_range:
            self.units.end_range()
        elif self.units.unit is not None:
            self.units.focus()
            self.units.begin_range()
        self._show_status()

    def action_mark(self) -> None:
        """Mark the unit under the cursor, or all units of a range, which ends.

        Units that are marked already keep their notes; where all are, their marks are removed instead.
        """
        units, marks = self.units.selected, self.session.marks
        if not units:
            return
        self.units.end_range()
        unmarked = [unit for unit in units if unit not in marks]
        self._change_marks(dict.fromkeys(unmarked, "") if unmarked else dict.fromkeys(units))
        if len(units) > 1:
            self.say(
                f"{len(unmarked) or len(units)} units {'marked' if unmarked else 'are marked no more'}: u undoes it"
            )

    def action_note(self) -> None:
        """Open the prompt for a note on the unit."""
        self._anchor = self.units.unit
        if self._anchor is not None:
            self.prompt.open(Purpose.NOTE, self.session.marks.note(self._anchor))

    def _change_marks(self, notes: Mapping[Unit, str | None]) -> None:
        """Mark units, each with its note, or remove the mark where the note is None, so that it can be undone."""
        marks = self.session.marks
        self._changed_marks.append({unit: marks.note(unit) if unit in marks else None for unit in notes})
        self._set_marks(notes)

    def _set_marks(self, notes: Mapping[Unit, str | None]) -> None:
        """Change marks as `_change_marks` does, without noting the old ones, and show them wherever their units are."""
        try:
            self.session.marks.change(notes)
        except ShapebiasError as error:
            self.complain(error)
        self.units.refresh()
        for panel in self._panels:
            panel.write()
        self._show_status()

    def action_undo_mark(self) -> None:
        """Reverse the last change of marks or of a note, then the one before it, and so on."""
        if not self._changed_marks:
            self.say("no change of a mark to take back")
            return
        notes = self._changed_marks.pop()
        self._set_marks(notes)
        (unit, note), *others = notes.items()
        if others:
            self.say(f"as before: the marks of {len(notes)} units")
        else:
            self.say(f"as before: {unit} {'is not marked' if note is None else f'is marked {note}'.rstrip()}")

    def action_marked(self, step: int) -> None:
        """Go to the next marked unit for a `step` of 1, to the previous one for -1, in the order of layers and units.

        After the last one comes the first.
        """
        if self.layer is None:
            return
        unit = self.session.marks.next_to(self.units.unit or Unit(*self.layer, 0), step)
        if unit is None:
            self.say("no unit is marked: press m to mark one")
        else:
            self.go_to(unit)

    # Saving

    def action_save_picture(self) -> None:
        """Save the unit's images as a PNG file in the current folder, in the view that is displayed."""
        unit = self.units.unit
        if unit is not None:
            self._save(partial(save_unit_picture, self.session.store, unit, self._panels[-1].grid.view))

    def action_save_table(self) -> None:
        """Save the table's displayed rows and columns as a CSV file in the current folder."""
        table = self.units.shown_table
        if table is not None:
            self._save(partial(save_table, self.session.store, table))

    def action_save_marks(self) -> None:
        """Save the marked units as a Markdown file with pictures, in a new folder in the current one."""
        self._save(partial(save_marks, self.session.store, self.session.marks))

    def action_export(self) -> None:
        """Ask for the name of a file, and write what is on the screen to it as a page."""
        page = self._page
        if page is None:
            self.say("no unit to write a page of")
            return

        def write(text: str | None) -> None:
            if text is not None:
                path = page_path(text)
                self._save(partial(save_page, page.make, path))

        self.push_screen(AskScreen(Purpose.PAGE, str(free_path(page.name, ".html")), page_problem), write)

    @property
    def _page(self) -> "Page | None":
        """The page of what is on the screen: for the panes that of the unit and the table. None where it has none."""
        from shapebias.tui.screens.pages import page_of, units_page  # takes a tenth of a second, so not at the start

        if len(self.screen_stack) > 1:
            return page_of(self.screen, self.session.store)
        unit = self.units.unit
        view = self.panel.grid.view
        return None if unit is None else units_page(self.session.store, [unit], view, self.units.shown_table)

    def _save(self, save: Callable[[], Path]) -> None:
        """Run `save` on a thread, and tell the user the path that it returns, or the ShapebiasError that it raises."""

        def run() -> None:
            try:
                path = save()
            except ShapebiasError as error:
                self.call_later(self.complain, error)
            else:
                self.call_later(self._tell, f"saved {path.resolve()}")

        if len(self.screen_stack) == 1:
            self.say("saving …")
        self.run_worker(run, thread=True)

    # Handing on

    def action_copy_name(self) -> None:
        """Copy the unit's name, through the terminal, so that it is on the clipboard of whoever sits there."""
        if self.units.unit is not None:
            self._copy(str(self.units.unit))

    def action_copy_path(self) -> None:
        """Copy the path of the image that is shown, or of the unit's strongest one."""
        image = self._image
        if image is not None:
            self._copy(str(image_file(self.session.store, image) or image.path))

    def _copy(self, text: str) -> None:
        """Copy a text, and say so."""
        self.copy_to_clipboard(text)
        self._tell(f"copied {text}")

    def action_open_image(self) -> None:
        """Open the image that is shown, or else the unit's strongest one, in another program.

        Where no program opens images, the user is told the file's path; where there is no file, that it is missing.
        """
        image = self._image
        if image is None:
            return
        path = image_file(self.session.store, image)
        if path is None:
            self._tell(f"{image.path} is not on this machine")
        else:
            self._tell(f"opened {path}" if open_image(path) else f"no program opens images here: {path}")

    @property
    def _image(self) -> ImageName | None:
        """The image that the screen shows, else the strongest of the unit under the cursor; None without a unit."""
        image = getattr(self.screen, "image", None)
        if image is None and self.units.unit is not None:
            image = strongest_image(self.session.store, self.units.unit)
        return image

    def _tell(self, text: str) -> None:
        """Show a text on the status line of the panes, or as a notification where another screen covers them."""
        if len(self.screen_stack) == 1:
            self.say(text)
        else:
            self.notify(text, markup=False)
