"""Saves the contents of the explorer: files in the current folder, and images for other programs."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shapebias.core.analysis.by_image import ImageName
from shapebias.core.errors import ShapebiasError
from shapebias.core.files import write_atomically
from shapebias.core.metrics import METRICS
from shapebias.core.pictures.tiles import View
from shapebias.core.pictures.unit_picture import unit_picture
from shapebias.core.store.reader import Store, Unit
from shapebias.core.text import markdown_row, markdown_text, printable
from shapebias.core.units.export import write_units_file
from shapebias.core.units.marks import Marks
from shapebias.core.units.table import UnitTable
from shapebias.tui.show import save_picture

if TYPE_CHECKING:
    from shapebias.core.report.excerpt import Excerpt


def free_path(stem: str, suffix: str = "") -> Path:
    """Return a path in the current folder that does not exist yet: `stem` with `suffix`, such as `.csv`, behind it.

    Where that exists, `-2`, `-3` and so on stand between the two.
    """
    number, path = 1, Path(f"{stem}{suffix}")
    while path.exists() or path.is_symlink():
        number += 1
        path = Path(f"{stem}-{number}{suffix}")
    return path


def save_unit_picture(store: Store, unit: Unit, view: View) -> Path:
    """Save a unit's top images as a PNG file, a grid with captions, in the current folder; return the path.

    Raises ShapebiasError where the store cannot be read or the file cannot be written.
    """
    path = free_path(f"{unit.model}-{unit.layer}-{unit.index}-{view}", ".png")
    save_picture(unit_picture(store, unit, view), path)
    return path


def page_path(text: str) -> Path:
    """Return the path of a new page by the name that the user wrote.

    Raises ShapebiasError where the name does not end in .html, .htm or .md, or where there is already something at that
    path, or at that of the folder of pictures beside a Markdown page.
    """
    from shapebias.core.report.markdown import pictures_beside

    path = Path(text).expanduser()
    form = path.suffix.lower()
    if form not in (".html", ".htm", ".md"):
        raise ShapebiasError("end the name in .html (one file) or .md (pictures beside it)")
    for taken in (path, *([pictures_beside(path)] if form == ".md" else [])):
        if taken.exists() or taken.is_symlink():
            raise ShapebiasError(f"{printable(str(taken), 80)} is there already: write another name")
    return path


def page_problem(text: str) -> str:
    """Return why a page cannot have this name, "" where it can."""
    try:
        page_path(text)
    except ShapebiasError as error:
        return str(error)
    return ""


def save_page(make: "Callable[[], Excerpt]", path: Path) -> Path:
    """Make a page and write it, as HTML or Markdown by the ending of `path`; return the path. Raises ShapebiasError."""
    from shapebias.core.report.markdown import write_excerpt_markdown
    from shapebias.core.report.page import excerpt_html

    excerpt = make()
    if path.suffix.lower() == ".md":
        write_excerpt_markdown(excerpt, path)
    else:
        write_atomically(path, excerpt_html(excerpt).encode("utf-8"))
    return path


def save_table(store: Store, table: UnitTable) -> Path:
    """Save the rows of a table as a CSV file in the current folder; return the path.

    Raises ShapebiasError where the store cannot be read or the file cannot be written.
    """
    model, layer = table.layers[0]
    path = free_path(f"{model}-{layer}" if len(table.layers) == 1 else "all-layers", ".csv")
    write_units_file(store, table, "csv", path)
    return path


def save_marks(store: Store, marks: Marks, folder: Path | None = None) -> Path:
    """Save the marked units as marks.md and a PNG file of each, in `folder`; return the path of marks.md.

    For None that is a new folder in the current one. Raises ShapebiasError where nothing is marked, the store cannot be
    read, or a file cannot be written.
    """
    units = marks.units()
    if not units:
        raise ShapebiasError("no unit is marked: press m in `shapebias explore` to mark one")
    folder = folder if folder is not None else free_path(f"{Path(store.identity).stem}-marks")
    path = folder / "marks.md"
    lines = [f"# Marked units of {markdown_text(Path(store.identity).name)}", ""]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, unit in enumerate(units, 1):
            picture = io.BytesIO()
            unit_picture(store, unit, View.MASK).save(picture, "PNG")
            name = f"{number:03d}.png"
            (folder / name).write_bytes(picture.getvalue())
            lines += [*_section(store, unit, marks.note(unit)), f"![{markdown_text(str(unit))}]({name})", ""]
        path.write_text("\n".join(lines), "utf-8")
    except OSError as error:
        raise ShapebiasError(f"cannot write {printable(str(folder))}: {error.strerror}") from error
    return path


def image_file(store: Store, image: ImageName) -> Path | None:
    """Return the absolute path of an image's file; None where the file is not on this machine, or not known."""
    attributes = store.attributes
    settings = attributes.get("settings")
    source = settings.get("cue_conflict" if image.is_cue_conflict else "images") if isinstance(settings, dict) else None
    if not isinstance(source, str):
        return None
    with suppress(OSError, ValueError):
        path = Path(str(attributes.get("folder", "")), source, image.path)
        return path.resolve() if path.is_file() else None
    return None


def open_image(path: Path) -> bool:
    """Open a file in the system's program for it; return False where there is none, no desktop, or over ssh."""
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    seen = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not seen or os.environ.get("SSH_CONNECTION") or shutil.which(opener) is None:
        return False
    nothing = subprocess.DEVNULL
    with suppress(OSError):
        subprocess.Popen([opener, str(path)], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        return True
    return False


def _section(store: Store, unit: Unit, note: str) -> list[str]:
    """Return the lines of Markdown of a unit: a heading, its note if it has one, its metrics in a table."""
    names = store.metric_names(unit.model, unit.layer)
    values = [float(store.metric(unit.model, unit.layer, name)[unit.index]) for name in names]
    cells = [METRICS[name].format(value) for name, value in zip(names, values, strict=True)]
    return [
        f"## {markdown_text(str(unit))}",
        "",
        *([markdown_text(note, 2000), ""] if note else []),
        markdown_row([METRICS[name].title for name in names]),
        markdown_row(["---:"] * len(names)),
        markdown_row(cells),
        "",
    ]
