"""The explorer's settings come back, and nothing in their file or folder stops it."""

from pathlib import Path

import pytest

from shapebias.core.pictures.tiles import View
from shapebias.tui.settings import ExplorerSettings, load_settings


def test_settings_come_back(state_home: Path) -> None:
    assert load_settings() == ExplorerSettings()
    chosen = ExplorerSettings(View.MASK, ["std", "max"], "textual-light", {"max": 12}, "rise")
    chosen.save()
    assert load_settings() == chosen
    assert [path.name for path in (state_home / "shapebias").iterdir()] == ["explorer.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"view": "sideways", "hidden": 3, "theme": 4, "method": 5}',
        b'{"view": 1, "hidden": [1], "widths": {"max": "1"}}',
        b"\xff",
    ],
)
def test_a_file_of_nonsense_gives_the_defaults(state_home: Path, content: bytes) -> None:
    (state_home / "shapebias").mkdir()
    (state_home / "shapebias/explorer.json").write_bytes(content)
    assert load_settings() == ExplorerSettings()


def test_a_folder_that_cannot_be_written_is_no_error(state_home: Path) -> None:
    (state_home / "shapebias").write_text("a file where the folder would be")
    ExplorerSettings(View.WHOLE).save()
    assert load_settings() == ExplorerSettings()
