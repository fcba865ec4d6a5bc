"""Finds units in the panes: filters, names, words of concepts and classes, and the way back."""

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Unit
from shapebias.core.text import printable
from shapebias.core.units.filter import FilterError, filter_mask, filter_words
from shapebias.core.units.saved_filters import definition_in
from shapebias.tui.jump import find_number, find_place, find_word
from shapebias.tui.panes import Panes
from shapebias.tui.widgets.layer_list import ALL, LayerKey, Scope
from shapebias.tui.widgets.prompt import HINTS, Purpose

_VISITED = 100  # units that one can go back to


class Finding(Panes):
    """Panes with a filter, a search and a history of the units that the user has left."""

    # Filter

    def action_filter(self) -> None:
        """Open the prompt for a filter."""
        if self.table is not None:
            self._anchor = self.units.unit
            filters = self.session.filters
            try:
                filters.load()
            except ShapebiasError as error:
                self.complain(error)
            words = [*filter_words(self.table), *(f"@{name}" for name in filters.by_name)]
            self.prompt.open(Purpose.FILTER, self._condition, words, filters.recent)

    def _filter(self, text: str) -> bool:
        """Show the units that satisfy the filter in a text, an expression or `@NAME = EXPRESSION`; without an
        expression show all.

        The prompt says how many they are. Returns whether that was possible: for a wrong filter the prompt says what
        is wrong with it, and the table stays.
        """
        if self.table is None:
            return False
        definition = definition_in(text)
        condition = text if definition is None else definition.expression
        start, name = (0, "") if definition is None else (definition.start, definition.name)
        condition = condition.strip() and condition
        try:
            mask = filter_mask(condition, self.table, self.session.filters.by_name, name) if condition else None
        except FilterError as error:
            self.prompt.complain(str(error), start + error.column)
            return False
        self._condition = condition.strip()
        self.units.filter(mask, self._anchor)
        what = "keeps the filter" if definition is None else f"saves it as @{name}"
        count = f"{self.units.row_count:,} of {len(self.table):,} units    Enter {what}, Escape clears it"
        if condition:
            self.prompt.say(count)
        else:
            self.prompt.say(HINTS[Purpose.FILTER] if definition is None else f"Enter forgets @{name}")
        return True

    def _keep_filter(self, text: str) -> None:
        """Remember the current filter among the recent ones.

        Where the text is `@NAME = EXPRESSION`, also save it by that name; an empty expression deletes the saved one.
        """
        definition, filters = definition_in(text), self.session.filters
        if definition is not None:
            try:
                filters.save(definition.name, definition.expression)
            except ShapebiasError as error:
                self.complain(error)
                return
            self.say(f"@{definition.name} is {definition.expression or 'forgotten'}")
            self._condition = f"@{definition.name}" if definition.expression else ""
        if self._condition:
            filters.use(self._condition)

    def action_escape(self) -> None:
        """Close the prompt, or else end the range of units, or else clear the filter."""
        if self.prompt.display:
            self.prompt.action_cancel()
        elif self.units.has_range:
            self.units.end_range()
            self._show_status()
        elif self._condition:
            self._anchor = self.units.unit
            self._filter("")

    # Find

    def action_search(self) -> None:
        """Open the prompt for the name of a unit or layer, or a word of a concept or class."""
        self.prompt.open(Purpose.FIND, "")

    def _find(self, text: str) -> None:
        """Go to the unit or layer that a text names; look for a number or any other word among the table's units."""
        text = text.removeprefix(":").strip()
        if not text or self.layer is None:
            return
        if text.isdecimal():
            self._matches = text
            self._match(1, here=True)
            return
        try:
            layer, index = find_place(self.session.store, text, self.layer[0])
        except ShapebiasError as error:
            self._search_word(text, error)
            return
        self.go_to(Unit(*layer, index)) if index is not None else self.go_to_layer(layer)

    def _search_word(self, word: str, no_name: ShapebiasError) -> None:
        """Go to the next unit that has a word among its words (`words_of`), the one under the cursor included.

        Where there is none, the user is told `no_name`: the error that says why the word is no name of a unit or layer.
        """
        before, self._matches = self._matches, word
        try:
            known = self._next_match(1, here=True) is not None
        except ShapebiasError as error:
            no_name, known = error, False
        if known:
            self._match(1, here=True)
        else:
            self._matches = before
            self.complain(no_name)

    def _sought(self, text: str) -> Unit | None:
        """Return the unit that `_find` would go to for a number or a name; None where it would go to none.

        A word of a concept or class is not looked for: for that the result is None, too.
        """
        number = text.removeprefix(":")
        if number.isdecimal():
            row = find_number(self.units.unit_numbers, number, self.units.cursor, 1)
            return None if row is None else self.units.unit_at(row)
        if not text or self.layer is None:
            return None
        try:
            layer, index = find_place(self.session.store, text, self.layer[0])
        except ShapebiasError:  # not yet a name
            return None
        return None if index is None else Unit(*layer, index)

    def action_match(self, step: int) -> None:
        """Go to the next unit that matches the last search, to the previous one for a `step` of -1."""
        if self._matches:
            self._match(step)

    def _next_match(self, step: int, here: bool = False) -> int | None:
        """Return the row, from the top of the table as displayed, of the next unit that matches the last search.

        The search goes from the cursor in the direction of `step` (1 or -1), and around; with `here` the unit under the
        cursor counts, too. None where no unit matches. Raises StoreError.
        """
        units, wanted = self.units, self._matches
        start = units.cursor if here else units.cursor + step
        if wanted.isdecimal():
            return find_number(units.unit_numbers, wanted, start, step)
        return None if self.scope is None else find_word(self._words(self.scope), units.shown_rows, wanted, start, step)

    def _match(self, step: int, here: bool = False) -> None:
        """Move the cursor to the row of `_next_match`, or tell the user that there is none."""
        try:
            row = self._next_match(step, here)
        except ShapebiasError as error:
            self.complain(error)
            return
        if row is None:
            missing = f"no unit in the table matches {printable(self._matches, 40)}"
            self.notify(missing, severity="warning", markup=False)
        elif row != self.units.cursor:
            self._leave()
            self.units.move_to(row)

    # Go

    def go_to_layer(self, scope: Scope, unit: Unit | None = None) -> None:
        """Show the units of a scope, with the cursor on `unit` or on the first, and note the unit that is left."""
        if scope != self.scope or (unit is not None and unit != self.units.unit):
            self._leave()
        self.show_units(scope, unit)
        self.layers.go_to(scope)

    def go_to(self, unit: Unit) -> None:
        """Close the screens over the panes, and put the table's cursor on a unit of any layer.

        A table of several layers stays if it has the unit, else the table becomes that of the unit's layer. A filter
        that hides the unit is cleared.
        """
        while len(self.screen_stack) > 1:
            self.pop_screen()
        several = self.scope is not None and None in self.scope
        layer: LayerKey = (unit.model, unit.layer)
        self.go_to_layer(self.scope if several and self.scope is not None and self._has(unit) else layer, unit)
        if self.units.unit != unit and self._condition:
            self._anchor = unit
            self._filter("")
            self.say("the filter is cleared: it hid this unit")

    def _has(self, unit: Unit) -> bool:
        """Return whether the table has a unit."""
        return self.table is not None and self.table.row(unit) is not None

    def action_all_layers(self) -> None:
        """Show the units of all layers in one table; where it has several layers already, those of the unit's own."""
        several = self.scope is not None and None in self.scope
        if self.layer is not None:
            self.go_to_layer(self.layer if several else ALL, self.units.unit)

    def action_layer(self, step: int) -> None:
        """Show the next layer for a `step` of 1, the previous one for -1; from a table of several the unit's own."""
        layers = self.layers.keys
        if self.layer is not None:
            step = 0 if self.scope is not None and None in self.scope else step
            self.go_to_layer(layers[min(max(layers.index(self.layer) + step, 0), len(layers) - 1)])

    # Back

    def _leave(self) -> None:
        """Note the unit under the cursor as one to go back to; there is none to go forward to any more."""
        unit = self.units.unit
        if unit is not None and unit not in self._visited[-1:]:
            self._visited = [*self._visited, unit][-_VISITED:]
        self._later.clear()

    def action_visited(self, step: int) -> None:
        """Go back to the unit that was left last for a `step` of -1, forward again for 1."""
        here = self.units.unit
        behind, ahead = (self._visited, self._later) if step < 0 else (self._later, self._visited)
        while behind and behind[-1] == here:
            behind.pop()
        if not behind or here is None:
            self.say("no earlier unit to go back to" if step < 0 else "no later unit to go forward to")
            return
        unit, rest, passed = behind[-1], behind[:-1], [*ahead, here]
        self.go_to(unit)
        self._visited, self._later = (rest, passed) if step < 0 else (passed, rest)
