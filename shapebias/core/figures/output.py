"""Figure files (matplotlib, the extra `plots`): PNG or SVG, and the palette that all figures share."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import cannot_write
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours are those of Okabe & Ito that differ clearly from red, the colour of people. Each model also has a marker
# or hatch, so that no two models differ by colour alone.
BLUE, ORANGE, GREEN, SKY, BLACK, PINK = "#0072b2", "#e69f00", "#009e73", "#56b4e9", "#000000", "#cc79a7"
MODELS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (SKY, "v"), (BLACK, "P"), (PINK, "X"))
MODEL_BARS = ((BLUE, ""), (ORANGE, "//"), (GREEN, ".."), (SKY, "xx"), (PINK, "\\\\"), (BLACK, ""))
PEOPLE = ("#b2182b", "D")

_SUFFIXES = (".png", ".svg")

_DPI = 150


def check_plot_file(path: Path) -> None:
    """Raise UsageError for a file that is not .png or .svg, and ShapebiasError where matplotlib is missing."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{printable(str(path))}: figures are written as .png or .svg")
    check_matplotlib()


def check_matplotlib() -> None:
    """Raise ShapebiasError where matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401 (is it there?)
    except ImportError as error:
        raise ShapebiasError("figures need matplotlib: pip install 'shapebias[plots]'") from error


@contextmanager
def drawing(salt: str = "shapebias", svg_text: Literal["path", "none"] = "path") -> Iterator[None]:
    """Set matplotlib up for drawing and writing figures in the `with` block.

    Names with `$` are not parsed as formulas, and a character that the font lacks gives no warning.

    salt:      text from which the names in SVG files are made, so that equal figures give equal files
    svg_text:  how letters are written in SVG files: as paths (`path`) or as text (`none`)
    """
    import matplotlib

    with (
        matplotlib.rc_context({"text.parse_math": False, "svg.hashsalt": salt, "svg.fonttype": svg_text}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # characters that the font lacks are drawn as boxes
        yield


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure in the format of its file's name; equal figures give equal files.

    Raises the errors of `check_plot_file`, and CannotWriteError where the file cannot be written.
    """
    check_plot_file(path)
    form = path.suffix.lower()[1:]
    undated = {"Date": None} if form == "svg" else {}
    try:
        with drawing():
            figure.savefig(path, format=form, dpi=_DPI, metadata=undated)
    except OSError as error:
        raise cannot_write(path, error) from error
