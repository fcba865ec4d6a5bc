"""What the explorer remembers from one run to the next: view, columns, theme."""

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shapebias.core.errors import ShapebiasError
from shapebias.core.grid import View
from shapebias.core.state import read_state, state_folder, write_state


@dataclass
class Settings:
    """The user's choices. `hidden` names the metrics that are no columns, so that metrics to come are shown."""

    view: View = View.CROP
    hidden: list[str] = field(default_factory=list)
    theme: str = "textual-dark"

    def save(self) -> None:
        """Writes them down; where that is not possible, the next run begins anew."""
        with contextlib.suppress(ShapebiasError):
            write_state(_path(), asdict(self))


def load_settings() -> Settings:
    """The last saved settings; whatever is missing or makes no sense is as at first."""
    settings = Settings()
    with contextlib.suppress(ShapebiasError):
        found = read_state(_path()) or {}
        with contextlib.suppress(ValueError):
            settings.view = View(found.get("view", ""))
        hidden, theme = found.get("hidden"), found.get("theme")
        if isinstance(hidden, list):
            settings.hidden = [name for name in hidden if isinstance(name, str)]
        if isinstance(theme, str):
            settings.theme = theme
    return settings


def _path() -> Path:
    return state_folder() / "explorer.json"
