"""The lines above the pictures."""

from pathlib import Path

import pytest

from shapebias.core.store.opening import open_store
from tests.support.explorer_pilot import exploring

pytestmark = pytest.mark.slow


async def test_the_histogram_fits_after_a_resize(small_store: Path) -> None:
    async with exploring(open_store(small_store), size=(220, 60)) as (app, pilot):

        async def histogram() -> str:
            for _ in range(200):
                await pilot.pause(0.02)
                lines = str(app.panel._card.render()).splitlines()
                if len(lines) > 6 and app.panel._closer is not None and app.panel._closer.bins == app.panel._bins:
                    return lines[6]
            raise AssertionError("no histogram came")

        wide = await histogram()
        await pilot.resize_terminal(120, 60)
        narrow = await histogram()
        assert len(narrow) < len(wide)
        assert len(narrow) <= app.panel._card.size.width
