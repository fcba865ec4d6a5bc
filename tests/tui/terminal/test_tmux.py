"""The explorer in tmux: what tmux cannot show is not sent to it."""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (.ci/run installs it)"),
]


class Tmux:
    """A server of its own with one window of 160 x 48 cells, in which a shell command runs."""

    def __init__(self, socket: Path) -> None:
        self._command = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.rstrip("\n")

    def facts(self) -> str:
        return self("display", "-p", "#{pane_title} #{alternate_on} #{mouse_any_flag} #{cursor_flag}")

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60) -> bool:
        deadline = time.monotonic() + timeout
        while not (holds := condition()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return holds


@pytest.fixture
def tmux(tmp_path: Path, small_store: Path) -> Iterator[Tmux]:
    tmux = Tmux(tmp_path / "socket")
    command = shlex.join([sys.executable, "-m", "shapebias", "explore", str(small_store)])
    tmux("new-session", "-d", "-x", "160", "-y", "48", f"printf '\\033]2;mine\\033\\\\'; {command}; echo left $?; cat")
    try:
        assert tmux.wait_for(lambda: "▀▀▀▀" in tmux("capture-pane", "-p")), tmux("capture-pane", "-p")
        yield tmux
    finally:
        tmux("kill-server")


def test_pictures_are_half_cells_and_nothing_strange_is_shown(tmux: Tmux) -> None:
    assert tmux.facts() == "mine 1 1 0", "the title is untouched"
    tmux("send-keys", "j", "j")
    assert tmux.wait_for(lambda: "Tiny/block1/2" in tmux("capture-pane", "-p"))
    pane = tmux("capture-pane", "-p")
    assert not any(part in pane for part in ("Gi=31", "[?", "\x1b", "6n", ";1R"))
    tmux("resize-window", "-x", "120", "-y", "30")
    assert tmux.wait_for(
        lambda: len(tmux("capture-pane", "-p").splitlines()) <= 30 and "▀▀▀▀" in tmux("capture-pane", "-p")
    )
    tmux("send-keys", "q")
    assert tmux.wait_for(lambda: "left 0" in tmux("capture-pane", "-p"))
    assert tmux.facts() == "mine 0 0 1"
    assert tmux("capture-pane", "-p").strip() == "left 0", "no answer was left for the shell"


def test_it_ends_with_its_session(tmux: Tmux) -> None:
    shell = int(tmux("display", "-p", "#{pane_pid}"))
    child = int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])
    assert Path(f"/proc/{child}").exists()
    tmux("new-session", "-d", "cat")
    tmux("kill-session", "-t", "0")
    assert tmux.wait_for(lambda: not Path(f"/proc/{child}").exists(), timeout=10)
