"""The measured tables in docs/explainability.md and docs/attribution.md, made from a store of the built-in pair:

    shapebias precompute --model S=demo-s --model R=demo-r --passes attribution --attribution all \
                         --attribution-images 160 --store pair.zarr
    python -m benchmarks.explainability_tables pair.zarr --write docs/explainability.md --write-mass docs/attribution.md
"""

import argparse
from pathlib import Path

from benchmarks.docs_tables import rows, write_tables
from shapebias.core.analysis.explainability import Explained, explained, family_scores, score_differences
from shapebias.core.attribution.methods import FAMILIES
from shapebias.core.attribution.scores import SCORES
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store

SIGNIFICANT = 0.05


def model_table(known: list[Explained]) -> list[str]:
    """Return a model's scores, one line per method, each with the larger half of its interval."""
    return rows(
        ["method", *(SCORES[name].title for name in SCORES)],
        [[row.method, *(str(row.scores[name]) for name in SCORES)] for row in known],
    )


def mass_table(known: list[Explained], models: list[str]) -> list[str]:
    """Return how much of each method's evidence is on the object, one column per model."""
    mass = {(row.method, row.model): str(row.scores["mass"]) for row in known}
    methods = dict.fromkeys(row.method for row in known)
    return rows(["method", *models], [[method, *(mass[method, model] for model in models)] for method in methods])


def difference_table(store: Store, models: list[str]) -> list[str]:
    """Return how much larger the second model's scores are; bold where that is significant."""
    differences = score_differences(store, models[0], models[1], list(SCORES))
    cells = {
        (row.method, row.score): f"{'**' if row.p_holm < SIGNIFICANT else ''}{row.interval.mean:+.3f}"
        f"{'**' if row.p_holm < SIGNIFICANT else ''}"
        for row in differences
    }
    methods = dict.fromkeys(row.method for row in differences)
    body = [[method, *(cells.get((method, name), "–") for name in SCORES)] for method in methods]
    return rows(["method", *(SCORES[name].title for name in SCORES)], body)


def family_table(store: Store, models: list[str]) -> list[str]:
    """Return the mean of each score over the methods of a family, both models in each cell."""
    by_score = {name: family_scores(store, name).scores for name in SCORES}
    families = [family for family in FAMILIES if all(family in by_score["insertion"][model] for model in models)]
    body = [
        [family, *(", ".join(f"{by_score[name][model][family].mean:.3f}" for model in models) for name in SCORES)]
        for family in families
    ]
    return rows(["family", *(f"{SCORES[name].title} {', '.join(models)}" for name in SCORES)], body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", help="a store of the built-in pair, all methods")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put the tables into this page")
    parser.add_argument("--write-mass", type=Path, metavar="FILE.md", help="put the table of masses into this page")
    options = parser.parse_args()
    store = open_store(options.pair)
    models, known = list(store.models), explained(store)
    tables = {model: model_table([row for row in known if row.model == model]) for model in models}
    tables |= {"differences": difference_table(store, models), "families": family_table(store, models)}
    for name, lines in tables.items():
        print(f"{name}\n\n" + "\n".join(lines) + "\n")
    if options.write is not None:
        write_tables(options.write, tables)
    if options.write_mass is not None:
        write_tables(options.write_mass, {"mass": mass_table(known, models)})


if __name__ == "__main__":
    main()
