"""The table of keys, from which bindings, help and palette are made."""

import pytest
from textual import actions

from shapebias.tui.app import Explorer
from shapebias.tui.keys import HELP_LINES, KEYS, Command
from shapebias.tui.screens import SCREENS

COMMANDS = [command for line in HELP_LINES for command in line.commands]


@pytest.mark.parametrize("action", [command.action for command in COMMANDS])
def test_every_action_is_one_of_the_app(action: str) -> None:
    _, name, values = actions.parse(action)
    assert callable(getattr(Explorer, f"action_{name}"))
    if name == "screen":
        assert values[0] in SCREENS


def test_every_key_is_in_the_help_and_has_one_meaning() -> None:
    keys = [key for command in COMMANDS if command.keys for key in command.keys.split(",")]
    assert len(keys) == len(set(keys))
    assert len(KEYS) == sum(bool(command.keys) for command in COMMANDS)
    unexplained = [command.label for line in HELP_LINES if not line.text for command in line.commands]
    assert unexplained == ["Help"], "whoever reads the help knows its key"


def test_lines_with_commands_have_a_place_of_their_own() -> None:
    orders = [line.order for line in HELP_LINES if line.commands]
    assert sorted(orders) == list(range(1, len(orders) + 1))


@pytest.mark.parametrize(
    ("keys", "written"),
    [("f", "f"), ("M", "M"), ("left_square_bracket", "["), ("tab", "Tab"), ("ctrl+z", "Ctrl-z"), ("escape", "Escape")],
)
def test_keys_are_written_as_people_do(keys: str, written: str) -> None:
    assert Command(keys, "quit").key == written
