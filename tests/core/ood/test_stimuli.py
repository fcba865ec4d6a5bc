"""The names of stimuli give their category, condition and image."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.ood.stimuli import condition_names, image_id, label_stimuli, label_stimulus

CATEGORIES = ["airplane", "boat", "cat", "keyboard"]


@pytest.mark.parametrize(
    ("name", "label", "image"),
    [
        ("dnn/session-1/0001_hp_dnn_0.7_boat_10_n03662601_12531.png", ("boat", "0.7"), "n03662601_12531.png"),
        ("0001_eid_dnn_16-10-10_cat_10_n02123597_7142.png", ("cat", "16-10-10"), "n02123597_7142.png"),
        ("0617_sty_dnn_0_keyboard_00_keyboard-0029-ILSVRC2012-val-00027307.png", ("keyboard", "0"), None),
        ("0002_edg_s01_0_airplane_00_airplane4.png", ("airplane", "0"), "airplane4.png"),
        ("edge/airplane/airplane4.png", ("airplane", ""), "airplane4.png"),
        ("cat/0001_hp_dnn_NaN_cat_10_cat1.png", ("cat", ""), "cat1.png"),
        ("cat/my_photo_of_a_boat_10_x.png", ("cat", ""), "x.png"),
        ("cat/0001_my_photo_of_something_10_x.png", ("cat", ""), "x.png"),
        ("a/b/cat/\udcff1.png", ("cat", ""), "\udcff1.png"),
    ],
)
def test_names(name: str, label: tuple[str, str], image: str | None) -> None:
    assert label_stimulus(name, CATEGORIES) == label
    assert image_id(name) == (image or "keyboard-0029-ILSVRC2012-val-00027307.png")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zoo/zebra1.png", "unknown category zoo"),
        ("0001_hp_dnn_0.7_zebra_10_n03662601_12531.png", "unknown category zebra"),
        ("session-1/0001_hp_dnn_0.7_zebra_10_x.png", "unknown category zebra"),
        ("cat/0001_hp_dnn_0.7_boat_10_x.png", "named after boat, but in folder cat"),
        ("cat1.png", "in no folder of a category, and not named like 0001_hp_dnn_0.7_boat_10_n03662601_12531.png"),
        ("\x1b[31m/x.png", r"unknown category \x1b[31m"),
    ],
)
def test_names_that_say_no_category(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        label_stimulus(name, CATEGORIES)


def test_many_files() -> None:
    names = ["cat/a.png", "zoo/b.png", "0001_ctr_dnn_c50_boat_10_c.png", "0002_ctr_dnn_c05_cat_10_d.png"]
    names += ["0003_ctr_dnn_c50_cat_10_e.png"]
    stimuli = label_stimuli(names, CATEGORIES)
    assert stimuli.used.tolist() == [0, 2, 3, 4]
    assert stimuli.category.tolist() == [2, 1, 2, 2]
    assert stimuli.conditions == ["c50", "c05"]
    assert stimuli.condition.tolist() == [-1, 0, 1, 0]
    assert stimuli.unusable == [("zoo/b.png", "unknown category zoo")]
    assert condition_names(stimuli.conditions, stimuli.condition) == ["", "c50", "c05", "c50"]


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30)))
def test_every_name_is_used_or_has_a_reason(names: list[str]) -> None:
    stimuli = label_stimuli(names, CATEGORIES)
    assert len(stimuli.used) + len(stimuli.unusable) == len(names)
    assert len(stimuli.category) == len(stimuli.condition) == len(stimuli.used)
    assert all(reason.isprintable() for _, reason in stimuli.unusable)
    assert np.isin(stimuli.category, range(len(CATEGORIES))).all()
