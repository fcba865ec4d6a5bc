"""Updates of the screen that are held back while the link is busy."""

from pathlib import Path
from typing import Any

import pytest
from textual._compositor import ChopsUpdate
from textual.app import App

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.tui import terminal_app
from tests.support.explorer_pilot import exploring


@pytest.fixture(scope="module")
def store(small_store: Path) -> Store:
    return open_store(small_store)


class Busy:
    """A link without room as long as one says so."""

    def __init__(self) -> None:
        self.busy = True

    def has_room(self, seconds: float) -> bool:
        return not self.busy


async def test_a_widget_that_changes_while_another_update_is_held_is_painted_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[Any] = []
    async with exploring(store) as (app, pilot):
        link = Busy()
        monkeypatch.setattr(terminal_app, "link_of", lambda app: link)
        monkeypatch.setattr(App, "_display", lambda self, screen, update: painted.append(update))
        app.units.refresh()
        for _ in range(100):
            await pilot.pause(0.01)
            if app._held:
                break
        assert app._held
        assert all(update is None for update in painted)
        app.panel.grid.refresh()  # as when its picture has come
        app.screen._dirty_widgets.add(app.panel.grid)  # which the screen hears a moment later
        link.busy = False
        app._send_held()
        spans = [span for update in painted if isinstance(update, ChopsUpdate) for span in update.spans]
        for widget in (app.units, app.panel.grid):
            assert set(range(widget.region.y, widget.region.bottom)) <= {
                y for y, left, right in spans if left <= widget.region.x and widget.region.right <= right
            }
