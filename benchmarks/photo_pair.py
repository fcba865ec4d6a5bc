"""Write docs/photo-pair.md: a description of the pair on photos and everything measured on it.

    python -m benchmarks.photo_pair --store photo.zarr --images cifar10:test [--limit 2000] [--cue-conflict STIMULI] \
                                    [--ood edge=STIMULI]... [--seeds NETWORKS [--attribution STORE]] \
                                    [--write docs/photo-pair.md]

NETWORKS is a folder with pairs of other seeds (photo-s-1.safetensors, photo-r-1.safetensors, ...). Makes a store for
each pair where it is not there yet, beside the first, and with `--attribution` one with attribution maps of all
networks. Reads everything from them but the check of the robust accuracies, by another package's attack. The recipe and
the log of the training are read from the networks' files.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torchattacks
from torch import Tensor

from benchmarks.docs_tables import pair_table
from benchmarks.pair_training import command, log, minutes, publish, table, trained
from benchmarks.photo_attribution import METHODS as ATTRIBUTION_METHODS
from benchmarks.photo_attribution import STEPS as ATTRIBUTION_STEPS
from benchmarks.photo_families import Families, family_claims, family_section, members, open_families
from shapebias.core.analysis.accuracy import Accuracy, accuracies
from shapebias.core.analysis.dissection import count_detectors
from shapebias.core.analysis.ood import ood_accuracies
from shapebias.core.attribution.choice import parse_choices
from shapebias.core.paper import PHOTO_PAIR
from shapebias.core.paper.claims import ClaimVerdict, claims_of
from shapebias.core.shape_bias.observers import bias_text, choice_text, choices_of, observe, published_beside
from shapebias.core.store.concepts import read_concepts
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.precompute.attacks.attack import Attack, parse_attack
from shapebias.precompute.attacks.descent import Normalised, robust_accuracy
from shapebias.precompute.images.loader import load
from shapebias.precompute.images.sources.find import find_images
from shapebias.precompute.images.sources.named_sets import parse_sets
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec, parse_specs
from shapebias.precompute.progress import console_progress
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings, parse_passes

EPSILONS = (0.25, 0.5, 1.0)  # Euclidean, of a 32 px image in [0, 1]
CHECKED = 0.5  # the epsilon at which another attack is tried
METRICS = (
    ("smoothness", "coherence", "filter_smoothness", "tv", "class_diversity", "visual_diversity"),
    ("selectivity", "shape_sensitivity", "color_sensitivity", "noise_sensitivity", "control_sensitivity"),
)
INTRODUCTION = """\
# The pair on photos

`photo-s` and `photo-r` are the network `photo` of `shapebias train` (eight convolutions of 16 to 128 units for 32 px
images, with maps of at least 8 x 8 positions), trained on photos of CIFAR-10's ten classes (Krizhevsky 2009) as they
are, and on the same photos under attack. No image comes with the program: `--images cifar10:test` downloads them
([images.md](images.md)).

    shapebias precompute --model photo-s --model photo-r --images cifar10:test --passes all --store photo.zarr

This page is written by `python -m benchmarks.photo_pair`, which says how.
"""


def make_store(options: argparse.Namespace, path: Path, models: Sequence[str], epsilons: Sequence[float]) -> Store:
    """Return the store at `path`; where it is not there, it is made by a run of `models` with all passes."""
    if not path.exists():
        settings = Settings(
            models=parse_specs(list(models)),
            images=options.images,
            store=path,
            limit=options.limit,
            passes=parse_passes("all"),
            attacks=tuple(parse_attack(f"l2:{epsilon:g}") for epsilon in epsilons),
            cue_conflict=options.cue_conflict,
            ood=parse_sets(options.ood),
        )
        with console_progress() as progress:
            print(precompute(settings, progress).text())
    return open_store(str(path))


def attribution_store(options: argparse.Namespace, models: Sequence[str]) -> Store:
    """Return the store at `--attribution`; where it is not there, it is made by a run of `models` with that pass."""
    if not options.attribution.exists():
        settings = Settings(
            models=parse_specs(list(models)),
            images=options.images,
            store=options.attribution,
            limit=2 * options.attribution_images,
            passes=parse_passes("attribution"),
            attribution=parse_choices(ATTRIBUTION_METHODS),
            attribution_images=options.attribution_images,
            attribution_steps=ATTRIBUTION_STEPS,
        )
        with console_progress() as progress:
            print(precompute(settings, progress).text())
    return open_store(str(options.attribution))


def find_families(options: argparse.Namespace) -> Families | None:
    """Return the pairs of all seeds, measured where they were not yet; None where there is only one seed."""
    pairs = members(options.seeds) if options.seeds else []
    if not pairs:
        return None
    stores = [options.store.with_stem(f"{options.store.stem}-{seed}") for seed in range(1, len(pairs) + 1)]
    for store, files in zip(stores, pairs, strict=True):
        make_store(options, store, [str(file) for file in files], [CHECKED])
    networks = [*PHOTO_PAIR, *(str(file) for files in pairs for file in files)]
    attribution = attribution_store(options, networks) if options.attribution else None
    return open_families([options.store, *stores], attribution)


def training() -> list[str]:
    """Return how the networks were trained."""
    images = trained(PHOTO_PAIR[0]).recipe["images"]
    return [
        "## Recipe",
        "",
        f"Networks that differ in nothing but the images that they learned from: {images:,} of the 50,000 of "
        "`cifar10:train`, as many of each class.",
        "",
        *(f"    {command(name, 'cifar10-train')}" for name in PHOTO_PAIR),
        "",
        f"Together {sum(map(minutes, PHOTO_PAIR)):.0f} minutes on 2 cores that other jobs kept busy; `--seeds 0,1,2` "
        "trains three of each. The log is at the end.",
        "",
    ]


def accuracy_tables(store: Store) -> list[str]:
    """Return the lines of the section on accuracy: both networks' on images as they are, changed and attacked."""
    known = accuracies(store)
    by_condition = {(row.model, row.kind, row.condition): row for row in known}
    kinds = dict.fromkeys((row.kind, row.condition) for row in known)
    rows = [
        [condition, *(_percent(by_condition[model, kind, condition]) for model in PHOTO_PAIR)]
        for kind, condition in kinds
    ]
    return [
        "## Accuracy",
        "",
        f"Of {known[0].images:,} test images, as they are, changed ([distortions.md](distortions.md)), and "
        "under attack: 20 steps of projected "
        "gradient descent, epsilon in l2 of images in [0, 1]. Chance is 10 %.",
        "",
        *table(["", *PHOTO_PAIR], rows),
    ]


def _percent(row: Accuracy) -> str:
    return f"{row.accuracy:.1%}"


def checked_attacks(options: argparse.Namespace) -> list[str]:
    """Return the lines of a table: both networks' accuracies under our attack and under another package's.

    Both attacks see the same images, `--checked` of them.
    """
    rows = []
    for name in PHOTO_PAIR:
        model = load_model(parse_spec(name))
        network = Normalised(model.network, model.preprocessing.mean, model.preprocessing.std).eval()
        batches = list(_images(options.images, options.checked, name))
        attack = Attack.reaching("l2", CHECKED, 20)
        ours = robust_accuracy(network, batches, [attack], torch.Generator().manual_seed(0))[0]
        other = torchattacks.APGD(network, norm="L2", eps=CHECKED, steps=50, n_restarts=1, seed=0, loss="ce")
        right = sum(int((network(other(batch, labels)).argmax(1) == labels).sum()) for batch, labels in batches)
        rows.append([name, f"{ours:.1%}", f"{right / sum(len(labels) for _, labels in batches):.1%}"])
    return [
        f"That the robust accuracies are no artefact of a weak attack: {options.checked} of the images at "
        f"epsilon {CHECKED:g}, by the attack "
        f"above and by APGD-CE (Croce & Hein 2020; 50 steps) of torchattacks {torchattacks.__version__}:",
        "",
        *table(["", "PGD, 20 steps", "APGD-CE, 50 steps"], rows),
    ]


def _images(source: str, count: int, name: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images in [0, 1], float32 [B, 3, 32, 32], and the outputs that are right for them."""
    model = load_model(parse_spec(name))
    assert model.class_ids is not None
    images, _ = find_images(source, count)
    outputs = torch.tensor([model.class_ids.index(name) for name in images.class_ids])
    with load(images, model.preprocessing.geometry, 100, 0) as loader:
        for batch in loader:
            pixels = torch.from_numpy(batch.pixels).permute(0, 3, 1, 2).float().div(255)
            yield pixels, outputs[torch.from_numpy(images.labels[batch.positions]).long()]


def cue_conflict(store: Store) -> list[str]:
    """Return what the networks and people decide where shape and texture disagree; nothing where that is unknown."""
    decided = {name: store.cue_conflict(name) for name in PHOTO_PAIR}
    known = {name: decisions for name, decisions in decided.items() if decisions is not None}
    if not known:
        return []
    choices = choices_of(decisions.categories for decisions in known.values())
    published = published_beside(choices)
    whole = next(one.score.counts for one in published if not one.is_people)
    count = min(len(decisions.conflicting().images) for decisions in known.values())
    observers = [observe(name, "this page", False, decisions) for name, decisions in known.items()]
    lines = bias_text([*published, *observers]).splitlines()
    lines += [choice_text(choice) for choice in choices if choice is not None]
    return [
        "## Shape or texture",
        "",
        f"Cue-conflict images of the categories that CIFAR-10 has ([shape-bias.md](shape-bias.md)): {count} of the "
        f"{whole.shape + whole.texture + whole.other} that are published. They are shrunk to 32 px, where a texture is "
        "not what it was at 224, and few, so that the intervals are wide:",
        "",
        *(f"    {line}" for line in lines),
        "",
    ]


def out_of_distribution(store: Store) -> list[str]:
    """Return the accuracies on sets of stimuli; nothing where there are none."""
    by_model = {name: {row.set_name: row for row in ood_accuracies(store, name)} for name in PHOTO_PAIR}
    names = list(by_model[PHOTO_PAIR[0]])
    if not names:
        return []
    rows = [
        [
            name,
            str(by_model[PHOTO_PAIR[0]][name].images),
            *(f"{by_model[model][name].accuracy:.1%}" for model in PHOTO_PAIR),
        ]
        for name in names
    ]
    head = ["", "images", *PHOTO_PAIR]
    return ["Sets of stimuli, of the same categories; chance is one in seven:", "", *table(head, rows)]


def layers(store: Store) -> list[str]:
    """Return the lines of the section on layers: both networks' mean metrics of units, and how many are detectors."""
    lines = ["## Layer by layer", "", "Means over the living units of a layer, standard (S) and robust (R) network."]
    for metrics in METRICS:
        lines += ["", *pair_table(store, metrics)]
    concepts = read_concepts(store)
    if concepts is None:
        return [*lines, ""]
    names = list(store.layers(PHOTO_PAIR[0]))
    counted = [count_detectors(store, concepts, [(model, layer) for layer in names]) for model in PHOTO_PAIR]
    rows = [
        [
            layer,
            *(
                f"{sum(own[row].detectors.values())} ({sum(own[row].unique.values())}) of {own[row].units}"
                for own in counted
            ),
        ]
        for row, layer in enumerate(names)
    ]
    return [
        *lines,
        "",
        f"Dissection by {len(concepts.names)} concepts ({', '.join(concepts.categories)}; no pixels of these "
        "images are labelled with more): detectors (different concepts):",
        "",
        *table(["layer", *PHOTO_PAIR], rows),
    ]


def claims(store: Store, families: Families | None) -> list[str]:
    """Return the lines of the section on the paper's claims, one by one."""
    more = "" if families is None else ": [networks of other seeds](#3-standard-and-3-robust-networks) say more"
    claims = claims_of(store, *PHOTO_PAIR)
    rows = [[claim.finding, claim.measured, f"**{claim.verdict}**"] for claim in claims]
    by_verdict = {verdict: [claim.finding for claim in claims if claim.verdict is verdict] for verdict in ClaimVerdict}
    return [
        "## The paper's claims, one by one",
        "",
        "What Chen, Agarwal & Nguyen (2020) found for networks for ImageNet, beside this pair. A robust network ...",
        "",
        "| ... | photo-r; photo-s | |",
        "| --- | --- | --- |",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        *(
            f"- {verdict.capitalize()}: that it {'; that it '.join(names)}."
            for verdict, names in by_verdict.items()
            if names
        ),
        "",
        *(
            _without_families()
            if families is None
            else ["Over networks of several seeds:", "", *family_claims(families)]
        ),
        "",
        "A claim about layers is *shown* where it holds for the means of all of them, *reversed* where it holds for "
        "none. It is one pair of one seed, so that no verdict is more than what these two networks do "
        f"([simplicity.md](simplicity.md)){more}.",
        "",
    ]


def _without_families() -> list[str]:
    return [
        "Not measured: that it detects lower-level concepts. The photos' pixels are labelled with colours only "
        "([dissection.md](dissection.md))."
    ]


def main() -> None:
    """Make the stores that are missing, measure the rest, print the page, and write it where `--write` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--images", default="cifar10:test")
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--checked", type=int, default=500, help="images that the other attack is tried on")
    parser.add_argument("--cue-conflict", metavar="IMAGES")
    parser.add_argument("--ood", metavar="NAME=IMAGES", action="append", default=[])
    parser.add_argument("--attribution", type=Path, metavar="STORE", help="the store of all networks' attribution maps")
    parser.add_argument("--attribution-images", type=int, default=100)
    parser.add_argument("--seeds", type=Path, help="the folder of the pairs of other seeds")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    store = make_store(options, options.store, PHOTO_PAIR, EPSILONS)
    families = find_families(options)
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        *claims(store, families),
        *training(),
        *accuracy_tables(store),
        *checked_attacks(options),
        *cue_conflict(store),
        *out_of_distribution(store),
        *layers(store),
        *([] if families is None else family_section(families)),
        "## Log",
        "",
        *(line for name in PHOTO_PAIR for line in log(name)),
    ]
    publish(lines, options.write)


if __name__ == "__main__":
    main()
