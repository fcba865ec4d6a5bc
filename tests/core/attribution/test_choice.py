"""Methods and their settings, as the command line names them and as a store keeps them."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.attribution_table import tables
from shapebias.core.attribution.choice import Choice, parse_choices
from shapebias.core.attribution.method import Cost, Setting
from shapebias.core.attribution.methods import CONTROL, FAMILIES, METHODS
from shapebias.core.errors import UsageError


def values_of(setting: Setting) -> st.SearchStrategy[object]:
    if setting.words:
        return st.sampled_from(setting.words)
    if isinstance(setting.default, int):
        return st.integers(int(setting.low), int(setting.high))
    return st.floats(setting.low, setting.high)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    method = METHODS[draw(st.sampled_from(list(METHODS)))]
    chosen = draw(st.sets(st.sampled_from(method.settings))) if method.settings else set()
    return Choice.of(method.name, **{setting.name: draw(values_of(setting)) for setting in chosen})


@given(choices())
def test_a_choice_is_what_its_text_and_its_attributes_say(choice: Choice) -> None:
    assert parse_choices(str(choice)) == (choice,)
    assert Choice.from_attributes(json.loads(json.dumps(choice.to_attributes()))) == choice


def test_all_means_the_eleven_methods_and_the_controls() -> None:
    chosen = [choice.name for choice in parse_choices("all")]
    assert chosen == list(METHODS)
    assert len([name for name in chosen if METHODS[name].family != CONTROL]) == 12  # SHAP in two ways
    assert parse_choices("rise:masks=10,all")[chosen.index("rise")] == Choice.of("rise", masks=10)
    assert [choice.name for choice in parse_choices(" rise , gradient")] == ["gradient", "rise"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no attribution method is named: there are gradient, "),
        ("grad", "no attribution method grad: there are gradient, "),
        ("rise,rise:masks=3", "rise is named twice: "),
        ("gradient:steps=3", "gradient has no setting steps: it has none"),
        ("rise:steps=3", "rise has no setting steps: there are masks, grid, p, "),
        ("rise:masks", "rise:masks: write NAME:SETTING=VALUE"),
        ("rise:masks=0", "masks=0: write a whole number from 1 to 100000"),
        ("rise:masks=2.5", "masks=2.5: write a whole number "),
        ("rise:p=nan", "p=nan: write a number from 0.001 to 0.999"),
        ("occlusion:of=score", "of=score: write logit or probability"),
        ("rise:masks=\x1b[1m", r"masks=\x1b[1m: write "),
    ],
)
def test_mistakes_are_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        parse_choices(text)


def test_attributes_of_a_method_that_is_gone() -> None:
    with pytest.raises(UsageError, match="no attribution method gone"):
        Choice.from_attributes({"name": "gone", "settings": {}})


def test_costs() -> None:
    assert Choice.of("smoothgrad", samples=7).cost(224) == Cost(7, 7)
    assert Choice.of("integrated-gradients").cost(224) == Cost(52, 50)
    assert Choice.of("gradient-shap").cost(224) == Cost(61, 50)
    assert Choice.of("gradient-shap", baseline="grey").cost(224) == Cost(52, 50)
    assert Choice.of("occlusion").cost(224) == Cost(1 + 28 * 28)  # (224 - 35) / 7 + 1 = 28 a side
    assert Choice.of("occlusion").cost(64) == Cost(1 + 28 * 28)  # patches of 10 px every 2 px
    assert Choice.of("deeplift-shap").cost(64) == Cost(20, 20)
    assert Choice.of("deeplift-shap", baseline="black").cost(64) == Cost(2, 2)
    assert Choice.of("random").cost(64) == Cost(0)


def test_the_registry_is_whole() -> None:
    for method in METHODS.values():
        assert method.family in FAMILIES
        assert method.formula
        assert method.source
        for setting in method.settings:
            assert setting.about
            assert setting.source
            assert setting.read(str(setting.default)) == setting.default


def test_the_documentation_has_every_method_and_setting() -> None:
    page = (Path(__file__).parents[3] / "docs" / "attribution.md").read_text("utf-8")
    assert "\n".join(tables()) in page, "run python -m benchmarks.attribution_table --write docs/attribution.md"
