"""The footer: the most important keys of the screen, and at the right, always, those for help and to quit."""

from collections.abc import Iterator

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Footer, Static
from textual.widgets._footer import FooterKey

_MOST = 6  # keys, besides those at the right
_PINNED = ("question_mark", "q")
_AROUND = 3  # blanks around a key and its label


class KeyBar(Footer):
    """A footer in which no label is cut: keys that do not fit are left out, and are found in the help."""

    DEFAULT_CSS = "KeyBar > .between { width: 1fr; background: $footer-background; }"

    def compose(self) -> ComposeResult:
        if not self._bindings_ready:
            return
        visible = [
            (binding, enabled) for _, binding, enabled, _ in self.screen.active_bindings.values() if binding.show
        ]
        pinned = [pair for pair in visible if pair[0].key in _PINNED]
        others = [pair for pair in visible if pair[0].key not in _PINNED]
        pinned.sort(key=lambda pair: _PINNED.index(pair[0].key))
        room = self.app.size.width - sum(self._width(binding) for binding, _ in pinned)
        yield from (self._key(binding, enabled) for binding, enabled in self._fitting(others, room))
        yield Static(classes="between")
        yield from (self._key(binding, enabled) for binding, enabled in pinned)

    def _fitting(self, keys: list[tuple[Binding, bool]], room: int) -> Iterator[tuple[Binding, bool]]:
        """Yield the first keys that fit into `room` cells, at most 6, one for each action."""
        actions = list(dict.fromkeys(binding.action for binding, _ in keys))[:_MOST]
        for action in actions:
            binding, enabled = next(pair for pair in keys if pair[0].action == action)
            room -= self._width(binding)
            if room < 0:
                return
            yield binding, enabled

    def _width(self, binding: Binding) -> int:
        """Return the cells that a key takes with its label."""
        return cell_len(self.app.get_key_display(binding)) + cell_len(binding.description) + _AROUND

    def _key(self, binding: Binding, enabled: bool) -> FooterKey:
        return FooterKey(
            binding.key,
            self.app.get_key_display(binding),
            binding.description,
            binding.action,
            disabled=not enabled,
            tooltip=binding.tooltip,
        ).data_bind(compact=Footer.compact)

    def on_resize(self, event: events.Resize) -> None:
        if self._bindings_ready:
            self.call_after_refresh(self.recompose)
