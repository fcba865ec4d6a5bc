"""The description of an attribution method: its formula, its settings, and its cost."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

REFERENCE_SIDE = 224  # px: settings that are lengths are meant for an image of this side, and scaled for others

Value = int | float | str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a method: one of `words`, or where there are none, a number from `low` to `high`.

    A number is whole (int) if the default is.

    about:   what it means, with its unit
    source:  where the default comes from
    """

    name: str
    default: Value
    about: str
    source: str
    low: float = -math.inf
    high: float = math.inf
    words: tuple[str, ...] = ()

    def read(self, text: str) -> Value:
        """Return the value that a text means. Raises UsageError for a text that is not a value of this setting.

        >>> Setting(name="steps", default=50, about="steps of the integral", source="the paper", low=1).read("20")
        20
        """
        if self.words:
            if text in self.words:
                return text
            raise UsageError(f"{self.name}={printable(text, 60)}: write {' or '.join(self.words)}")
        try:
            value = int(text) if isinstance(self.default, int) else float(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high:
            kind = "a whole number" if isinstance(self.default, int) else "a number"
            raise UsageError(f"{self.name}={printable(text, 60)}: write {kind} from {self.low:g} to {self.high:g}")
        return value


@dataclass(frozen=True)
class Cost:
    """The number of runs of the network for one image: forward, and backward (for gradients, each after a forward)."""

    forwards: int
    backwards: int = 0

    @property
    def runs(self) -> int:
        """The number of forwards and backwards together."""
        return self.forwards + self.backwards


@dataclass(frozen=True, kw_only=True)
class Method:
    """An attribution method, or a control.

    name, title:  what commands and tables call it
    family:       the family that it belongs to, one of `FAMILIES` in the registry
    signed:       whether its values below 0 speak against the class
    formula:      x is the image in [0, 1], b the baseline, S the logit of the class, f the score that the setting `of`
                  names, and p a position; values of the colours are summed
    source:       the paper
    settings:     its settings, in the order in which they are listed
    sensitivity:  whether a value says how the score changes with a pixel: then its size is the pixel's importance,
                  otherwise the value itself is

    `forwards_and_backwards` returns the cost from the values of the settings, by name, and the image's side in px.
    """

    name: str
    title: str
    family: str
    signed: bool
    formula: str
    source: str
    settings: tuple[Setting, ...] = ()
    sensitivity: bool = False
    forwards_and_backwards: Callable[[Mapping[str, Value], int], Cost]

    def setting(self, name: str) -> Setting:
        """Return the setting with this name. Raises UsageError where there is none."""
        for setting in self.settings:
            if setting.name == name:
                return setting
        names = ", ".join(setting.name for setting in self.settings)
        hint = f"there are {names}" if names else "it has none"
        raise UsageError(f"{self.name} has no setting {printable(name, 60)}: {hint}")


def pixels(length: float, size: int) -> int:
    """Return a length that is given for an image of 224 px, scaled for one of `size` px: whole px, at least 1."""
    return max(1, round(scaled(length, size)))


def scaled(length: float, size: int) -> float:
    """Return a length in px that is given for an image of 224 px, scaled for one of `size` px; it is not rounded."""
    return length * size / REFERENCE_SIDE


def patches_along(side: int, patch: int, stride: int) -> int:
    """Return how many patches of `patch` px cover a side, one every `stride` px; the last is cut off at the border."""
    return 1 + max(0, math.ceil((side - patch) / stride))
