"""Recorded decisions by set: files in model-vs-human's folders, read and written, and what can be wrong in them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapebias.core.errors import ShapebiasError
from shapebias.core.ood.decisions import OodObserver, SetDecisions
from shapebias.core.ood.recorded import export_decisions, read_decisions
from shapebias.core.shape_bias.categories import sixteen_classes

SIXTEEN = list(sixteen_classes())
HEADER = "subj,Session,trial,rt,object_response,category,condition,imagename"
PERSON = "subject-01,1,1,1.33,clock,boat,0.7,0001_hp_s01_0.7_boat_10_n03662601_12531.png"
MODEL = "net,1,1,NaN,boat,boat,0.7,0001_hp_dnn_0.7_boat_10_n03662601_12531.png"


def write(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_the_set_is_in_the_files_name_or_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "raw-data/high-pass/high-pass_subject-01_session_1.csv", PERSON)
    write(tmp_path / "raw-data/high-pass/other.CSV", MODEL)
    write(tmp_path / "raw-data/cue-conflict/style-transfer-512-nomask-experiment_net_session-1.csv", MODEL)
    write(tmp_path / "loose/my_set_net_session-1.csv", MODEL)
    write(tmp_path / "loose/odd.csv", MODEL)
    recorded = read_decisions([tmp_path], SIXTEEN, ["my", "my_set"])
    assert {observer.name: list(own) for observer, own in recorded.observers.items()} == {
        "net": ["my_set", "cue-conflict", "high-pass"],
        "subject-01": ["high-pass"],
    }
    assert [observer.is_person for observer in recorded.observers] == [False, True]
    (problem,) = recorded.problems
    assert "odd.csv belongs to no known set: call it SET_SUBJECT_session-1.csv" in problem
    own = recorded.observers[OodObserver("subject-01", "recorded", is_person=True)]["high-pass"]
    assert own.images == ["0001_hp_s01_0.7_boat_10_n03662601_12531.png"]
    assert own.conditions == ["0.7"]
    assert own.right.tolist() == [False]


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = ["net,1,2,NaN,boat,zebra,0,x.png", ",1,2,NaN,boat,boat,0,x.png", "net,1,3,NaN,zebra,boat,0,y.png"]
    write(tmp_path / "edge_net_session-1.csv", MODEL, *bad)
    (tmp_path / "edge_empty_session-1.csv").write_text("")
    recorded = read_decisions([tmp_path, tmp_path / "none.csv", tmp_path / "edge_none.csv"], SIXTEEN, [])
    (own,) = recorded.observers.values()
    assert own["edge"].right.tolist() == [True, False]
    text = "\n".join(recorded.problems)
    assert "2 of 4 rows left out: unknown category zebra (1, such as x.png), no subject (1, such as x.png)" in text
    assert "1 responses are no category, counted as other: zebra (1)" in text
    assert "no column subj" in text
    assert "none.csv belongs to no known set" in text
    assert "edge_none.csv cannot be read" in text
    assert len(recorded.problems) == 5


@st.composite
def decisions(draw: st.DrawFn) -> SetDecisions:
    rows = draw(
        st.lists(st.tuples(st.integers(0, 15), st.integers(-1, 15), st.sampled_from(["", "c05", "0.10"])), min_size=1)
    )
    category, decision, _ = (np.array(column) for column in zip(*rows, strict=True))
    return SetDecisions(
        categories=SIXTEEN,
        images=[f"session-2/{row:04}_x_{SIXTEEN[index]}1.png" for row, index in enumerate(category)],
        conditions=[condition for _, _, condition in rows],
        category=category.astype(np.int32),
        decision=decision.astype(np.int32),
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=decisions())
def test_what_is_written_is_read_again(tmp_path: Path, written: SetDecisions) -> None:
    (path,) = export_decisions(tmp_path, {"Net, R": {"contrast": written}})
    assert path.relative_to(tmp_path) == Path("contrast/contrast_Net-R_session-1.csv")
    recorded = read_decisions([tmp_path], SIXTEEN, [])
    assert recorded.problems == []
    again = recorded.observers[OodObserver("Net, R", "recorded", is_person=False)]["contrast"]
    assert again.images == [image.partition("/")[2] for image in written.images]
    assert again.conditions == [condition or "NaN" for condition in written.conditions]
    np.testing.assert_array_equal(again.category, written.category)
    np.testing.assert_array_equal(again.decision, written.decision)
    with path.open() as file:
        assert {row["session"] for row in csv.DictReader(file)} == {"2"}


def test_the_files_are_as_the_published_code_writes_them(tmp_path: Path) -> None:
    """As edge_resnet50_session-1.csv and high-pass_resnet50_session-1.csv of its raw data."""
    one, two = np.array([0, 0], np.int32), np.array([4, -1], np.int32)
    edge = SetDecisions(
        categories=["airplane", "b", "c", "d", "knife"],
        images=["airplane/airplane1.png", "airplane/airplane10.png"],
        conditions=["", ""],
        category=one,
        decision=two,
    )
    (path,) = export_decisions(tmp_path, {"resnet50": {"edge": edge}})
    assert path.read_text().splitlines() == [
        "subj,session,trial,rt,object_response,category,condition,imagename",
        "resnet50,1,1,NaN,knife,airplane,NaN,airplane1.png",
        "resnet50,1,2,NaN,na,airplane,NaN,airplane10.png",
    ]


def test_models_of_names_alike_get_a_file_each_and_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    zero = np.zeros(1, np.int32)
    own = {
        "edge": SetDecisions(categories=["cat"], images=["cat/1.png"], conditions=[""], category=zero, decision=zero)
    }
    assert len({*export_decisions(tmp_path, {"net a": own, "net_a": own})}) == 2
    (tmp_path / "file").write_text("")
    with pytest.raises(ShapebiasError, match="cannot be written"):
        export_decisions(tmp_path / "file", {"net": own})
