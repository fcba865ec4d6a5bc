"""Each screen as plain text, beside what it was: `SNAPSHOTS=write pytest tests/tui/test_snapshots.py` writes it anew.

Plain text and not pictures: a change of Textual's colours or fonts says nothing of the explorer, and `git diff` shows
what moved. Digits of fractions are written as #, as processors differ in the last one. A new screen is one
line in `SCREENS`.
"""

import os
import re
from pathlib import Path

import pytest

from shapebias.core.store.opening import open_store
from shapebias.tui.screens import SCREENS as OPENED
from shapebias.tui.terminal.graphics import Graphics
from tests.support.explorer_pilot import exploring, press, screen_lines

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "snapshots"
WRITE = os.environ.get("SNAPSHOTS") == "write"
SIZES = {"wide": (160, 48), "normal": (100, 30), "narrow": (60, 15)}
SCREENS: dict[str, list[str]] = {  # by the keys that lead there
    "main": ["j"],
    "images": ["tab", "tab", "down"],
    "help": ["question_mark"],
    "help-metrics": ["question_mark", "tab"],
    "columns": ["c"],
    "zoom": ["j", "enter"],
    "details": ["j", "d"],
    "layer": ["l"],
    "models": ["o"],
    "twins": ["t"],
    "scatter": ["j", "X"],
    "two_layers": ["T", "s"],
    "histogram": ["s", "h", "j"],
    "pair": ["x", "j", "x"],
    "all-layers": ["0", "s"],
    "by_image": ["j", "i"],
    "by_image-find": ["j", "i", "slash", "3"],
    "image": ["j", "enter", "enter", "right"],
    "attribution": ["j", "a"],
    "attribution-of-an-image": ["j", "enter", "enter", "n", "A", "A"],
    "find": ["slash", "b", "l"],
    "filter": ["f", "m", "a", "x", "space", "greater_than_sign", "space", "1"],
    "filter-mistake": ["f", "m", "a", "y"],
    "note": ["M", "a"],
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
async def test_screen(attributed_store: Path, screen: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for later in (
        "widgets.unit_panel._REST",
        "widgets.layer_list._LATER",
        "panes._REST",
    ):  # what comes later may come before or after the look
        monkeypatch.setattr(f"shapebias.tui.{later}", 1000)
    async with exploring(open_store(attributed_store), Graphics.NONE, SIZES[size]) as (app, pilot):
        await press(app, pilot, *SCREENS[screen])
        for _ in range(2):  # what is read on a thread, and what that leads to
            await app.workers.wait_for_complete()
            await pilot.pause(0.05)
        text = "".join(f"{line.text.rstrip()}\n" for line in screen_lines(app))
    text = re.sub(r"\d+\.\d+", lambda number: re.sub(r"\d", "#", number[0]), text)
    text = re.sub("sha256 .*", "sha256 #", text)
    file = FOLDER / f"{screen}-{size}.txt"
    if WRITE:
        FOLDER.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert file.exists(), "a new screen: look at it, then SNAPSHOTS=write pytest tests/tui/test_snapshots.py"
    assert text == file.read_text("utf-8"), "as it should be? then SNAPSHOTS=write pytest tests/tui/test_snapshots.py"


def test_every_screen_has_a_snapshot() -> None:
    assert set(OPENED) <= set(SCREENS)
    assert {file.stem for file in FOLDER.iterdir()} == {f"{screen}-{size}" for screen in SCREENS for size in SIZES}
