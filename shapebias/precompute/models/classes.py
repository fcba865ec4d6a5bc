"""Reads files that name the classes of a network."""

import json
from pathlib import Path
from typing import Any

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_MAX_BYTES = 50_000_000


def read_classes(path: Path) -> list[str]:
    """Return the classes of a network in the order of its outputs, called as the folders of their images are.

    The file is a JSON list; a JSON object {index: class}, {index: [class, name, …]} or {class: index}; or text with one
    class per line. Raises UsageError for anything else, for a file that cannot be read, and where a class is named
    twice.
    """
    path_text = printable(str(path))
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path_text} is too large for a list of classes")
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the classes in {path_text} cannot be read: {printable(str(error), 120)}") from error
    try:
        classes = _from_json(json.loads(text)) if text.lstrip()[:1] in ("[", "{") else _from_lines(text)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        reason = printable(str(error), 120)
        raise UsageError(f"{path_text} is no list of classes (JSON, or one class per line): {reason}") from error
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise UsageError(f"{path_text} names the class {printable(twice)} twice")
    return classes


def _from_lines(text: str) -> list[str]:
    classes = [line.strip() for line in text.splitlines()]
    while classes and not classes[-1]:
        classes.pop()
    if not classes or not all(classes):
        raise ValueError("it is empty or has an empty line")
    return classes


def _from_json(content: Any) -> list[str]:
    if isinstance(content, dict):
        if content and all(isinstance(value, int) for value in content.values()):
            inverse = {index: name for name, index in content.items()}
            if len(inverse) < len(content):
                raise ValueError("two classes of one index")
            content = inverse
        by_index = {int(index): name for index, name in content.items()}
        content = [by_index[index] for index in range(len(by_index))]
    names = [entry[0] if isinstance(entry, list) else entry for entry in content]
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError("a class that is no text")
    return names
