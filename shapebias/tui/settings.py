"""The settings that the explorer keeps between runs: view, columns, their widths, theme, attribution method."""

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shapebias.core.errors import ShapebiasError
from shapebias.core.files import read_state, state_folder, write_state
from shapebias.core.pictures.tiles import View


@dataclass
class ExplorerSettings:
    """The user's choices.

    view:    how a unit's images are displayed
    hidden:  the metrics without a column in the table; metrics that a later version adds have one at first
    theme:   the name of the colour theme
    widths:  the cells of columns whose width was changed, by metric
    method:  the name of the attribution method displayed last; empty for the first one
    """

    view: View = View.CROP
    hidden: list[str] = field(default_factory=list)
    theme: str = "textual-dark"
    widths: dict[str, int] = field(default_factory=dict)
    method: str = ""

    def save(self) -> None:
        """Write the settings to the user's state folder; where that fails, the next run starts with the old ones."""
        with contextlib.suppress(ShapebiasError):
            write_state(_path(), asdict(self))


def load_settings() -> ExplorerSettings:
    """Return the saved settings; missing or invalid ones have their defaults."""
    settings = ExplorerSettings()
    with contextlib.suppress(ShapebiasError):
        state = read_state(_path()) or {}
        with contextlib.suppress(ValueError):
            settings.view = View(state.get("view", ""))
        hidden, widths, theme, method = (state.get(name) for name in ("hidden", "widths", "theme", "method"))
        if isinstance(hidden, list):
            settings.hidden = [name for name in hidden if isinstance(name, str)]
        if isinstance(widths, dict):
            settings.widths = {name: width for name, width in widths.items() if type(width) is int}
        if isinstance(theme, str):
            settings.theme = theme
        if isinstance(method, str):
            settings.method = method
    return settings


def _path() -> Path:
    """Return the file that keeps the settings."""
    return state_folder() / "explorer.json"
