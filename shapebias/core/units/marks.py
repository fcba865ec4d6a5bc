"""Units that a user marked, each with a note: one JSON file per store, in the user's state folder."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from shapebias.core.errors import UsageError
from shapebias.core.files import damaged_state, read_state, state_folder, write_state
from shapebias.core.store.reader import Store, Unit


class Marks:
    """The marks of a store, or of several joined ones, each store's in its own file.

    There are none before `load`. Every change is on the disk before the call returns. Units must be of models that the
    store has.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts = [(part, _StoreNotes(part.store)) for part in store.parts]
        self._owners = {
            joined_label: (notes, label) for part, notes in self._parts for label, joined_label in part.labels.items()
        }

    @property
    def paths(self) -> list[Path]:
        """The file of each store's marks."""
        return [notes.path for _, notes in self._parts]

    def _notes_of(self, unit: Unit) -> tuple["_StoreNotes", str]:
        """Return the notes of the unit's own store, and the unit's name in that store."""
        notes, label = self._owners[unit.model]
        return notes, str(Unit(label, unit.layer, unit.index))

    def __contains__(self, unit: object) -> bool:
        if not isinstance(unit, Unit):
            return False
        notes, name = self._notes_of(unit)
        return name in notes.by_unit

    def __len__(self) -> int:
        return sum(len(notes.by_unit) for _, notes in self._parts)

    def note(self, unit: Unit) -> str:
        """Return the unit's note, empty where it has none."""
        notes, name = self._notes_of(unit)
        return notes.by_unit.get(name, "")

    def units(self) -> list[Unit]:
        """Return the marked units that the store still has, in the order of its models, layers and units."""
        units = []
        for part, notes in self._parts:
            for name in notes.by_unit:
                try:
                    unit = part.store.unit(name)
                except UsageError:
                    continue  # the store was made anew, with other layers
                units.append(Unit(part.labels[unit.model], unit.layer, unit.index))
        return sorted(units, key=self._position)

    def next_to(self, unit: Unit, step: int) -> Unit | None:
        """Return the next marked unit after `unit` (`step` 1) or before it (`step` -1), in the order of `units`.

        After the last comes the first. Returns None where no unit is marked.
        """
        marked = self.units()[::step]
        position = self._position(unit)
        beyond = (
            other
            for other in marked
            if (self._position(other) > position if step > 0 else self._position(other) < position)
        )
        return next(beyond, marked[0] if marked else None)

    def _position(self, unit: Unit) -> tuple[int, int, int]:
        models, layers = list(self._store.models), list(self._store.layers(unit.model))
        return models.index(unit.model), layers.index(unit.layer), unit.index

    def load(self) -> None:
        """Read the files; a missing file means no marks. Raises ShapebiasError where one cannot be read."""
        for _, notes in self._parts:
            notes.load()

    def set(self, unit: Unit, note: str = "") -> None:
        """Mark a unit, or change its note. Raises ShapebiasError where the file is damaged or cannot be written."""
        self.change({unit: note})

    def remove(self, unit: Unit) -> None:
        """Remove a unit's mark and note. Raises ShapebiasError where the file is damaged or cannot be written."""
        self.change({unit: None})

    def change(self, notes: Mapping[Unit, str | None]) -> None:
        """Set the notes of several units, or remove their marks where a note is None, in one write for each store.

        Raises ShapebiasError where that cannot be written to the disk.
        """
        changes: dict[_StoreNotes, dict[str, str | None]] = {}
        for unit, note in notes.items():
            own, name = self._notes_of(unit)
            changes.setdefault(own, {})[name] = note
        for own, by_name in changes.items():
            own.change(by_name)


class _StoreNotes:
    """The notes of a single store's marked units, by the units' names there."""

    def __init__(self, store: Store) -> None:
        self._identity = store.identity
        digest = hashlib.sha256(os.fsencode(self._identity)).hexdigest()[:16]
        self.path = state_folder() / "marks" / f"{digest}.json"
        self.by_unit: dict[str, str] = {}

    def load(self) -> None:
        """Read the file; without one nothing changes. Raises ShapebiasError where it is damaged or cannot be read."""
        state = read_state(self.path)
        if state is None:
            return
        notes = state.get("marks")
        if not (isinstance(notes, dict) and all(isinstance(note, str) for note in notes.values())):
            raise damaged_state(self.path)
        self.by_unit = notes

    def change(self, notes: Mapping[str, str | None]) -> None:
        """Set the notes of units, or delete them where they are None, in the file as it is now.

        Raises ShapebiasError where the file is damaged, cannot be read or cannot be written; then the change is in
        memory only.
        """
        try:
            self.load()  # another explorer may have changed it; a damaged file is not written over
        finally:
            for name, note in notes.items():
                if note is None:
                    self.by_unit.pop(name, None)
                else:
                    self.by_unit[name] = note
        write_state(self.path, {"store": self._identity, "marks": self.by_unit})
