"""`[LABEL=]SOURCE[@CHECKPOINT]`."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.errors import UsageError
from shapebias.core.store.schema import LABEL_PATTERN
from shapebias.precompute.models.spec import ModelSpec, parse_spec, parse_specs


@pytest.mark.parametrize(
    ("text", "label", "source", "checkpoint"),
    [
        ("alexnet", "alexnet", "alexnet", None),
        ("AlexNet=alexnet", "AlexNet", "alexnet", None),
        ("alexnet@a.pth", "alexnet", "alexnet", "a.pth"),
        ("R=alexnet@/data/r 1.pth", "R", "alexnet", "/data/r 1.pth"),
        ("nets.py:small", "small", "nets.py:small", None),
        ("dir/nets.py:build", "nets", "dir/nets.py:build", None),
        ("/a=b/nets.py:small", "small", "/a=b/nets.py:small", None),
        ("package.module:make", "make", "package.module:make", None),
        ("Net 1.0+x=nets.py:small@w=1.pth", "Net 1.0+x", "nets.py:small", "w=1.pth"),
        ("A=nets.py:small@a=b@c.pth", "A", "nets.py:small", "a=b@c.pth"),
    ],
)
def test_examples(text: str, label: str, source: str, checkpoint: str | None) -> None:
    assert parse_spec(text) == ModelSpec(label, source, Path(checkpoint) if checkpoint else None)


@pytest.mark.parametrize(
    ("text", "checkpoint", "preprocess", "classes"),
    [
        ("alexnet@a,b.pth,preprocess=advprop", "a,b.pth", "advprop", None),
        ("alexnet,preprocess=none", None, "none", None),
        ("A=nets.py:f@w.pth,classes=my, classes.json,preprocess=imagenet", "w.pth", "imagenet", "my, classes.json"),
        ("alexnet@a.pth,preprocess", "a.pth,preprocess", None, None),
    ],
)
def test_options(text: str, checkpoint: str | None, preprocess: str | None, classes: str | None) -> None:
    spec = parse_spec(text)
    assert (spec.preprocess, spec.classes) == (preprocess, Path(classes) if classes else None)
    assert spec.checkpoint == (Path(checkpoint) if checkpoint else None)


@pytest.mark.parametrize("text", [",preprocess=", ",preprocess=x", ",preprocess=none,preprocess=none", ",classes="])
def test_options_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match=r"preprocess|classes"):
        parse_spec(f"alexnet@a.pth{text}")


@pytest.mark.parametrize("text", ["", "@a.pth", "alexnet@", "A=@a.pth", "A B!=alexnet", " A=alexnet"])
def test_what_makes_no_sense_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_spec(text)
    assert "\n" not in str(error.value)


@given(st.text())
def test_any_text_is_a_spec_or_a_usage_error(text: str) -> None:
    spec, said = None, ""
    try:
        spec = parse_spec(text)
    except UsageError as error:
        said = str(error)
    assert not {"\n", "\r", "\x1b", "\x9b"} & set(said)
    if spec is None:
        return
    assert LABEL_PATTERN.fullmatch(spec.label)
    assert spec.source in text


def test_two_of_the_same_label_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="alexnet"):
        parse_specs(["alexnet", "alexnet@r.pth"])
    assert [spec.label for spec in parse_specs(["S=alexnet", "R=alexnet@r.pth"])] == ["S", "R"]
