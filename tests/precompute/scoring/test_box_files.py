"""Boxes of images from XML files and tables, in the forms that people have, and from files that are none."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.scoring.box_files import BoxFiles, NoBoxesError, read_box_files, read_table

OBJECT = """<object><name>{}</name><pose>Unspecified</pose><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>
<ymax>{}</ymax></bndbox></object>"""
XML = """<annotation><folder>val</folder><filename>{name}</filename><size><width>500</width><height>375</height>
<depth>3</depth></size>{objects}</annotation>"""


def write_xml(file: Path, *objects: tuple[object, ...]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        XML.format(name=file.stem, objects="".join(OBJECT.format(*object_fields) for object_fields in objects))
    )


def table(folder: Path, text: str) -> BoxFiles:
    (folder / "boxes.csv").write_text(text)
    return read_box_files(folder / "boxes.csv")


def test_ilsvrcs_xml(tmp_path: Path) -> None:
    write_xml(tmp_path / "val" / "ILSVRC2012_val_00000001.xml", ("n01751748", 111, 108, 441, 193), ("n1", 1, 2, 3, 4))
    write_xml(tmp_path / "val" / "ILSVRC2012_val_00000002.xml", ("n01751748", 5, 6, 7, 8))
    files = read_box_files(tmp_path)
    for path in (b"ILSVRC2012_val_00000001.JPEG", b"n01751748/ILSVRC2012_val_00000001.jpg"):
        boxes = files.find(path)
        assert boxes is not None
        assert boxes.boxes.tolist() == [[111, 108, 441, 193], [1, 2, 3, 4]]
        assert boxes.classes == ("n01751748", "n1")
        assert boxes.size == (500, 375)
    assert files.find(b"ILSVRC2012_val_00000003.JPEG") is None
    assert files.find(b"\xff.JPEG") is None


def test_names_that_several_folders_have_are_told_by_them(tmp_path: Path) -> None:
    write_xml(tmp_path / "cat" / "1.xml", ("cat", 1, 1, 2, 2))
    write_xml(tmp_path / "dog" / "1.xml", ("dog", 1, 1, 2, 2))
    files = read_box_files(tmp_path)
    for path in (b"cat/1.png", b"val/cat/1.png"):
        boxes = files.find(path)
        assert boxes is not None
        assert boxes.classes == ("cat",)
    assert files.find(b"1.png") is None
    assert files.find(b"bird/1.png") is None


@pytest.mark.parametrize(
    "text",
    [
        "path,left,top,right,bottom,class\na/1.jpg,1,2,30,40,cat\na/1.jpg,5,6,7,8,dog\na/2.jpg,0,0,9,9,cat\n",
        "\ufefffile name;x1;y1;x2;y2;label\r\na/1.jpg;1;2;30;40;cat\r\n\r\na/1.jpg;5;6;7;8;dog\r\n",
        "Image_ID\tX_min\tY_min\tX_max\tY_max\tWNID\n1\t1\t2\t30\t40\tcat\n1\t5\t6\t7\t8\tdog\n",
        "x0,y0,x1,y1,image,category\n1,2,30,40,1.jpg,cat\n5,6,7,8,1.jpg,dog\n",
        "ImageId,PredictionString\n1,cat 1 2 30 40 dog 5 6 7 8 \n2,cat 1 1 2 2\n",
    ],
)
def test_tables_in_many_forms(tmp_path: Path, text: str) -> None:
    boxes = table(tmp_path, text).find(b"a/1.jpg")
    assert boxes is not None
    assert boxes.boxes.tolist() == [[1, 2, 30, 40], [5, 6, 7, 8]]
    assert boxes.classes == ("cat", "dog")
    assert boxes.size is None


def test_a_table_may_say_the_size_and_no_class(tmp_path: Path) -> None:
    boxes = table(tmp_path, "path,width,height,xmin,ymin,xmax,ymax\n1.jpg,500,375,1,2,30,40\n").find(b"1.jpg")
    assert boxes is not None
    assert boxes.size == (500, 375)
    assert boxes.classes == (None,)


def test_digests_change_with_the_boxes(tmp_path: Path) -> None:
    write_xml(tmp_path / "xml" / "1.xml", ("cat", 1, 1, 2, 2))
    first = read_box_files(tmp_path / "xml").digest
    assert read_box_files(tmp_path / "xml").digest == first
    write_xml(tmp_path / "xml" / "1.xml", ("cat", 1, 1, 2, 2222))
    assert read_box_files(tmp_path / "xml").digest != first


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no annotation"),
        ("<annotation><size>", "no annotation"),
        ("<annotation><size><width>5</width><height>5</height></size></annotation>", "no object"),
        (XML.format(name="1", objects=OBJECT.format("cat", 5, 5, 5, 9)), "no area"),
        (XML.format(name="1", objects=OBJECT.format("cat", 5, 5, "nan", 9)), "no area"),
        (XML.format(name="1", objects=OBJECT.format("cat", 5, 5, "six", 9)), "no annotation"),
        (XML.format(name="1", objects=OBJECT.format("cat", 1, 1, 2, 2)).replace(">500<", ">0<"), "below 1 px"),
    ],
)
def test_files_that_are_no_annotation(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "1.xml").write_text(content)
    with pytest.raises(NoBoxesError, match=reason):
        read_box_files(tmp_path).find(b"1.jpg")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "call them path, left, top, right, bottom"),
        ("path,left,top\n1.jpg,1,2\n", "has the columns path, left, top"),
        ("path,left,top,right,bottom\n1.jpg,1,2,3\n", "line 2 has no box"),
        ("path,left,top,right,bottom\n\n1.jpg,1,2,3,x\n", "line 3 has no box"),
        ("ImageId,PredictionString\n1,cat 1 2 3\n", "1 has no box"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ShapebiasError, match=reason):
        table(tmp_path, text)


def test_places_without_boxes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no XML files in it"):
        read_box_files(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_box_files(tmp_path / "missing.csv")


@given(st.sampled_from(["", "path,left,top,right,bottom\n", "id,PredictionString\n"]), st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_table_or_one_line(header: str, text: str) -> None:
    def problem() -> str:
        try:
            read_table(header + text, "boxes.csv")
        except ShapebiasError as error:
            return str(error)
        return ""

    assert "\n" not in problem()
