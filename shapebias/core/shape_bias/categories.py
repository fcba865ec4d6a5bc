"""The categories of a cue-conflict experiment, and which classes of a network belong to them.

A mapping has for each category, by name, the indices of its classes among the network's outputs.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

from shapebias.core.errors import UsageError
from shapebias.core.imagenet import plain
from shapebias.core.text import printable

# A category in a stimulus' name has letters and single spaces, such as `cat` in cat1-elephant2.png.
CATEGORY = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)*")

_SYNONYMS = {  # other names of the 16 categories in data sets
    "airplane": ("aeroplane", "plane"),
    "bicycle": ("bike",),
    "boat": ("ship",),
    "car": ("automobile",),
    "truck": ("lorry",),
}


def sixteen_classes() -> dict[str, list[int]]:
    """Return the 16 categories of Geirhos et al. (2019), each with the indices of its ImageNet classes."""
    text = resources.files("shapebias.core").joinpath("reference/sixteen_classes.json").read_text("utf-8")
    mapping: dict[str, list[int]] = json.loads(text)
    return mapping


def known_categories(class_names: Sequence[str]) -> dict[str, list[int]]:
    """Return the mapping of those of the 16 categories that a network has classes of.

    A class belongs to a category if its name is that of the category or a synonym: CIFAR-10 has airplane, bird, boat
    (ship), car (automobile), cat, dog and truck. `class_names` are in the order of the network's outputs.
    """
    category_of = {
        name: category for category in sixteen_classes() for name in (category, *_SYNONYMS.get(category, ()))
    }
    mapping: dict[str, list[int]] = {}
    for index, name in enumerate(class_names):
        if (category := category_of.get(plain(name))) is not None:
            mapping.setdefault(category, []).append(index)
    return {category: mapping[category] for category in sixteen_classes() if category in mapping}


def is_part_of_sixteen(categories: Sequence[str]) -> bool:
    """Return whether these are some of the 16 categories, and not all."""
    return set(categories) < set(sixteen_classes())


def part_text(mapping: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> str:
    """Return a phrase on which of the 16 categories are in `mapping`, with the network's names for them, and on the
    chance level: `7 of the 16 categories (airplane, bird, boat: ship, ...), chance 14.3%`.
    """
    texts = []
    for category, indices in mapping.items():
        names = [printable(class_names[index], 40) for index in indices]
        texts.append(category if len(names) > 1 or names == [category] else f"{category}: {names[0]}")
    return (
        f"{len(mapping)} of the {len(sixteen_classes())} categories ({', '.join(texts)}), chance {1 / len(mapping):.1%}"
    )


def identity_mapping(class_names: Sequence[str]) -> dict[str, list[int]]:
    """Return the mapping for a network whose classes are the categories."""
    return {name: [index] for index, name in enumerate(class_names)}


def load_mapping(path: Path, class_ids: Sequence[str], class_names: Sequence[str]) -> dict[str, list[int]]:
    """Return the mapping in a file, JSON of {category: [class id, class name or index, ...], ...}.

    `class_ids` and `class_names` are the network's, in the order of its outputs (for ImageNet: WordNet ids and names).
    Raises UsageError, one line that says where, for a file that cannot be read or is not a mapping, fewer than two
    categories, a category without classes or whose name is not letters and single spaces, and a class that does not
    exist, is ambiguous, or is used twice.
    """
    file, mapping = printable(str(path)), {}
    for category, classes in read_mapping(path).items():
        try:
            mapping[category] = [_class_index(entry, class_ids, class_names) for entry in classes]
        except ValueError as error:
            raise UsageError(f"{file}: {printable(category)}: {error}") from error
    index, times = Counter(index for indices in mapping.values() for index in indices).most_common(1)[0]
    if times > 1:
        raise UsageError(f"{file}: class {index} ({printable(class_names[index])}) is listed {times} times")
    return mapping


def read_mapping(path: Path) -> dict[str, list[Any]]:
    """Return what a mapping file lists for each category: class ids, names or indices that no network was asked for.

    Raises UsageError as `load_mapping` does, except for the classes, which are not checked.
    """
    file = printable(str(path))
    try:
        content = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_without_repetition)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not a mapping: {printable(str(error), 120)}") from error
    if not isinstance(content, dict) or len(content) < 2:
        raise UsageError(f'{file} is not a mapping: write {{"category": [class, ...], ...}} with at least 2 categories')
    for category, classes in content.items():
        if not CATEGORY.fullmatch(category):
            raise UsageError(f"{file}: category {printable(repr(category))} is not letters, as in cat1-elephant2.png")
        if not isinstance(classes, list) or not classes:
            raise UsageError(f"{file}: {printable(category)} needs a list of classes")
    return content


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    name, times = Counter(name for name, _ in pairs).most_common(1)[0] if pairs else ("", 0)
    if times > 1:
        raise ValueError(f"{name!r} is given {times} times")
    return dict(pairs)


def _class_index(entry: object, class_ids: Sequence[str], class_names: Sequence[str]) -> int:
    """Return the class index that an entry of a mapping file names. Raises ValueError that says why it names none."""
    if type(entry) is int:
        if not 0 <= entry < len(class_ids):
            raise ValueError(f"class {printable(str(entry), 20)} is not one of 0 to {len(class_ids) - 1}")
        return entry
    if not isinstance(entry, str):
        raise ValueError(f"{printable(repr(entry), 60)} is not a class id, a class name or an index")
    for names in (class_ids, class_names):
        indices = [index for index, name in enumerate(names) if name == entry]
        if len(indices) > 1:
            raise ValueError(f"{printable(entry)} names {len(indices)} classes: write one's id or index")
        if indices:
            return indices[0]
    close = get_close_matches(entry, [*class_ids, *class_names], 1)
    hint = f": did you mean {printable(close[0])}?" if close else ""
    raise ValueError(f"the network has no class {printable(entry)}{hint}")
