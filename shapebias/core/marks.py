"""Units that a user marked, each with a note: one JSON file a store, in the user's state folder."""

import hashlib
import os

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.state import read_state, state_folder, write_state
from shapebias.core.store import Store, Unit
from shapebias.core.text import printable


class Marks:
    """The marks of one store. Every change is on the disk before the call returns; nothing waits for the exit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._resolved = str(store.path.resolve())
        digest = hashlib.sha256(os.fsencode(self._resolved)).hexdigest()[:16]
        self.path = state_folder() / "marks" / f"{digest}.json"
        self._notes: dict[str, str] = {}

    def __contains__(self, unit: object) -> bool:
        return str(unit) in self._notes

    def __len__(self) -> int:
        return len(self._notes)

    def note(self, unit: Unit) -> str:
        """The unit's note, empty where it has none."""
        return self._notes.get(str(unit), "")

    def units(self) -> list[Unit]:
        """The marked units that the store has, in the order of its models, layers and units."""
        found = []
        for name in self._notes:
            try:
                found.append(self._store.unit(name))
            except UsageError:
                continue  # the store was made anew, with other layers
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
        """Reads the file; without one there are no marks. Raises ShapebiasError where it cannot be read."""
        state = read_state(self.path)
        if state is None:
            return
        notes = state.get("marks")
        if not (isinstance(notes, dict) and all(isinstance(note, str) for note in notes.values())):
            raise ShapebiasError(f"{printable(str(self.path))} is damaged: move it away")
        self._notes = notes

    def set(self, unit: Unit, note: str = "") -> None:
        """Marks a unit, or changes its note. Raises ShapebiasError where that cannot be kept on the disk."""
        self._change(str(unit), note)

    def remove(self, unit: Unit) -> None:
        """Takes a unit's mark and note away. Raises ShapebiasError as `set`."""
        self._change(str(unit), None)

    def _change(self, name: str, note: str | None) -> None:
        try:
            self.load()  # another explorer may have changed it; what is damaged is not written over
        finally:
            if note is None:
                self._notes.pop(name, None)
            else:
                self._notes[name] = note
        write_state(self.path, {"store": self._resolved, "marks": self._notes})
