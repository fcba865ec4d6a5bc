"""The settings that the explorer keeps between runs: view, columns, their widths, theme, attribution method."""

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shapebias.core.errors import ShapebiasError
from shapebias.core.files import read_state, state_folder, write_state
from shapebias.core.pictures.tiles import View


@dataclass
class ExplorerSettings:
    """The user's choices. `widths` are the cells of the columns that are not as wide as usual.

    `hidden` are the metrics that are no columns, and not those that are, so that metrics of later versions are shown.
    `method` is the attribution method that was shown last; empty for the first that there is.
    """

    view: View = View.CROP
    hidden: list[str] = field(default_factory=list)
    theme: str = "textual-dark"
    widths: dict[str, int] = field(default_factory=dict)
    method: str = ""

    def save(self) -> None:
        """Write the settings to the user's state folder; where that is not possible, the next run begins anew."""
        with contextlib.suppress(ShapebiasError):
            write_state(_path(), asdict(self))


def load_settings() -> ExplorerSettings:
    """Return the settings that were saved last; whatever is missing or makes no sense is as at first."""
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
