"""Sets of stimuli that the user names: NAME=IMAGES."""

from collections.abc import Iterable

from shapebias.core.errors import UsageError
from shapebias.core.store.schema import LABEL_PATTERN
from shapebias.core.text import printable


def parse_sets(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the name and the source of images, as text, of each `NAME=IMAGES` (values of `--ood`), in their order.

    Raises UsageError for another form, for a name that a store cannot have, and for a name given twice.
    """
    sets: dict[str, str] = {}
    for text in texts:
        name, _, images = text.partition("=")
        if not LABEL_PATTERN.fullmatch(name) or not images:
            raise UsageError(f"--ood {printable(text)}: write NAME=IMAGES, such as edge=stimuli/edge")
        if name in sets:
            raise UsageError(f"--ood names {name} twice: give each set a name of its own")
        sets[name] = images
    return tuple(sets.items())
