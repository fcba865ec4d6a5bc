"""Figures: what is drawn where, and files that are the same for the same figures."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.figures.output import check_plot_file, save_figure
from shapebias.core.figures.shape_bias import shape_bias_figure
from shapebias.core.shape_bias.decisions import Decisions
from shapebias.core.shape_bias.observers import Observer, observe, published


def model(
    name: str, shape_decisions: int, categories: tuple[str, ...] = ("cat", "dog"), source: str = "a.zarr"
) -> Observer:
    """10 cats, so many of them decided by shape and the others by texture."""
    decision = np.where(np.arange(10) < shape_decisions, 0, 1).astype(np.int32)
    zeros = np.zeros(10, np.int32)
    names = [f"image{row}" for row in range(10)]
    decisions = Decisions(categories=list(categories), images=names, shape=zeros, texture=zeros + 1, decision=decision)
    return observe(name, source, False, decisions)


def test_points_and_lines_are_the_numbers() -> None:
    people, alexnet = published()
    figure = shape_bias_figure([people, alexnet, model("S", 2), model("R", 7)])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat"]
    points = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert [line.get_xdata().tolist() for line in map(as_arrays, points)] == [[0.959], [0.2], [0.7]]
    means = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() != "None"]
    assert means == pytest.approx([people.score.counts.shape_bias, 0.2, 0.7])
    assert len({(line.get_color(), line.get_marker()) for line in points}) == 3
    assert axes.get_xlim() == (0, 1)
    labels = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert labels == ["people, Geirhos et al. 2019: 0.96", "S: 0.20", "R: 0.70"]


@pytest.mark.parametrize("stimuli", ["native", "model"])
def test_how_stimuli_were_prepared_is_in_the_label(stimuli: str) -> None:
    prepared = model("S", 2)
    prepared = replace(prepared, score=replace(prepared.score, stimuli=stimuli))
    labels = [text.get_text() for text in shape_bias_figure([prepared]).legends[0].get_texts()]
    assert labels == [f" S, {stimuli} stimuli: 0.20"]


def as_arrays(line):  # type: ignore[no-untyped-def]
    line.set_xdata(np.asarray(line.get_xdata()))
    return line


def test_people_of_other_images_are_said_to_be() -> None:
    figure = shape_bias_figure([*published(), model("S", 5, ("circle", "star"))])
    assert as_arrays(figure.axes[0].lines[1]).get_xdata().size == 0
    assert "other images" in figure.legends[0].get_texts()[0].get_text()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["circle"]


def test_equal_names_are_told_apart_and_no_name_is_a_formula() -> None:
    figure = shape_bias_figure([model("S", 1), model("S", 2, source="b.zarr"), model("_$x", 3), model("\x1b$", 4)])
    texts = figure.legends[0].get_texts()
    assert [text.get_text().strip() for text in texts] == [
        "S, a.zarr: 0.10",
        "S, b.zarr: 0.20",
        "_$x: 0.30",
        "\\x1b$: 0.40",
    ]
    assert not any(text.get_parse_math() for text in texts)


def test_nobody_decided_anything(tmp_path: Path) -> None:
    none = np.zeros(0, np.int32)
    decisions = Decisions(categories=["cat", "dog"], images=[], shape=none, texture=none, decision=none)
    nothing = observe("S", "a.zarr", False, decisions)
    save_figure(shape_bias_figure([nothing]), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size


def test_files_are_pictures_and_the_same_for_the_same_figure(tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        for file in files:
            save_figure(shape_bias_figure([*published(), model("猫", 3)]), file)
        assert files[0].read_bytes() == files[1].read_bytes()
    picture = Image.open(tmp_path / "a.png")
    assert picture.width > 1000
    reds = (np.asarray(picture.convert("RGB")).reshape(-1, 3) == (0xB2, 0x18, 0x2B)).all(1)
    assert reds.sum() > 300  # people's line
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


def test_files_that_cannot_be() -> None:
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        check_plot_file(Path("a.pdf"))
    with pytest.raises(ShapebiasError, match="cannot be written"):
        save_figure(shape_bias_figure([model("S", 1)]), Path("/nowhere/a.png"))


def test_without_matplotlib_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ShapebiasError) as error:
        check_plot_file(Path("a.png"))
    assert "pip install 'shapebias[plots]'" in str(error.value)


def test_matplotlib_is_loaded_only_for_a_figure_and_pyplot_never() -> None:
    code = (
        "import sys; from shapebias.core.figures import shape_bias; "
        "from shapebias.core.shape_bias import observers; "
        "assert 'matplotlib' not in sys.modules; shape_bias.shape_bias_figure(observers.published()); "
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
