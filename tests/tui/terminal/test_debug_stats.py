"""The figures of a move."""

import time

import pytest

from shapebias.tui.terminal.debug_stats import MoveStats


def test_counts_what_is_written_from_the_move_until_all_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    stats = MoveStats()
    stats.written(5000)
    assert stats.finished() is None, "nothing has moved yet"
    stats.begin()
    for elapsed, count in ((0.010, 2000), (0.032, 1500)):
        now[0] = 100.0 + elapsed
        stats.written(count)
    assert stats.finished() is None, "more may come"
    now[0] += 1.0
    assert stats.finished() == "32 ms, 3.5 kB"
    stats.written(300)
    assert stats.finished() is None, "the line that shows it does not count"
