"""What `make docs` does to docstrings, which are written to be read as they stand: examples become blocks of code, and
lines `name:  what it is` a list."""

import inspect
import re
from typing import Any

import griffe

_NAMED = re.compile(r"(?P<names>[a-z_0-9]+(?:, [a-z_0-9]+)*):\s+(?P<text>.+)")


class Readable(griffe.Extension):
    """Makes every docstring Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was read."""
        if obj.docstring is not None:
            paragraphs = re.split(r"\n\s*\n", obj.docstring.value)
            obj.docstring.value = "\n\n".join(map(_markdown, paragraphs))


def _markdown(paragraph: str) -> str:
    if paragraph.lstrip().startswith(">>>"):
        return f"```pycon\n{inspect.cleandoc(paragraph)}\n```"
    lines = paragraph.split("\n")
    if not _NAMED.fullmatch(lines[0]):
        return paragraph
    items: list[str] = []
    for line in lines:
        named = _NAMED.fullmatch(line)
        if named:
            items.append(f"- `{named['names']}`: {named['text']}")
        else:
            items[-1] += f" {line.strip()}"
    return "\n".join(items)
