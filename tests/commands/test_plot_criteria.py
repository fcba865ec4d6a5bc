"""`shapebias plot STORE criteria`, as a shell sees it."""

from pathlib import Path

import pytest

from tests.support.cli import fails, invoke, succeeds
from tests.support.map_scores import add_scores
from tests.support.ood_store import add_set

pytestmark = pytest.mark.slow


def test_what_is_missing_is_a_line(store_copy: Path, tmp_path: Path) -> None:
    figure = tmp_path / "criteria.svg"
    arguments = ("plot", store_copy, "criteria", "-o", figure)
    said = fails(2, *arguments)
    assert "no accuracy out of distribution: precompute it with --ood NAME=IMAGES" in said
    assert "precompute it with --passes attribution" in said
    assert not figure.exists()
    add_scores(store_copy)
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (0, f"{figure}\n")
    assert result.stderr == "shapebias: no accuracy out of distribution: precompute it with --ood NAME=IMAGES\n"
    drawn = figure.read_text()
    assert "<!-- explainability: insertion / max (higher is better) -->" in drawn
    assert "OOD accuracy" not in drawn
    add_set(store_copy, "edge", ["cat/1.png", "dog/1.png"], ["cat", "cat"])
    succeeds(*arguments, "--score", "deletion_max")
    drawn = figure.read_text()
    assert "<!-- explainability: deletion / max (lower is better) -->" in drawn
    assert "<!-- OOD accuracy (edge) -->" in drawn


def test_mistakes_are_one_line(store_copy: Path, tmp_path: Path) -> None:
    add_scores(store_copy)
    arguments = ("plot", store_copy, "criteria", "-o", tmp_path / "a.svg")
    assert "no score beauty: there are insertion" in fails(2, *arguments, "--score", "beauty")
    assert "write STANDARD=ROBUST" in fails(2, *arguments, "--pair", "Tiny")
    assert "no model R" in fails(2, *arguments, "--pair", "Tiny=R")
    for option, value in (("--pair", "S=R"), ("--score", "mass")):
        said = fails(2, "plot", store_copy, "filters", "-o", tmp_path / "a.svg", option, value)
        assert f"{option} applies to the figure criteria only" in said
