"""A choice of attribution method and settings, and its text on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from shapebias.core.attribution.method import Cost, Method, Value
from shapebias.core.attribution.methods import METHODS, find_method
from shapebias.core.errors import UsageError
from shapebias.core.text import printable


@dataclass(frozen=True)
class Choice:
    """An attribution method with the value of each of its settings. Choices that are equal give the same maps.

    >>> choice = Choice.of("integrated-gradients", steps=20)
    >>> choice.name, choice.count("steps"), choice.cost(224).runs
    ('integrated-gradients', 20, 42)
    """

    method: Method
    settings: Mapping[str, Value]

    @classmethod
    def of(cls, name: str, **changes: Value) -> Self:
        """Return the choice of the method `name` with the settings `changes`; all others have their defaults.

        In a setting's name `_` stands for `-`: `learning_rate` for `learning-rate`. Raises UsageError for an unknown
        name or an invalid value.
        """
        method = find_method(name)
        given = {key.replace("_", "-"): method.setting(key.replace("_", "-")) for key in changes}
        values = zip(given.items(), changes.values(), strict=True)
        changed = {key: setting.read(str(value)) for (key, setting), value in values}
        return cls(method, {setting.name: changed.get(setting.name, setting.default) for setting in method.settings})

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """Return the choice that `to_attributes` wrote.

        Raises UsageError where this version lacks its method or a setting, or does not allow the value.
        """
        return cls.of(str(attributes["name"]), **attributes["settings"])

    def to_attributes(self) -> dict[str, Any]:
        """Return the method's name and all settings, ready for JSON."""
        return {"name": self.name, "settings": dict(self.settings)}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the method by its name, since the functions that compute costs cannot be pickled."""
        return Choice.from_attributes, (self.to_attributes(),)

    @property
    def name(self) -> str:
        """The method's name."""
        return self.method.name

    def number(self, name: str) -> float:
        """Return the value of the setting `name`, which must be a number."""
        return float(self.settings[name])

    def count(self, name: str) -> int:
        """Return the value of the setting `name`, which must be a whole number."""
        return int(self.settings[name])

    def word(self, name: str) -> str:
        """Return the value of the setting `name`, which must be one of several words."""
        return str(self.settings[name])

    def cost(self, size: int) -> Cost:
        """Return how often the network runs for a map of one image of `size` x `size` px."""
        return self.method.forwards_and_backwards(self.settings, size)

    def __str__(self) -> str:
        changed = (setting for setting in self.method.settings if self.settings[setting.name] != setting.default)
        return ":".join([self.name, *(f"{setting.name}={self.settings[setting.name]}" for setting in changed)])


def parse_choices(text: str) -> tuple[Choice, ...]:
    """Return the methods that `NAME[:SETTING=VALUE]...,NAME...` names, each once, in the registry's order.

    `all` stands for all methods and controls: with the settings that are named beside it, else with their defaults.
    Raises UsageError for an unknown name, an invalid value, a method that is named twice, and where none is named.

    >>> [choice.name for choice in parse_choices("occlusion:patch=32,gradient")]
    ['gradient', 'occlusion']
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    named = [_parse_choice(word) for word in words if word != "all"]
    names = [choice.name for choice in named]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice: name each method once")
    if not words:
        raise UsageError(f"no attribution method is named: there are {', '.join(METHODS)}, or all")
    chosen = {choice.name: choice for choice in named}
    selected = METHODS if "all" in words else names
    return tuple(chosen.get(name) or Choice.of(name) for name in METHODS if name in selected)


def _parse_choice(word: str) -> Choice:
    name, *assignments = word.split(":")
    method = find_method(name)
    values: dict[str, Value] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"{name}:{printable(assignment, 60)}: write NAME:SETTING=VALUE")
        values[key] = method.setting(key).read(value)
    return Choice.of(name, **values)
