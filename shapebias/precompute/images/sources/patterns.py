"""File names with wildcards or braces, which match several files."""

import re

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")
_MOST = 1_000_000  # names in braces


def is_pattern(text: str) -> bool:
    """Return whether a name has wildcards, or a pair of braces."""
    return has_wildcard(text) or _BRACES.search(text) is not None


def has_wildcard(text: str) -> bool:
    """Return whether a name has wildcards: `*`, `?` or `[`."""
    return any(character in text for character in "*?[")


def expand(pattern: str) -> list[str]:
    """Return the names that braces stand for, `{0000..0146}` and `{a,b}`, as in a shell.

    Raises UsageError for more than a million.

    >>> expand("train-{08..10}.tar")
    ['train-08.tar', 'train-09.tar', 'train-10.tar']
    """
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    numbers = _RANGE.fullmatch(match[1])
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        width = max(map(len, numbers.groups())) if any(number[0] == "0" for number in numbers.groups()) else 0
        count = last - first + 1
        choices = (f"{number:0{width}d}" for number in range(first, last + 1))
    else:
        parts = match[1].split(",")
        count, choices = len(parts), (part for part in parts)
    ends = expand(pattern[match.end() :])
    if count * len(ends) > _MOST:
        raise UsageError(f"{printable(pattern)} stands for too many files: use a wildcard, or name the folder")
    return [pattern[: match.start()] + choice + end for choice in choices for end in ends]
