"""Estimates of the speed and latency of the link to the terminal."""

import math
import time

import pytest

from shapebias.tui.terminal.link import QUESTION, Link


class SimulatedTerminal:
    """A simulated link of `speed` bytes a second, its answers `latency` seconds away; time passes by `take`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, speed: float, latency: float) -> None:
        self.link, self._speed, self._latency = Link(), speed, latency
        self._now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self._now)
        self.take(self.link.sending("", ask=True))

    def take(self, data: str) -> None:
        self._now += len(data) / self._speed
        if data.endswith(QUESTION):
            self._now += self._latency
            self.link.answered()

    def wait(self, seconds: float) -> None:
        self._now += seconds


@pytest.mark.parametrize("latency", [0.0, 0.15])
@pytest.mark.parametrize("speed", [125e3, 5e6])
def test_speed_is_told_from_latency(monkeypatch: pytest.MonkeyPatch, speed: float, latency: float) -> None:
    terminal = SimulatedTerminal(monkeypatch, speed, latency)
    assert terminal.link.speed == math.inf, "nothing is known yet"
    for _ in range(20):
        terminal.take(terminal.link.sending("x" * 10_000))
        terminal.wait(0.01)
    assert terminal.link.speed == pytest.approx(speed, rel=0.05)
    assert terminal.link.takes_within(0.3) == pytest.approx(0.3 * speed, rel=0.05)


def test_what_is_on_its_way_counts_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    link = SimulatedTerminal(monkeypatch, 125e3, 0.0).link
    assert link.sending("x" * 100) == "x" * 100, "too little to ask"
    assert link.sending("x" * 90_000).endswith(QUESTION)
    assert link.waiting == 90_100 + len(QUESTION)
    assert not link.has_room(0.05)
    link.answered()
    assert link.waiting == 0
    assert link.has_room(0.05)


def test_a_terminal_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimulatedTerminal(monkeypatch, 125e3, 0.0)
    link = terminal.link
    link.sending("x" * 90_000)
    terminal.wait(1.0)
    assert not link.has_room(0.05), "it may be slow"
    terminal.wait(30.0)
    assert link.waiting > 0, "the kernel has not taken it"
    link.written(91_000)
    assert link.has_room(0.05)
    assert link.sending("x" * 9000) == "x" * 9000, "it is not asked again"
    link.answered()
    assert link.sending("x" * 9000).endswith(QUESTION), "it was only slow"


def test_closing_waits_for_answers_and_asks_no_more() -> None:
    link = Link()
    link.sending("x" * 9000)
    start = time.perf_counter()
    link.close(0.05)
    assert time.perf_counter() - start >= 0.05
    assert link.sending("x" * 9000) == "x" * 9000
    link.open()
    assert link.waiting == 0
    assert link.sending("x" * 9000).endswith(QUESTION)
