"""The section on what was measured: networks, images, settings, versions, and the commands to repeat it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shapebias.core.analysis.describe import (
    device_lines,
    dissection_lines,
    preprocessing_text,
    rulers_text,
    store_facts,
)
from shapebias.core.report.finding import name_of, percent
from shapebias.core.report.reproduction import command_of
from shapebias.core.report.scope import Scope
from shapebias.core.report.tables import Heading, Table, words
from shapebias.core.store.reader import Part
from shapebias.core.text import printable

_MOST_SKIPPED = 50


@dataclass(frozen=True)
class Fact:
    """A fact with its name. `is_code`: whether the value is a digest, or the name of a file or network."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The contents of the section on what was measured.

    networks:  facts of each model, by its label
    run:       facts of the images and the run
    commands:  for each store its name, and the lines of the command that makes it again (see `command_of`); no lines
               where no command does
    notes:     what the user was told about the run
    tables:    the layers, and the images that were skipped
    """

    networks: dict[str, list[Fact]]
    run: list[Fact]
    commands: list[tuple[str, list[str]]]
    notes: list[str]
    tables: list[Table]


def measured(scope: Scope) -> Measured:
    """Return the section on what was measured. Raises StoreError for a damaged store."""
    facts = store_facts(scope.store)
    return Measured(
        networks={model["label"]: list(_network(model)) for model in facts["models"]},
        run=[*_images(scope), *(fact for part in scope.store.parts for fact in _run(part)), *_rules(scope, facts)],
        commands=[(_name(part), command_of(part.store) or []) for part in scope.store.parts],
        notes=[printable(note, 2000) for note in facts["notes"]],
        tables=[_layer_table(scope), *_skipped_table(scope.store.skipped)],
    )


def _network(model: dict[str, Any]) -> Iterator[Fact]:
    yield Fact("architecture", printable(str(model["architecture"])))
    yield Fact("from", printable(str(model["source"])), is_code=True)
    yield Fact("weights", f"{model['parameters']:,}")
    yield Fact("sha256 of the weights", printable(str(model["weights_sha256"])), is_code=True)
    if model["file_sha256"] is not None:
        yield Fact("sha256 of the file", printable(str(model["file_sha256"])), is_code=True)
    yield Fact("preprocessing", preprocessing_text(model["preprocessing"]))
    yield Fact("units", f"{model['units']:,}")
    if model["top1"] is not None:
        yield Fact("top-1 accuracy", percent(model["top1"]))


def _images(scope: Scope) -> Iterator[Fact]:
    store = scope.store
    labelled = int((store.labels >= 0).sum())
    yield Fact("images", f"{len(store.labels):,}, {labelled:,} with a label, {len(store.skipped):,} skipped")
    if store.class_names:
        yield Fact("classes", f"{len(store.class_names):,}")


def _run(part: Part) -> Iterator[Fact]:
    attributes = part.store.attributes
    settings = attributes.get("settings")
    passes = settings.get("passes") if isinstance(settings, dict) else None
    yield Fact("store", _name(part), is_code=True)
    made, version = (printable(str(attributes.get(name))) for name in ("created", "shapebias_version"))
    yield Fact("made", f"{made} by shapebias {version}")
    if isinstance(passes, list):
        yield Fact("passes", ", ".join(["activations", *(printable(str(name), 40) for name in passes)]))
    for line in device_lines(attributes.get("device")):
        yield Fact("device", line.removeprefix("measured on "))


def _rules(scope: Scope, facts: dict[str, Any]) -> Iterator[Fact]:
    yield Fact("visual diversity", f"by {rulers_text(scope.store)}")
    if facts["dissection"] is not None:
        lines = (line.strip().removeprefix("dissected: ") for line in dissection_lines(facts["dissection"]))
        yield Fact("dissection", "; ".join(lines))


def _name(part: Part) -> str:
    return printable(part.store.identity.rstrip("/").rpartition("/")[2])


def _layer_table(scope: Scope) -> Table:
    rows = [
        [
            name_of(label),
            name_of(name),
            printable(layer.module or "(its forward)", 60),
            f"{layer.units:,}",
            f"{layer.map_height} x {layer.map_width}",
            printable(layer.ending, 60),
            str(layer.left_out),
        ]
        for label in scope.store.models
        for name, layer in scope.store.layers(label).items()
    ]
    columns = [words("model"), words("layer", filtered=False), words("module", filtered=False), Heading("units")]
    columns += [
        Heading("map"),
        words("what it is"),
        Heading("left out", "maps with NaN or infinite values"),
    ]
    return Table(title="Layers", columns=columns, rows=rows)


def _skipped_table(skipped: Sequence[dict[str, str]]) -> list[Table]:
    if not skipped:
        return []
    rows = [[printable(image["path"], 120), printable(image["reason"])] for image in skipped[:_MOST_SKIPPED]]
    more = len(skipped) - len(rows)
    note = f"{more:,} more are left out: shapebias info STORE --json names all." if more else ""
    columns = [words("image", filtered=False), words("reason", filtered=False)]
    return [Table(title="Skipped images", columns=columns, rows=rows, note=note)]
