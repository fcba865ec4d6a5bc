"""Labels of images from any source, and the output of a network that is right for each label.

A source gives every image the name of its class, or none: from its list, its shard, or its folder (`name_by_folder`).
`label_images` turns the names into labels before any network is known; `match_outputs` then finds a network's output
for every class. docs/images.md shows the rule as a table.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shapebias.core import imagenet
from shapebias.core.errors import UsageError
from shapebias.core.text import printable

_SPLIT = re.compile(r"(?:.*[_-])?(train|val|test|eval|dev)(?:ing|id|idation)?(?:[_-]?(?:set|images|[0-9]{1,4}))?")
_NUMBER = re.compile(r"[0-9]{1,6}")
_MOST_NUMBERED = 10_000  # below this number, numbers without an image are classes too, so that a label is its number
_DEPTH = 4  # number of folder levels in which WordNet ids are searched
_SHOWN = 4

Outputs = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ImageLabels:
    """The classes of images.

    labels:        int32 [images], an index into the class lists, -1 where an image has no label
    class_ids:     the classes' names; ImageNet's 1000 WordNet ids where the names in the source are WordNet ids, or
                   exactly the numbers 0 to 999
    class_names:   names to show: ImageNet's names where the ids are ImageNet's, else the ids
    source_names:  the names in the source, in the order of their characters, with their index in the class lists
    """

    labels: npt.NDArray[np.int32]
    class_ids: list[str]
    class_names: list[str]
    source_names: dict[str, int]


def label_images(names: Sequence[bytes | None]) -> ImageLabels:
    """Return the labels of images from the names of their classes; None is the name of an image without a label.

    If all names are WordNet ids of ImageNet (or like `n01440764_tench`), the classes are ImageNet's. If all are
    different numbers, the classes are the numbers in ascending order, from 0 on where the largest is below 10,000.
    Otherwise the classes are the names in the order of their characters. Bytes that are not UTF-8 become surrogates.

    >>> label_images([b"cat", b"dog", b"cat"]).labels
    array([0, 1, 0], dtype=int32)
    """
    texts = {name: os.fsdecode(name) for name in sorted({name for name in names if name is not None})}
    ids, index_of = _classes(list(texts.values()))
    return ImageLabels(
        labels=np.array([-1 if name is None else index_of[texts[name]] for name in names], np.int32),
        class_ids=list(ids),
        class_names=list(imagenet.class_names() if ids == imagenet.wnids() else ids),
        source_names=index_of,
    )


def _classes(names: list[str]) -> tuple[list[str], dict[str, int]]:
    """Return the ids of classes with these names, each once, and the index of each name among them."""
    by_wnid = {name: imagenet.index_of_wnid(name) for name in names}
    known = {name: index for name, index in by_wnid.items() if index is not None}
    if names and len(known) == len(names):
        return imagenet.wnids(), known
    numbers = _numbers(names)
    if not numbers:
        return names, {name: index for index, name in enumerate(names)}
    if set(numbers.values()) == set(range(len(imagenet.wnids()))):
        return imagenet.wnids(), numbers
    largest = max(numbers.values())
    kept = range(largest + 1) if largest < _MOST_NUMBERED else sorted(numbers.values())
    position = {number: index for index, number in enumerate(kept)}
    return [str(number) for number in kept], {name: position[number] for name, number in numbers.items()}


def _numbers(names: Sequence[str]) -> dict[str, int]:
    """Return the number that each name stands for; an empty dict where a name is no number of up to six digits, or two
    are the same number.
    """
    numbers = {name: int(name) for name in names if _NUMBER.fullmatch(name)}
    return numbers if len(numbers) == len(names) == len(set(numbers.values())) else {}


@dataclass(frozen=True)
class FolderClasses:
    """The classes of the images of a listing by their folders.

    names:  the name of each image's class; None where it has none
    stray:  indices of the images beside the class folders, which the caller skips
    """

    names: list[bytes | None]
    stray: list[int]


def name_by_folder(paths: Sequence[bytes], source: str, *, is_folder: bool = True) -> FolderClasses:
    """Return the classes of images by their folders.

    The class is the first folder below those that all paths share, or the first that is a WordNet id where each path
    has one. Images beside the class folders are stray if they are fewer than those in the folders; otherwise the folder
    is flat, and nothing has a class. Nor has anything where the only folder is a split of a data set, such as train.
    `source` is the user's name for the images, a folder or (not `is_folder`) a file, for messages. Raises UsageError
    where the folders are several splits, such as train and val.
    """
    folder_of = [path.rpartition(b"/")[0] for path in paths]
    times = Counter(folder_of)
    parts = {folder: folder.split(b"/") if folder else [] for folder in times}
    while _share_a_folder(list(parts.values())):
        parts = {folder: names[1:] for folder, names in parts.items()}
    tops = {names[0] for names in parts.values() if names}
    splits = {name: match[1] for name in sorted(tops) if (match := _SPLIT.fullmatch(os.fsdecode(name).lower()))}
    if len(set(splits.values())) > 1:
        raise UsageError(_splits_text(list(splits), source, is_folder))
    depth = _depth_of_wnids(list(parts.values()))
    class_of = {folder: names[depth] if names else None for folder, names in parts.items()}
    outside = sum(times[folder] for folder, name in class_of.items() if name is None)
    in_classes = len(tops) > 1 or any(map(is_wnid, tops))
    if (outside and not (in_classes and outside < len(paths) - outside)) or len(splits) == len(tops) == 1:
        return FolderClasses([None] * len(paths), [])
    names = [class_of[folder] for folder in folder_of]
    return FolderClasses(names, [position for position, name in enumerate(names) if name is None])


def is_wnid(folder: bytes) -> bool:
    """Return whether a folder's name is a WordNet id of one of ImageNet's 1000 classes, or begins with one and `_`."""
    return imagenet.index_of_wnid(os.fsdecode(folder)) is not None


def _share_a_folder(folders: Sequence[list[bytes]]) -> bool:
    """Return whether all folders, lists of the names on their paths, begin with the same folder, which is no class.

    It is no class where all images are in folders below it, or several folders or WordNet ids are directly in it.
    """
    if not all(folders) or len({names[0] for names in folders}) > 1 or is_wnid(folders[0][0]):
        return False
    below = {names[1] for names in folders if len(names) > 1}
    return all(len(names) > 1 for names in folders) or len(below) > 1 or any(map(is_wnid, below))


def _depth_of_wnids(folders: Sequence[list[bytes]]) -> int:
    """Return the first of four depths at which the names on all folders' paths are WordNet ids; 0 where none is."""
    for depth in range(min(_DEPTH, min(map(len, folders), default=0))):
        if all(is_wnid(name) for name in {names[depth] for names in folders}):
            return depth
    return 0


def _splits_text(splits: Sequence[bytes], source: str, is_folder: bool) -> str:
    names, source_text = [printable(name, 40) for name in splits], printable(source)
    held = f"{source_text} holds {', '.join(names[:-1])} and {names[-1]}, each with images"
    if is_folder:
        return f"{held}: name one of them, such as {source_text.rstrip('/')}/{names[-1]}"
    return f"{held}: make one of {names[-1]} alone"


@dataclass(frozen=True, kw_only=True)
class Match:
    """Which of a network's outputs stands for which class of the images.

    outputs:  int64 [classes of the images], the output's index, or -1 for a class that the network does not know; None
              where no rule fits
    rule:     the rule in words; without outputs, what was found and what was needed
    notes:    what the user should know about the match
    orders:   what `outputs` would be in other usual orders of classes with such names, by the order's name
    """

    outputs: Outputs | None
    rule: str
    notes: list[str] = field(default_factory=list)
    orders: dict[str, Outputs] = field(default_factory=dict)

    def targets(self, labels: npt.NDArray[np.int32], order: str | None = None) -> npt.NDArray[np.int32]:
        """Return the index of the right output of each image, int32 [images], -1 where it has none.

        labels:  int32 [images], indices into the class lists, -1 where an image has no label
        order:   the name in `orders` of the outputs to use; None: `outputs`

        Raises KeyError for a name that is not in `orders`.
        """
        outputs = self.outputs if order is None else self.orders[order]
        if outputs is None or not len(outputs):
            return np.full(len(labels), -1, np.int32)
        return np.where(labels >= 0, outputs[labels], -1).astype(np.int32)


def match_outputs(
    source_names: Mapping[str, int], class_ids: Sequence[str], network_ids: Sequence[str] | None, outputs: int | None
) -> Match:
    """Return a network's output for every class of the images, by the first rule that fits.

    The rules are: the names of the network's classes (`network_ids`), where they are known; numbers below `outputs`;
    ImageNet's classes, where there are 1000 outputs; the order of the names, where there are as many outputs.
    `source_names` and `class_ids` are as in `ImageLabels`; `outputs` is the number of the network's outputs, None where
    it gives no class scores. Nothing is raised: where no rule fits, the match says why.
    """
    if outputs is None:
        return Match(outputs=None, rule="the network gives no class scores")
    if not source_names:
        return Match(outputs=None, rule=f"no folder, list or --labels names a class; the network has {outputs} outputs")
    names, count = list(source_names), len(class_ids)
    numbers = _numbers(names)
    is_imagenet = outputs == len(imagenet.wnids()) and network_ids in (None, imagenet.wnids())
    if network_ids is not None and not is_imagenet:
        known = _by_network(source_names, class_ids, network_ids)
        if known:
            notes = _unknown(names, known, "the network's")
            return Match(outputs=_array(known, source_names, count), rule="by name", notes=notes)
    if numbers and max(numbers.values()) < outputs + (min(numbers.values()) > 0):
        return _by_number(source_names, count, numbers, outputs, any_order=network_ids is None)
    if is_imagenet:
        known = _by_imagenet(names)
        if known and (len(known) == len(names) or network_ids is not None or len(names) != outputs):
            return _imagenet_match(source_names, count, known)
    if network_ids is None and len(names) == outputs:
        return _by_order(source_names, count)
    classes_text = f"{len(names)} {'class' if len(names) == 1 else 'classes'} found ({_some(names)})"
    if network_ids is not None and not is_imagenet:
        return Match(
            outputs=None, rule=f"{classes_text}; none is of the network's {len(network_ids)} ({_some(network_ids)})"
        )
    return Match(outputs=None, rule=f"{classes_text}; the network has {outputs} outputs")


def _by_network(names: Mapping[str, int], class_ids: Sequence[str], network_ids: Sequence[str]) -> dict[str, int]:
    """Return the output of each class that the network names too, also by another name of the same ImageNet class.

    `names` are `ImageLabels.source_names`. Classes that the network does not name are left out.
    """
    exact = {name: output for output, name in enumerate(network_ids)}
    loose = {imagenet.plain(name): output for output, name in enumerate(network_ids)}
    known = {}
    for name, index in names.items():
        candidates = [name, class_ids[index]]
        same = imagenet.index_of_wnid(name)
        same = imagenet.index_of_name(name) if same is None else same
        if same is not None:
            candidates += [imagenet.wnids()[same], imagenet.class_names()[same]]
        outputs = [exact.get(candidate) for candidate in candidates]
        outputs += [loose.get(imagenet.plain(candidate)) for candidate in candidates]
        if (output := next((output for output in outputs if output is not None), None)) is not None:
            known[name] = output
    return known


def _by_imagenet(names: Sequence[str]) -> dict[str, int]:
    """Return ImageNet's class index for each of the names that has one; empty unless one is a WordNet id or more than
    half are names of classes.

    A name that two classes share (`crane`) means the one of them that no other name in the list means; where that does
    not decide, the name is left out.
    """
    by_wnid = {name: index for name in names if (index := imagenet.index_of_wnid(name)) is not None}
    by_name = {name: index for name in names if (index := imagenet.index_of_name(name)) is not None}
    if not by_wnid and 2 * len(by_name) <= len(names):
        return {}
    known = by_name | by_wnid
    for name in names:
        left = set(imagenet.indices_of_shared_name(name)) - set(known.values())
        if name not in known and len(left) == 1:
            known[name] = left.pop()
    return known


def _imagenet_match(source_names: Mapping[str, int], count: int, known: Mapping[str, int]) -> Match:
    wnids = sum(imagenet.index_of_wnid(name) is not None for name in known)
    rule = "by WordNet id" if 2 * wnids >= len(known) else "by ImageNet's class names"
    twofold = [name for name in source_names if name not in known and imagenet.indices_of_shared_name(name)]
    notes = _unknown([name for name in source_names if name not in twofold], known, "ImageNet's")
    if twofold:
        notes.append(f"two classes of ImageNet each have the name {_some(twofold)}: these images have no label")
    return Match(outputs=_array(known, source_names, count), rule=rule, notes=notes)


def _by_number(
    source_names: Mapping[str, int], count: int, numbers: Mapping[str, int], outputs: int, *, any_order: bool
) -> Match:
    """Return the match of class names that are numbers: each is its output, counted from 1 if the largest is `outputs`.

    count:      the number of the images' classes
    numbers:    the number that each name stands for
    any_order:  whether the network does not say its classes, so that it may have sorted its folders otherwise; then a
                note says so
    """
    first = int(max(numbers.values()) == outputs)
    by_number = {name: number - first for name, number in numbers.items()}
    orders, notes = {}, []
    if not first and min(numbers.values()) > 0:
        less_one = {name: number - 1 for name, number in numbers.items()}
        orders["counted from 1"] = _array(less_one, source_names, count)
    in_order = {name: output for output, name in enumerate(sorted(map(str, range(first, first + outputs))))}
    by_characters = {name: in_order[name] for name in numbers if name in in_order}
    if len(by_characters) == len(numbers) and by_characters != by_number:
        orders["sorted by characters, as torchvision's ImageFolder does"] = _array(by_characters, source_names, count)
        if len(numbers) == outputs and any_order:
            name = next(name for name in numbers if by_characters[name] != by_number[name])
            notes.append(
                f"class {name} is output {by_number[name]}, by number, as timm sorts folders; torchvision's "
                f"ImageFolder sorts by characters and makes it output {by_characters[name]}"
            )
    rule = "by number, counted from 1" if first else "by number"
    return Match(outputs=_array(by_number, source_names, count), rule=rule, notes=notes, orders=orders)


def _by_order(source_names: Mapping[str, int], count: int) -> Match:
    by_characters = {name: position for position, name in enumerate(source_names)}
    natural = {name: position for position, name in enumerate(sorted(source_names, key=natural_key))}
    notes, orders = [], {}
    if natural != by_characters:
        orders["in natural order, as timm sorts folders"] = _array(natural, source_names, count)
        name = next(name for name in by_characters if by_characters[name] != natural[name])
        notes.append(
            f"class {printable(name, 40)} is output {by_characters[name]}, by characters, as torchvision's ImageFolder "
            f"sorts folders; timm sorts naturally and makes it output {natural[name]}"
        )
    outputs = _array(by_characters, source_names, count)
    return Match(outputs=outputs, rule="in the order of their names", notes=notes, orders=orders)


def natural_key(name: str) -> list[tuple[str, int]]:
    """Return a key that sorts class folders as timm does: numbers by value, the text between them in lower case."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(text, int(number)) for text, number in zip(parts[::2], [*parts[1::2], "-1"], strict=True)]


def _array(known: Mapping[str, int], source_names: Mapping[str, int], count: int) -> Outputs:
    """Return the outputs by the classes' indices, int64 [count], from those by name; -1 for a class not in `known`."""
    outputs = np.full(count, -1, np.int64)
    for name, output in known.items():
        outputs[source_names[name]] = output
    return outputs


def _unknown(names: Sequence[str], known: Mapping[str, int], whose: str) -> list[str]:
    """Return a note, as a list of one line, that counts the names that are not in `known`; empty where all are.

    `whose` says in it whose classes they are not, such as `ImageNet's`.
    """
    missing = [name for name in names if name not in known]
    counted = f"{len(missing)} of {len(names)} classes are not {whose} ({_some(missing)})"
    return [f"{counted}: their images have no label"] if missing else []


def _some(names: Sequence[str]) -> str:
    """Return the first four names as text, with an ellipsis where there are more."""
    more = ", …" if len(names) > _SHOWN else ""
    return ", ".join(printable(name, 30) for name in names[:_SHOWN]) + more
