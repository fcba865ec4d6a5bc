"""Recorded decisions: model-vs-human's CSV files, read and written, with everything that can be wrong with them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapebias.core.errors import ShapebiasError
from shapebias.core.shape_bias.categories import sixteen_classes
from shapebias.core.shape_bias.decision_files import COLUMNS, is_person
from shapebias.core.shape_bias.decisions import Decisions, score
from shapebias.core.shape_bias.recorded import Recorded, export_decisions, read_decisions, write_decisions

SIXTEEN = list(sixteen_classes())
HEADER = ",".join(COLUMNS)
ROWS = [
    "subject-01,1,1,1.13,bird,bird,0,0001_s5n_s01_0_bird_00_bird3-cat2.png",  # shape
    "subject-01,1,2,0.86,clock,bird,0,0002_s5n_s01_0_bird_00_bird2-clock3.png",  # texture
    "subject-01,1,3,0.93,na,dog,0,0003_s5n_s01_0_dog_00_dog10-bicycle1.png",  # other
    "subject-01,1,4,0.50,dog,dog,0,0004_s5n_s01_0_dog_00_dog10-dog1.png",  # no conflict
    "alexnet,1,1,NaN,oven,dog,0,dog10-bicycle1.png",  # other
]


def read(path: Path, text: str) -> Recorded:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return read_decisions([path], SIXTEEN)


def counts(recorded: Recorded, subject: str) -> tuple[int, int, int, int]:
    scored = score(recorded.subjects[subject], resamples=10)
    return scored.counts.shape, scored.counts.texture, scored.counts.other, scored.excluded


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()),
        lambda text: text.replace(",", ", "),
        lambda text: text.replace(HEADER, HEADER.upper()),
    ],
)
def test_subjects_and_their_decisions(tmp_path: Path, change: Callable[[str], str]) -> None:
    recorded = read(tmp_path / "a.csv", change("\n".join([HEADER, *ROWS]) + "\n"))
    assert recorded.problems == []
    assert counts(recorded, "subject-01") == (1, 1, 1, 1)
    assert counts(recorded, "alexnet") == (0, 0, 1, 0)
    images = ["bird3-cat2.png", "bird2-clock3.png", "dog10-bicycle1.png", "dog10-dog1.png"]
    assert recorded.subjects["subject-01"].images == images
    assert [is_person(subject) for subject in recorded.subjects] == [True, False]


def test_columns_in_any_order_and_only_those_that_are_needed(tmp_path: Path) -> None:
    text = "imagename,category,subj,object_response\nbird3-cat2.png,bird,net,cat\n"
    assert counts(read(tmp_path / "a.csv", text), "net") == (0, 1, 0, 0)


def test_a_folder_and_a_subject_of_several_files(tmp_path: Path) -> None:
    for number, row in enumerate(ROWS):
        (tmp_path / f"{number}.CSV").write_text(f"{HEADER}\n{row}\n")
    (tmp_path / "notes.txt").write_text("not decisions")
    recorded = read_decisions([tmp_path, tmp_path / "1.CSV"], SIXTEEN)  # a file named twice counts once
    assert recorded.problems == []
    assert counts(recorded, "subject-01") == (1, 1, 1, 1)


def test_rows_that_cannot_be_used_are_named_in_one_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = [
        "net,1,2,NaN,cat,zebra,0,zebra1-cat2.png",
        "net,1,3,NaN,cat,dog,0,IMG_0001.png",
        "net,1,4,NaN,cat,dog,0,IMG_0002.png",
        "net,1,5,NaN,cat,dog,0,cat1-dog2.png",
        "net,1,6,NaN",
        ",1,7,NaN,cat,dog,0,dog1-cat2.png",
    ]
    recorded = read(tmp_path / "a\x1b.csv", "\n".join([HEADER, "net,1,1,NaN,cat,dog,0,dog1-cat2.png", *bad]))
    assert counts(recorded, "net") == (0, 1, 0, 0)
    (problem,) = recorded.problems
    assert problem.isprintable()
    assert "6 of 7 rows left out: unknown category zebra (1, such as zebra1-cat2.png)" in problem
    assert "not named like cat1-elephant2.png (2, such as IMG_0001.png)" in problem
    assert "and 2 more" in problem


def test_other_responses_count_as_other_and_are_named(tmp_path: Path) -> None:
    rows = [
        f"net,1,1,NaN,{response},dog,0,dog1-cat2.png" for response in ("zebra", "zebra", "\x1b[31m", "na", "", "dog")
    ]
    recorded = read(tmp_path / "a.csv", "\n".join([HEADER, *rows]))
    assert counts(recorded, "net") == (1, 0, 5, 0)
    (problem,) = recorded.problems
    assert "3 responses are no category, counted as other: zebra (2), \\x1b[31m (1)" in problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column subj, object_response, category, imagename"),
        (b"subj,category,imagename\nnet,dog,dog1-cat1.png\n", "no column object_response"),
        (HEADER.encode() + b"\n", "holds no decision"),
        (HEADER.encode() + b"\n" + b"x" * 200_000, "field larger"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_another_form_is_one_line_and_the_rest_goes_on(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "bad.csv").write_bytes(content)
    (tmp_path / "good.csv").write_text("\n".join([HEADER, *ROWS]))
    recorded = read_decisions([tmp_path / "bad.csv", tmp_path / "good.csv"], SIXTEEN)
    (problem,) = recorded.problems
    assert said in problem
    assert "bad.csv" in problem
    assert counts(recorded, "subject-01") == (1, 1, 1, 1)


def test_a_folder_without_files(tmp_path: Path) -> None:
    recorded = read_decisions([tmp_path], SIXTEEN)
    assert recorded.subjects == {}
    assert "no .csv file" in recorded.problems[0]


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_decisions_or_a_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(HEADER.encode() + b"\n" + content)
    recorded = read_decisions([path], SIXTEEN)
    assert recorded.subjects or recorded.problems
    assert all(problem.isprintable() for problem in recorded.problems)


# --- writing ---------------------------------------------------------------------------------------------------------


@st.composite
def decisions(draw: st.DrawFn) -> Decisions:
    pair = st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(-1, 15), st.integers(1, 99))
    rows = draw(st.lists(pair, min_size=1, max_size=30))
    shape, texture, decision, _ = np.array(rows, np.int32).T
    names = [
        f"{SIXTEEN[first]}/{SIXTEEN[first]}{count}-{SIXTEEN[second]}{count}.png" for first, second, _, count in rows
    ]
    return Decisions(categories=SIXTEEN, images=names, shape=shape, texture=texture, decision=decision)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=decisions())
def test_what_is_written_is_read_again(tmp_path: Path, written: Decisions) -> None:
    write_decisions(tmp_path / "a.csv", "Alex, Net-R", written)
    recorded = read_decisions([tmp_path / "a.csv"], SIXTEEN)
    assert recorded.problems == []
    (again,) = recorded.subjects.values()
    assert list(recorded.subjects) == ["Alex, Net-R"]
    assert again.images == [name.partition("/")[2] for name in written.images]
    for name in ("shape", "texture", "decision"):
        np.testing.assert_array_equal(getattr(again, name), getattr(written, name))


def texture_by_the_published_rule(imagename: str) -> str:
    """Return the texture by the published analysis: after the last underscore and hyphen, before the point."""
    part = imagename.split("_")[-1].split(".")[0].split("-")[-1]
    return "".join(letter for letter in part if not letter.isdigit())


def test_the_file_is_one_that_the_published_analysis_reads(tmp_path: Path) -> None:
    names = ["circle/circle-dots-00012.png", "star/star1-circle2.png"]
    shape, texture, decision = (np.array(column, np.int32) for column in ([0, 1], [1, 0], [1, -1]))
    written = Decisions(categories=["circle", "star"], images=names, shape=shape, texture=texture, decision=decision)
    (path,) = export_decisions(tmp_path / "new/folder", {"small_R 2": written})
    assert path.name == "style-transfer-512-nomask-experiment_small-R-2_session-1.csv"
    text = path.read_text()
    assert text.splitlines()[0] == HEADER
    assert "\r" not in text
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["trial"] for row in rows] == ["1", "2"]
    assert {(row["subj"], row["session"], row["rt"], row["condition"]) for row in rows} == {
        ("small_R 2", "1", "NaN", "0")
    }
    assert [row["object_response"] for row in rows] == ["star", "na"]
    assert [row["category"] for row in rows] == ["circle", "star"]
    assert [texture_by_the_published_rule(row["imagename"]) for row in rows] == ["star", "circle"]
    assert rows[1]["imagename"] == "star1-circle2.png"


def one_decision() -> Decisions:
    zero, one = np.array([0], np.int32), np.array([1], np.int32)
    return Decisions(categories=["cat", "dog"], images=["cat1-dog1.png"], shape=zero, texture=one, decision=zero)


def test_models_with_alike_names_get_a_file_each(tmp_path: Path) -> None:
    one = one_decision()
    paths = export_decisions(tmp_path, {"net_a": one, "net a": one, "net-a": one, "猫": one})
    assert len(set(paths)) == 4
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}
    assert set(read_decisions([tmp_path], ["cat", "dog"]).subjects) == {"net_a", "net a", "net-a", "猫"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ShapebiasError, match="cannot be written"):
        export_decisions(tmp_path / "file", {"net": one_decision()})
