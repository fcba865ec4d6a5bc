"""HTML for notebooks. All text is untrusted: it is escaped here."""

import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

from shapebias.core.text import printable

_CELL = "padding: 0.1em 0.6em; text-align: "


def text_html(text: str, limit: int = 200) -> str:
    """Return a text on one line as HTML without markup of its own; a long text is cut in its middle."""
    return escape(printable(text, limit))


def lines_html(text: str) -> str:
    """Return printable lines as preformatted HTML."""
    return f"<pre>{escape(text)}</pre>"


def table_html(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[bool], hints: Sequence[str] = ()
) -> str:
    """Return a table of texts as HTML, with one row below the header for each of `rows`.

    `numbers` says of each column whether it is right-aligned; `hints` are the tooltips of the header's cells, if any.
    """
    aligns = [f"{_CELL}{'right' if number else 'left'}" for number in numbers]
    titles = [f' title="{text_html(hint, 400)}"' for hint in hints] or [""] * len(header)
    head = "".join(
        f'<th style="{align}"{title}>{text_html(cell)}</th>'
        for cell, align, title in zip(header, aligns, titles, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{align}">{text_html(cell)}</td>' for cell, align in zip(row, aligns, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div style="overflow-x: auto"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture_html(picture: Image.Image, description: str) -> str:
    """Return an RGB picture as HTML with the JPEG file inside; `description` is for readers who cannot see it."""
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=80)
    data = b64encode(encoded.getvalue()).decode("ascii")
    return f'<img alt="{text_html(description)}" src="data:image/jpeg;base64,{data}">'
