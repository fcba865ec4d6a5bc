"""The table of units: what of it is in sight."""

from pathlib import Path

from shapebias.core.metrics import METRICS
from shapebias.core.store.opening import open_store
from tests.support.explorer_pilot import exploring, frame, press


async def test_columns_are_shown_whole_and_the_arrows_bring_the_others(small_store: Path) -> None:
    async with exploring(open_store(small_store), size=(70, 20)) as (app, pilot):
        table = app.units
        titles = [METRICS[name].title for name in table.columns[1:]]
        seen = []
        for _ in range(len(titles)):
            header = table.render_line(0).text
            visible = header.replace("↑", " ").split()
            assert set(visible) <= {"unit", *titles}, "no title is cut"
            assert ("more →" in frame(table)) == (titles[-1] not in visible)
            row = table.render_line(1).text.split()
            assert len(row) == len(visible)
            seen += visible
            await press(app, pilot, "right")
        assert set(titles) <= set(seen)
        for _ in titles:
            await press(app, pilot, "left")
        assert table.render_line(0).text.split()[0] == "↑unit"
