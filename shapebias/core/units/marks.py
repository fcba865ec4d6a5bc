"""Units that a user marked, each with a note: one JSON file a store, in the user's state folder."""

import hashlib
import os
from pathlib import Path

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import read_state, state_folder, write_state
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import printable


class Marks:
    """The marks of a store, or of several joined ones, each in its own file.

    Every change is on the disk before the call returns; nothing waits for the exit.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files = [_Notes(part) for part, _ in store.parts]
        self._places = {
            shown: (number, own) for number, (_, labels) in enumerate(store.parts) for own, shown in labels.items()
        }

    @property
    def paths(self) -> list[Path]:
        """Where the marks of each store are kept."""
        return [each.path for each in self._files]

    def _at(self, unit: Unit) -> tuple["_Notes", str]:
        number, own = self._places[unit.model]
        return self._files[number], str(Unit(own, unit.layer, unit.index))

    def __contains__(self, unit: object) -> bool:
        if not isinstance(unit, Unit):
            return False
        file, name = self._at(unit)
        return name in file.notes

    def __len__(self) -> int:
        return sum(len(each.notes) for each in self._files)

    def note(self, unit: Unit) -> str:
        """The unit's note, empty where it has none."""
        file, name = self._at(unit)
        return file.notes.get(name, "")

    def units(self) -> list[Unit]:
        """The marked units that the store has, in the order of its models, layers and units."""
        found = []
        for (part, labels), file in zip(self._store.parts, self._files, strict=True):
            for name in file.notes:
                try:
                    unit = part.unit(name)
                except UsageError:
                    continue  # the store was made anew, with other layers
                found.append(Unit(labels[unit.model], unit.layer, unit.index))
        return sorted(found, key=self._place)

    def next_to(self, unit: Unit, step: int) -> Unit | None:
        """The next marked unit after `unit`, for `step` -1 the one before, and around; None where none is marked."""
        marked = self.units()[::step]
        here = self._place(unit)
        beyond = (each for each in marked if (self._place(each) > here if step > 0 else self._place(each) < here))
        return next(beyond, marked[0] if marked else None)

    def _place(self, unit: Unit) -> tuple[int, int, int]:
        models, layers = list(self._store.models), list(self._store.layers(unit.model))
        return models.index(unit.model), layers.index(unit.layer), unit.index

    def load(self) -> None:
        """Reads the files; without any there are no marks. Raises ShapebiasError where one cannot be read."""
        for each in self._files:
            each.load()

    def set(self, unit: Unit, note: str = "") -> None:
        """Marks a unit, or changes its note. Raises ShapebiasError where that cannot be kept on the disk."""
        file, name = self._at(unit)
        file.change(name, note)

    def remove(self, unit: Unit) -> None:
        """Takes a unit's mark and note away. Raises ShapebiasError as `set`."""
        file, name = self._at(unit)
        file.change(name, None)


class _Notes:
    """The notes of one plain store's marked units, by their names."""

    def __init__(self, store: Store) -> None:
        self._identity = store.identity
        digest = hashlib.sha256(os.fsencode(self._identity)).hexdigest()[:16]
        self.path = state_folder() / "marks" / f"{digest}.json"
        self.notes: dict[str, str] = {}

    def load(self) -> None:
        state = read_state(self.path)
        if state is None:
            return
        notes = state.get("marks")
        if not (isinstance(notes, dict) and all(isinstance(note, str) for note in notes.values())):
            raise ShapebiasError(f"{printable(str(self.path))} is damaged: move it away")
        self.notes = notes

    def change(self, name: str, note: str | None) -> None:
        try:
            self.load()  # another explorer may have changed it; what is damaged is not written over
        finally:
            if note is None:
                self.notes.pop(name, None)
            else:
                self.notes[name] = note
        write_state(self.path, {"store": self._identity, "marks": self.notes})
