"""The findings on the scores of attribution maps, and on three criteria: accuracy, accuracy out of distribution, and
explainability.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from shapebias.core.analysis.criteria import criteria, criteria_notes, criteria_rows
from shapebias.core.analysis.explainability import (
    IN_TABLES,
    Explained,
    ScoreDifference,
    explained,
    score_differences,
    scored_maps,
)
from shapebias.core.attribution.methods import CONTROL
from shapebias.core.attribution.scores import SCORES
from shapebias.core.report.finding import ReportFinding, listed, name_of
from shapebias.core.report.scope import Scope
from shapebias.core.report.tables import Heading, Table, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIGNIFICANT = 0.05


def attribution(scope: Scope) -> ReportFinding | None:
    """Return the finding on how well methods explain the models; None where no maps were scored."""
    if not scored_maps(scope.store):
        return None
    rows = explained(scope.store, scope.every_model)
    names = [name for name in IN_TABLES if any(row.scores[name].mean == row.scores[name].mean for row in rows)]
    if not names:
        return None
    scores = [name for name in names if not name.endswith("_max")]
    differences = [] if scope.pair is None else score_differences(scope.store, *scope.pair, names)

    def draw() -> "Figure":
        from shapebias.core.figures.attribution import attribution_figure

        return attribution_figure(rows, scores)

    return ReportFinding(
        key="attribution",
        title="Where they look",
        sentences=[
            *filter(None, (_best_sentence(name, rows) for name in scores)),
            *_difference_sentences(scope, scores, differences),
        ],
        draw=draw,
        caption="How well attribution methods explain each model: means over images with 95 % intervals. Controls, "
        "which know nothing of the network, come last.",
        tables=[_score_table(rows, names), *([_difference_table(differences)] if differences else [])],
    )


def three_criteria(scope: Scope) -> ReportFinding | None:
    """Return the finding on accuracy, accuracy out of distribution and explainability; None where no network has two of
    them.
    """
    results = criteria(scope.store)
    networks = sorted(results.networks, key=lambda network: scope.every_model.index(network.model))
    results = replace(results, networks=tuple(networks))
    counts = (
        network.accuracy.is_known + network.ood.is_known + bool(network.explainability) for network in results.networks
    )
    if max(counts) < 2:
        return None
    head, *rows = criteria_rows(results)
    sentences = [
        f"{row[0]}: {listed([f'{name} {value}' for name, value in zip(head[1:], row[1:], strict=True)])}."
        for row in rows
    ]
    pairs = [scope.pair] if scope.pair is not None else []

    def draw() -> "Figure":
        from shapebias.core.figures.criteria import criteria_figure

        return criteria_figure(results, pairs)

    about = "Networks by two of the three criteria (Nourelahi et al. 2022) each, with 95 % intervals"
    return ReportFinding(
        key="criteria",
        title="Three criteria",
        sentences=sentences,
        draw=draw,
        caption=f"{'. '.join([about, *criteria_notes(results)])}.",
        tables=[Table(title="The three criteria", columns=[words("model"), *map(Heading, head[1:])], rows=rows)],
    )


def _best_sentence(score: str, rows: Sequence[Explained]) -> str:
    """Return a sentence on the method that explains each model best by a score, and on the best control; empty where no
    method has the score.
    """
    parts = []
    for model in dict.fromkeys(row.model for row in rows):
        of_model = [row for row in rows if row.model == model and row.scores[score].mean == row.scores[score].mean]
        methods = [row for row in of_model if row.family != CONTROL]
        controls = [row for row in of_model if row.family == CONTROL]
        if methods:
            beside = [_best_row(score, controls)] if controls else []
            best = [f"{name_of(row.method)} {row.scores[score]}" for row in (_best_row(score, methods), *beside)]
            parts.append(f"{name_of(model)} {best[0]}" + (f" (the best control: {best[1]})" if beside else ""))
    better = "higher" if SCORES[score].higher else "lower"
    return f"Best by {SCORES[score].title} ({better} is better): {listed(parts)}." if parts else ""


def _best_row(score: str, rows: Sequence[Explained]) -> Explained:
    sign = 1 if SCORES[score].higher else -1
    return max(rows, key=lambda row: sign * row.scores[score].mean)


def _difference_sentences(scope: Scope, names: Sequence[str], differences: Sequence[ScoreDifference]) -> list[str]:
    """Return a sentence on the scores in which the pair differs beyond chance, and for how many methods; nothing
    without a pair.
    """
    if scope.pair is None or not differences:
        return []
    parts = []
    for name in names:
        of_score = [row for row in differences if row.score == name]
        certain = [row for row in of_score if row.p_holm < _SIGNIFICANT]
        larger = sum(row.interval.mean > 0 for row in certain)
        if certain:
            counts = [
                f"{many} {direction}"
                for many, direction in ((larger, "higher"), (len(certain) - larger, "lower"))
                if many
            ]
            parts.append(f"{SCORES[name].title} ({listed(counts)} of {len(of_score)} methods)")
    first, second = map(name_of, scope.pair)
    apart = listed(parts) if parts else "no score"
    return [
        f"Image by image {second} differs from {first} beyond chance (p < {_SIGNIFICANT:g}, signs flipped, Holm over "
        f"methods) in {apart}."
    ]


def _score_table(rows: Sequence[Explained], names: Sequence[str]) -> Table:
    columns = [words("method"), words("family"), words("model"), Heading("images")]
    columns += [Heading(SCORES[name].title, SCORES[name].formula) for name in names]
    body = [
        [
            name_of(row.method),
            name_of(row.family),
            name_of(row.model),
            f"{row.images:,}",
            *(str(row.scores[name]) for name in names),
        ]
        for row in rows
    ]
    return Table(
        title="Scores of attribution maps (± the larger half of the 95 % interval)", columns=columns, rows=body
    )


def _difference_table(differences: Sequence[ScoreDifference]) -> Table:
    columns = [
        words("score"),
        words("method"),
        Heading("first"),
        Heading("second"),
        Heading("difference"),
    ]
    columns += [
        Heading("from", "95 %, images resampled"),
        Heading("to"),
        Heading("p", "Holm over methods"),
        Heading("images"),
    ]
    rows = []
    for row in differences:
        numbers = [f"{value:.3f}" for value in (row.first, row.second)]
        changes = [f"{value:+.3f}" for value in (row.interval.mean, row.interval.low, row.interval.high)]
        rows.append(
            [SCORES[row.score].title, name_of(row.method), *numbers, *changes, f"{row.p_holm:.4f}", f"{row.images:,}"]
        )
    return Table(title="How the scores of the two models differ, image by image", columns=columns, rows=rows)
