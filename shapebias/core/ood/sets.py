"""The seventeen published sets of stimuli (Geirhos et al. 2021, arXiv 2106.07411; github.com/bethgelab/model-vs-human).

Twelve were shown under several conditions. The published benchmark leaves some conditions out: those that change
nothing (they are not out of distribution), and those in which people are right for less than a fifth of the images.
"""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class PublishedSet:
    """The conditions under which the images of a published set were shown.

    conditions:  names of the conditions, in the published order; empty where there was only one condition
    left_out:    those of them that do not enter the set's mean accuracy
    """

    conditions: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def _eidolon(coherence: str, *left_out: str) -> PublishedSet:
    reaches = [str(2**power) for power in range(8)]
    return PublishedSet(
        tuple(f"{reach}-{coherence}-10" for reach in reaches), tuple(f"{reach}-{coherence}-10" for reach in left_out)
    )


PUBLISHED = {
    "colour": PublishedSet(("cr", "bw"), ("cr",)),
    "contrast": PublishedSet(("c100", "c50", "c30", "c15", "c10", "c05", "c03", "c01"), ("c100", "c03", "c01")),
    "high-pass": PublishedSet(("inf", "3", "1.5", "1", "0.7", "0.55", "0.45", "0.4"), ("inf", "0.55", "0.45", "0.4")),
    "low-pass": PublishedSet(("0", "1", "3", "5", "7", "10", "15", "40"), ("0", "15", "40")),
    "phase-scrambling": PublishedSet(("0", "30", "60", "90", "120", "150", "180"), ("0", "150", "180")),
    "power-equalisation": PublishedSet(("0", "pow"), ("0",)),
    "false-colour": PublishedSet(("true", "false"), ("true",)),
    "rotation": PublishedSet(("0", "90", "180", "270"), ("0",)),
    "eidolonI": _eidolon("10", "1", "64", "128"),
    "eidolonII": _eidolon("3", "1", "32", "64", "128"),
    "eidolonIII": _eidolon("0", "1", "16", "32", "64", "128"),
    "uniform-noise": PublishedSet(("0", "0.03", "0.05", "0.1", "0.2", "0.35", "0.6", "0.9"), ("0", "0.6", "0.9")),
    "sketch": PublishedSet(),
    "stylized": PublishedSet(),
    "edge": PublishedSet(),
    "silhouette": PublishedSet(),
    "cue-conflict": PublishedSet(),
}


@cache
def condition_key(condition: str) -> str:
    """Return a condition's key, equal for all spellings: files write one as `0.10`, `0.1` or `.1`, another as `True`
    or `true`.

    The key of `NaN`, which files write where an image has no condition, is empty.

    >>> condition_key("0.10"), condition_key(".1"), condition_key("True")
    ('0.1', '0.1', 'true')
    """
    try:
        number = float(condition)
    except ValueError:
        return condition.strip().casefold()
    return "" if number != number else f"{number:g}"


def is_left_out(set_name: str, condition: str) -> bool:
    """Return whether the published benchmark leaves this condition, in any spelling, out of the set's means.

    It leaves out none of a set that is not published.
    """
    return set_name in PUBLISHED and condition_key(condition) in PUBLISHED[set_name].left_out


def in_order(set_name: str, conditions: set[str]) -> list[str]:
    """Return `conditions`, the keys of a set's conditions, in the published order; unknown ones follow in natural
    order.
    """
    published = PUBLISHED[set_name].conditions if set_name in PUBLISHED else ()
    others = sorted(conditions - set(published), key=_natural)
    return [*(condition for condition in published if condition in conditions), *others]


def _natural(text: str) -> list[tuple[float, str]]:
    """Return a sort key for natural order, in which numbers are sorted by size and other text by its characters."""
    pieces = re.findall(r"\d+(?:\.\d+)?|\D+", text)
    return [(float(piece), "") if piece[0].isdigit() else (float("inf"), piece) for piece in pieces]
