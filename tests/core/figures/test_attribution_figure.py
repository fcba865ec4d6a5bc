"""The panels of scores: which there are, and what is drawn where."""

from shapebias.core.analysis.explainability import Explained
from shapebias.core.attribution.scores import SCORES
from shapebias.core.figures.attribution import attribution_figure
from shapebias.core.uncertainty.interval import Interval


def row(model: str, method: str, family: str, **means: float) -> Explained:
    unknown = Interval(float("nan"), float("nan"), float("nan"))
    scores = {
        name: Interval(means[name], means[name] - 0.1, means[name] + 0.2) if name in means else unknown
        for name in SCORES
    }
    facts = {"images": 9, "constant": 0, "objects": 9, "thresholds": ()}
    return Explained(model=model, method=method, family=family, scores=scores, **facts)


def test_panels_rows_and_points() -> None:
    figure = attribution_figure(
        [
            row("S", "gradient", "gradient", insertion=0.5, deletion=0.2),
            row("S", "random", "control", insertion=0.1, deletion=0.3),
            row("S", "rise", "perturbation", insertion=0.7),
            row("_R$", "gradient", "gradient", insertion=0.6, deletion=0.1),
        ]
    )
    assert [axes.get_title() for axes in figure.axes] == ["insertion", "deletion"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["higher is better", "lower is better"]
    left = figure.axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["gradient", "random", "rise"]
    standard, robust = (container.lines[0] for container in left.containers)
    assert list(standard.get_xdata()) == [0.5, 0.1, 0.7]
    assert list(robust.get_xdata()) == [0.6]
    assert standard.get_ydata()[0] < robust.get_ydata()[0]
    ends = left.containers[1].lines[2][0].get_segments()[0]
    assert [round(float(end), 6) for end in ends[:, 0]] == [0.5, 0.8]
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["S", "_R$"]
