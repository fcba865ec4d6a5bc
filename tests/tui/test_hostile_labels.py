"""Names, labels and notes written by an enemy: on no screen do they act on the terminal or move what is beside them."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import zarr
from rich.cells import cell_len
from textual.widgets import Input
from zarr.codecs import Crc32cCodec

from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Unit
from shapebias.core.units.marks import Marks
from shapebias.tui.app import Explorer
from shapebias.tui.screens import SCREENS
from shapebias.tui.terminal.graphics import Graphics
from tests.support.attribution_store import add_attribution
from tests.support.explorer_pilot import exploring, press, screen_lines, settled

pytestmark = pytest.mark.slow

HOSTILE = "\x1b]0;owned\x07\x9b31m\x1bP0;1q~\x1b\\\x08\u202e\u200bשלום日本e\u0301\ufe0f[red]x[/red][@click=app.quit]"
LONG = HOSTILE + "長" * 10_000
NAMES = {
    "Tiny": "日本[b]שלום",
    "block1": "[link=http:x]e\u0301長",
    "block3": "長" * 60,
}  # what a store may have as names


@pytest.fixture(scope="module")
def hostile_store(concept_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copytree(concept_store, tmp_path_factory.mktemp("hostile") / "hostile.zarr"))
    (path / "models/Tiny").rename(path / f"models/{NAMES['Tiny']}")
    root = zarr.open_group(path, mode="a")
    model = root[f"models/{NAMES['Tiny']}"]
    root.attrs["models"] = [NAMES["Tiny"]]
    model.attrs.update({"label": NAMES["Tiny"], "layers": [NAMES.get(name, name) for name in model.attrs["layers"]]})
    facts = model.attrs["layer_facts"]
    model.attrs["layer_facts"] = [layer | {"name": NAMES.get(layer["name"], layer["name"])} for layer in facts]
    probe = root["images/probe"]
    probe.attrs["class_names"] = [LONG if number % 2 else HOSTILE for number in range(10)]
    root["concepts"].attrs["names"] = [f"{HOSTILE}{number}" for number, _ in enumerate(root["concepts"].attrs["names"])]
    names = [f"{LONG if number % 2 else HOSTILE}{number}".encode() + b"\xff\x1b[2J" for number in range(50)]
    for part, values in {
        "data": np.frombuffer(b"".join(names), np.uint8),
        "offsets": np.cumsum([0, *map(len, names)]),
    }.items():
        probe.create_array(
            f"path/{part}",
            data=values,
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
            overwrite=True,
        )
    add_attribution(path)
    model["attribution"].attrs["left_out"] = {"grad-cam": LONG}
    model["attribution"].attrs["methods"] = [
        method | {"settings": {HOSTILE: LONG}, "fallback": HOSTILE} for method in model["attribution"].attrs["methods"]
    ]
    return path


def check_screen(app: Explorer) -> str:
    """No line holds what a terminal acts on or is of another width than the screen; the text."""
    lines = screen_lines(app)
    for line in lines:
        hidden = [
            character for character in line.text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        ]
        assert not hidden, line.text
        assert cell_len(line.text) == line.cell_length == app.size.width, line.text
        assert not any(segment.style is not None and segment.style.link for segment in line)
    text = "\n".join(line.text for line in lines)
    upright = str.maketrans(dict.fromkeys("╭╮╰╯", "│"))  # frames end at different lines, but in the same columns
    beside = [line.text.translate(upright) for line in lines[:-2] if "▌" not in line.text]  # no message over it
    borders = {tuple(cell_len(part) for part in line.split("│")[:-1]) for line in beside}
    if len(app.screen_stack) == 1 and not app.prompt.display:
        assert len(borders) == 1, text
    return text


@pytest.mark.parametrize(
    ("size", "graphics"),
    [((160, 48), Graphics.NONE), ((100, 30), Graphics.HALFCELL), ((60, 15), Graphics.NONE)],
)
async def test_panes_and_prompts(hostile_store: Path, size: tuple[int, int], graphics: Graphics) -> None:
    store = open_store(hostile_store)
    marks = Marks(store)
    marks.load()
    marks.set(Unit(NAMES["Tiny"], NAMES["block1"], 0), LONG)
    async with exploring(store, graphics, size) as (app, pilot):
        check_screen(app)
        for keys in (
            ["j"],
            ["right_square_bracket"],
            ["right_square_bracket"],
            ["G"],
            ["tab"],
            ["tab"],
            ["M"],
            ["escape"],
        ):
            await press(app, pilot, *keys)
            check_screen(app)
        for key in ("slash", "f", "M"):
            await press(app, pilot, key)
            app.prompt.query_one(Input).insert_text_at_cursor(HOSTILE)
            await settled(app, pilot)
            check_screen(app)
            await press(app, pilot, "enter", "escape")
            check_screen(app)
        await press(app, pilot, "ctrl+p")
        for character in "layer":
            await pilot.press(character)
        await pilot.pause(0.3)
        check_screen(app)


@pytest.mark.parametrize("name", SCREENS)
async def test_screens(hostile_store: Path, name: str) -> None:
    async with exploring(open_store(hostile_store), Graphics.NONE) as (app, pilot):
        app.action_screen(name)
        await pilot.pause(0.1)
        check_screen(app)


@pytest.mark.parametrize("size", [(160, 48), (60, 15)])
async def test_images_of_an_enemy(hostile_store: Path, size: tuple[int, int]) -> None:
    async with exploring(open_store(hostile_store), Graphics.NONE, size, f"{NAMES['Tiny']}/block2/3") as (app, pilot):
        for keys in (
            ["enter"],
            ["1"],
            ["right"],
            ["a"],
            ["n"],
            ["a"],
            ["escape"],
            ["i"],
            ["n"],
            ["a"],
            ["n"],
            ["a"],
            ["slash"],
            ["down"],
            ["3", "backspace"],
            ["enter"],
            ["v"],
        ):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            check_screen(app)
        app.screen.query_one(Input).insert_text_at_cursor(HOSTILE)
        await pilot.pause(0.1)
        check_screen(app)


async def test_a_note_that_was_pasted(hostile_store: Path) -> None:
    """A pasted text may hold anything."""
    from textual.events import Paste

    async with exploring(open_store(hostile_store), Graphics.NONE, unit=f"{NAMES['Tiny']}/block2/3") as (app, pilot):
        await press(app, pilot, "M")
        app.prompt.query_one(Input).post_message(Paste(HOSTILE))
        await pilot.pause(0.1)
        check_screen(app)
        await press(app, pilot, "enter")
        check_screen(app)
