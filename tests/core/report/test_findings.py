"""Findings say the numbers that the commands print as JSON, and nothing of what a store lacks."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex

from shapebias.core.analysis.criteria import criteria, family_title
from shapebias.core.errors import UsageError
from shapebias.core.figures.output import BLUE, ORANGE
from shapebias.core.metrics import METRICS
from shapebias.core.paper.claims import claims_of
from shapebias.core.report import behaviour, explanations, units
from shapebias.core.report.finding import listed
from shapebias.core.report.report import SUBJECTS, report_of
from shapebias.core.report.scope import Scope, scope_of
from shapebias.core.store.joined import open_stores
from shapebias.core.store.opening import open_store
from tests.support.cli import succeeds
from tests.support.ood_store import add_set


@pytest.fixture(scope="module")
def compared(two_networks: Path) -> dict[str, Any]:
    """Return the output of `shapebias compare --json` for the two."""
    return json.loads(succeeds("compare", two_networks, "Tiny", "R", "--json"))  # type: ignore[no-any-return]


def text(finding: Any) -> str:
    assert finding is not None
    return " ".join(finding.sentences)


def cells(finding: Any) -> set[str]:
    return {cell for table in finding.tables for row in table.rows for cell in row}


def test_shape_bias(scope: Scope, compared: dict[str, Any], two_networks: Path) -> None:
    said = text(behaviour.shape_bias(scope))
    for model in ("Tiny", "R"):
        facts = compared["shape_bias"][model]
        low, high = facts["interval"]
        assert f"{model} {facts['shape_bias']:.1%} (95 % interval {low:.1%} to {high:.1%})" in said
    assert "R has the larger shape bias in" in said
    decided = json.loads(succeeds("cue-conflict", two_networks, "--json"))["observers"]
    (people,) = (one for one in decided if one["people"])
    assert f"people {people['shape_bias']:.1%}" in said


def test_accuracy(scope: Scope, compared: dict[str, Any]) -> None:
    finding = behaviour.accuracy(scope)
    said = text(finding)
    accuracy = {(row["model"], row["condition"]): row["accuracy"] for row in compared["accuracy"]}
    assert {(row[2], row[1], row[3]) for row in finding.tables[0].rows} == {  # type: ignore[union-attr]
        (model, condition, f"{value:.1%}") for (model, condition), value in accuracy.items()
    }
    for model in ("Tiny", "R"):
        assert f"{model} {accuracy[model, 'clean']:.1%} (95 % interval" in said
        assert f"{model} {accuracy[model, 'l2 0.5']:.1%} (95 % interval" in said.partition("Attack l2 0.5: ")[2]
    gains = {name: accuracy["R", name] - accuracy["Tiny", name] for name in ("grey", "shuffle-2", "shuffle-4", "noise")}
    better = sum(gain > 0 for gain in gains.values())
    assert f"R has the higher accuracy under {better} of 4 distortions" in said


@pytest.mark.parametrize("subject", [units.smoothness, units.diversity, units.sensitivity, units.noise])
def test_metrics(subject: Any, scope: Scope, compared: dict[str, Any]) -> None:
    finding = subject(scope)
    said, known = text(finding), cells(finding)
    metrics = {row[0] for row in finding.tables[0].rows}
    rows = [row for row in compared["layers"] if METRICS[row["metric"]].in_words in metrics]
    assert rows
    for row in rows:
        show = METRICS[row["metric"]].format
        assert {show(row["first"]["mean"]), show(row["second"]["mean"])} <= known
    for overall in compared["overall"]:
        if METRICS[overall["metric"]].in_words in metrics:
            assert f"in {overall['larger']} of {overall['layers']} layers; over all {overall['effect']:+.2f}" in said
            own = [row for row in rows if row["metric"] == overall["metric"]]
            most = max(own, key=lambda row: abs(row["difference"]))
            show = METRICS[overall["metric"]].format
            assert f"{show(most['second']['mean'])} against {show(most['first']['mean'])}, " in said
            low, high = (f"{'+' if value > 0 else ''}{show(value)}" for value in (most["low"], most["high"]))
            assert f"(95 % interval {low} to {high})" in said


def test_outliers(scope: Scope, compared: dict[str, Any]) -> None:
    counts = {model: sum(map(len, layers.values())) for model, layers in compared["outliers"].items()}
    assert f"Tiny {counts['Tiny']} and R {counts['R']}" in text(units.noise(scope))


def test_detectors(scope: Scope, two_networks: Path) -> None:
    counted = json.loads(succeeds("concepts", two_networks, "--format", "json"))
    said = text(units.detectors(scope))
    for model in ("Tiny", "R"):
        own = [layer for layer in counted if layer["model"] == model]
        detecting = sum(sum(layer["detectors"].values()) for layer in own)
        assert f"{model}: {detecting} of {sum(layer['units'] for layer in own)} units are detectors" in said


def test_attribution(scope: Scope, compared: dict[str, Any], two_networks: Path) -> None:
    rows = json.loads(succeeds("attribution", two_networks, "--format", "json"))
    said = text(explanations.attribution(scope))
    for score, sign in (("insertion", 1), ("deletion", -1), ("pointing", 1), ("mass", 1)):
        for model in ("Tiny", "R"):
            own = [row for row in rows if row["model"] == model and row["family"] != "control"]
            best = max(own, key=lambda row: sign * row[score])
            assert f"{model} {best['method']} {best[score]:.3f} ±" in said
    certain = [row for row in compared["explainability"] if row["p_holm"] < 0.05]
    assert ("in no score." in said) == (not [row for row in certain if not row["score"].endswith("_max")])


def test_the_three_criteria(scope: Scope) -> None:
    known = criteria(scope.store)
    finding = explanations.three_criteria(scope)
    assert [row[0] for row in finding.tables[0].rows] == ["Tiny", "R"]  # type: ignore[union-attr]
    for network in known.networks:
        families = listed([f"{family_title(family)} {own}" for family, own in network.explainability.items()])
        assert f"{network.model}: accuracy {network.accuracy}, {families}." in text(finding)


def test_the_papers_claims_are_of_a_standard_and_a_robust_network(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report_of(scope).claims is None  # their labels do not say it
    monkeypatch.setattr("shapebias.core.report.report.pairs_of", lambda store: [("Tiny", "R")])
    claims = report_of(scope).claims
    assert claims is not None
    known = claims_of(scope.store, "Tiny", "R")
    assert [row[0] for row in claims.rows] == [claim.finding for claim in known]
    assert [row[2] for row in claims.rows] == [claim.verdict for claim in known]


def test_units_are_those_of_the_unit_table(scope: Scope, two_networks: Path) -> None:
    table = report_of(scope).units
    records = json.loads(succeeds("units", two_networks, "--format", "json"))
    assert len(table.rows) == len(records)
    titles = [column.title for column in table.columns]
    for row, record in zip(table.rows, records, strict=True):
        cell = dict(zip(titles, row, strict=True))
        assert (cell["model"], cell["layer"], cell["unit"]) == (record["model"], record["layer"], str(record["unit"]))
        for name in ("smoothness", "iou", "visual_diversity"):
            value = float("nan") if record[name] is None else record[name]
            assert cell[METRICS[name].title] == METRICS[name].format(value)


def test_the_order_of_a_pair_is_the_users(two_networks: Path) -> None:
    store = open_store(two_networks)
    turned = text(units.smoothness(scope_of(store, "R,Tiny", light=False)))
    assert turned.startswith("Tiny is smoother in")


def test_a_model_has_one_colour_in_all_figures(two_networks: Path) -> None:
    scope = scope_of(open_store(two_networks), "R,Tiny", light=False)
    drawn = [finding for subject in SUBJECTS if (finding := subject(scope)) is not None]
    seen = 0
    for finding in drawn:
        figure = finding.draw()
        for legend in figure.legends:
            names = [text.get_text().strip() for text in legend.get_texts()]
            for name, handle in zip(names, legend.legend_handles, strict=True):
                colour = handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()
                wanted = {"R": BLUE, "Tiny": ORANGE}.get(re.split("[,: ]", name)[0])
                if wanted is not None:
                    assert to_hex(colour) == wanted, finding.key
                    seen += 1
    assert seen >= 14


@pytest.mark.parametrize(("pair", "message"), [("R", "name two models"), ("R,S", "no model S"), ("R,R", "itself")])
def test_what_is_no_pair(pair: str, message: str, two_networks: Path) -> None:
    with pytest.raises(UsageError, match=message):
        scope_of(open_store(two_networks), pair, light=False)


def test_out_of_distribution(store_copy: Path) -> None:
    for number, name in enumerate(("edge", "silhouette")):
        images = [f"{category}/{category}{number}.png" for category in ("cat", "dog", "elephant")]
        add_set(store_copy, name, images, ["cat", "dog", "cat"][: 3 - number] + [None] * number)
    record = json.loads(succeeds("info", store_copy, "--json"))["models"][0]["ood"]
    scope = scope_of(open_store(store_copy), None, light=False)
    finding = behaviour.out_of_distribution(scope)
    assert f"Tiny {record['mean']:.1%}" in text(finding)
    assert {f"{facts['accuracy']:.1%}" for facts in record["sets"].values()} <= cells(finding)


def test_a_store_without_passes_says_only_what_it_has(small_store: Path) -> None:
    scope = scope_of(open_store(small_store), None, light=False)
    assert scope.pair is None
    keys = [finding.key for subject in SUBJECTS if (finding := subject(scope)) is not None]
    assert keys == ["accuracy", "smoothness", "filters", "diversity"]
    assert "The mean smoothness of Tiny is largest" in text(units.smoothness(scope))


def test_stores_joined_to_one_are_compared(two_networks: Path, tmp_path: Path) -> None:
    """The second has the same networks; what differs between its own two does not differ between equal ones."""
    again = Path(shutil.copytree(two_networks, tmp_path / "again.zarr"))
    scope = scope_of(open_stores([two_networks, again]), "Tiny,Tiny@again", light=False)
    report = report_of(scope)
    said = {finding.key: text(finding) for finding in report.findings}
    assert "in 0 of 3 layers; over all +0.00 standard deviations" in said["smoothness"]
    assert "2 more models" in report.lead
    assert [shelf.title for gallery in report.galleries for shelf in gallery.shelves].count("Twins") == 3
