"""`shapebias plot`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapebias.commands.common import Group, command
from shapebias.commands.options import AllRightOption, StoreArgument
from shapebias.core.errors import UsageError
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from shapebias.core.store.reader import Store

KINDS = {
    "variation": "total variation on clean against noisy images, one point per unit",
    "distortions": "accuracy under each distortion, attack and variant",
    "filters": "the first layer's kernels",
    "attribution": "how well attribution maps explain, by method",
    "robustness": "shape bias and OOD accuracy against epsilon, beside 16 published ResNet-50",
    "criteria": "accuracy against OOD accuracy against explainability",
}


@command(
    group=Group.RESULTS,
    examples=(
        "shapebias plot shapebias.zarr variation -o variation.png",
        "shapebias plot shapebias.zarr robustness --epsilon R=l2:3 -o robustness.svg",
    ),
)
def plot(
    store: StoreArgument,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="; ".join(f"{k}: {v}" for k, v in KINDS.items()))],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.png|.svg", help="The file to write the figure to.")
    ],
    epsilon: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=NORM:EPSILON",
            help="The attack that a model was trained against, for the figure robustness: R=l2:3 or R=linf:4/255, "
            "and S=l2:0 for none. Repeatable.",
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE",
            help="The explainability score of the figure criteria, such as mass or deletion_max; by default "
            "insertion_max.",
        ),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STANDARD=ROBUST",
            help="Draw an arrow from the first to the second of these models in the figure criteria; by default for "
            "pairs with labels such as S and R, or AlexNet and AlexNet-R. Repeatable.",
        ),
    ] = None,
    all_right: AllRightOption = False,
) -> None:
    """Draw a figure of all models of a store.

    The shape bias has a command of its own: `shapebias cue-conflict --plot`.
    """
    from shapebias.core.analysis.explainability import explained
    from shapebias.core.analysis.robustness import networks_of, parse_strengths
    from shapebias.core.figures import units as unit_plots
    from shapebias.core.figures.attribution import attribution_figure
    from shapebias.core.figures.output import check_plot_file, save_figure
    from shapebias.core.figures.robustness import robustness_figure
    from shapebias.core.store.opening import open_store

    figures: dict[str, Callable[[Store], Any]] = {
        "variation": unit_plots.variation_figure,
        "distortions": lambda opened: unit_plots.distortion_figure(opened, all_right),
        "filters": unit_plots.filter_figure,
        "attribution": lambda opened: attribution_figure(explained(opened)),
        "robustness": lambda opened: robustness_figure(networks_of(opened, parse_strengths(epsilon or [], opened))),
        "criteria": lambda opened: _criteria(opened, score, pair or []),
    }
    if kind not in figures:
        raise UsageError(f"no figure {printable(kind)}: there are {', '.join(KINDS)}")
    own_options = (("--epsilon", epsilon, "robustness"), ("--score", score, "criteria"), ("--pair", pair, "criteria"))
    for option, given, figure_kind in own_options:
        if given and kind != figure_kind:
            raise UsageError(f"{option} applies to the figure {figure_kind} only")
    check_plot_file(output)
    save_figure(figures[kind](open_store(store)), output)
    print(printable(str(output)))


def _criteria(store: "Store", score: str | None, pairs: Sequence[str]) -> "Figure":
    """Return the figure of the criteria, and print on stderr what is missing in it."""
    from shapebias.core.analysis.criteria import SCORE, criteria, pairs_of, parse_pairs
    from shapebias.core.figures.criteria import criteria_figure

    results = criteria(store, score or SCORE)
    figure = criteria_figure(results, parse_pairs(pairs, store) if pairs else pairs_of(store))
    for line in results.missing:
        print(f"shapebias: {line}", file=sys.stderr)
    return figure
