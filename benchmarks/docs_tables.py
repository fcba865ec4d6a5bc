"""The tables of measured numbers in docs/simplicity.md, made from two stores:

    shapebias precompute --store pair.zarr --passes all                                  # the built-in pair
    shapebias precompute --model Lite0=examples/efficientnet_lite0.py:build --images PHOTOS \
                         --passes noise,sensitivity --store lite0.zarr
    python -m benchmarks.docs_tables pair.zarr lite0.zarr [--write docs/simplicity.md]

Numbers are means over the living units of a layer. A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import argparse
import math
import re
from pathlib import Path

from shapebias.core.analysis.comparison import summarize
from shapebias.core.metrics import METRICS
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store

PAIR = (
    ("smoothness", "coherence", "filter_smoothness", "class_diversity", "visual_diversity"),
    ("selectivity", "selectivity_mean", "shape_sensitivity", "noise_sensitivity", "control_sensitivity"),
)
PHOTOS = ("smoothness", "coherence", "tv", "tv_shift", "visual_diversity", "selectivity", "selectivity_mean", "tied")
PHOTO_LAYERS = ("_conv_stem", *(f"_blocks.{number}" for number in (0, 2, 4, 8, 11, 15)), "_conv_head")


def cell(store: Store, model: str, layer: str, metric: str) -> str:
    """Return the mean of a metric over a layer's living units; a dash where it has none."""
    if metric not in store.metric_names(model, layer):
        return "–"
    mean = summarize(store, model, layer, metric).mean
    if math.isnan(mean):
        return "–"
    return f"{mean:.3f}" if abs(mean) < 10 else f"{mean:.1f}" if abs(mean) < 1000 else f"{mean:.0f}"


def rows(header: list[str], body: list[list[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *body]
    return [f"| {' | '.join(line)} |" for line in lines]


def pair_table(store: Store, metrics: tuple[str, ...]) -> list[str]:
    """Return the layers of both networks side by side: S, R in each cell."""
    models = list(store.models)
    body = [
        [layer, *(", ".join(cell(store, model, layer, metric) for model in models) for metric in metrics)]
        for layer in store.layers(models[0])
    ]
    return rows(["layer", *(f"{METRICS[metric].title} S, R" for metric in metrics)], body)


def photo_table(store: Store) -> list[str]:
    """Return some layers of a network over photos."""
    (model,) = store.models
    body = [[layer, *(cell(store, model, layer, metric) for metric in PHOTOS)] for layer in PHOTO_LAYERS]
    return rows(["layer", *(METRICS[metric].title for metric in PHOTOS)], body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair", help="a store of the built-in pair, all passes")
    parser.add_argument("photos", help="a store of EfficientNet-Lite0 over 1000 photos")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put the tables into this page")
    options = parser.parse_args()
    pair = open_store(options.pair)
    tables = {
        "pair": [*pair_table(pair, PAIR[0]), "", *pair_table(pair, PAIR[1])],
        "photos": photo_table(open_store(options.photos)),
    }
    for name, lines in tables.items():
        print(f"{name}\n\n" + "\n".join(lines) + "\n")
    if options.write is not None:
        write_tables(options.write, tables)


def write_tables(page: Path, tables: dict[str, list[str]]) -> None:
    """Put tables into a page, by their names."""
    text = page.read_text("utf-8")
    for name, lines in tables.items():
        match = re.search(rf"<!-- table: {name} -->.*?<!-- end -->", text, re.S)
        if match is None:
            raise SystemExit(f"{page} has no table {name}")
        whole = f"<!-- table: {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
        text = text[: match.start()] + whole + text[match.end() :]
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
