"""The page on the built-in pair has the figures of trials that were kept."""

import csv

from benchmarks.drawn_trials import FIGURES, HEADS, tried


def test_every_trial_is_described_and_has_all_figures() -> None:
    lines = tried()
    with FIGURES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 4
    for row in rows:
        assert all(row[name] for name in HEADS)
        assert any(line.startswith(f"- **{row['variant']}**:") for line in lines)
        assert f"| {' | '.join(row[name] for name in HEADS)} |" in lines


def test_the_figures_do_not_pretend_to_be_measured_in_the_run() -> None:
    assert "they are not measured again" in " ".join(tried())
