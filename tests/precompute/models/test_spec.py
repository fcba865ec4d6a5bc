"""`[LABEL=]SOURCE[@CHECKPOINT]`."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from shapebias.core.errors import UsageError
from shapebias.core.store.schema import LABEL_PATTERN
from shapebias.precompute.models import spec as specs
from shapebias.precompute.models.own import OWN
from shapebias.precompute.models.spec import ModelSpec, check_sources, parse_spec, parse_specs
from shapebias.precompute.models.trained import SHIPPED


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


@pytest.mark.parametrize(
    "text", ["", "@a.pth", "alexnet@", "A=@a.pth", "A B!=alexnet", " A=alexnet", "~\x00", "~\ud800/a.pth"]
)
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
    assert spec.source in text or "~" in text  # which is the home folder


def test_two_of_the_same_label_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="alexnet"):
        parse_specs(["alexnet", "alexnet@r.pth"])
    assert [spec.label for spec in parse_specs(["S=alexnet", "R=alexnet@r.pth"])] == ["S", "R"]


def test_the_names_are_those_of_torchvision() -> None:
    """No classifier of the studies is missing in other versions than the installed one either."""
    newest, *names = specs._CLASSIFIERS.read_text("utf-8").split("\n")
    installed = torchvision.models.list_models(torchvision.models)
    if newest == f"torchvision {version('torchvision').partition('+')[0]}":
        assert [name for name in names if name] == installed
    assert {"alexnet", "googlenet", "resnet50"} <= set(names) & set(installed)


def test_what_comes_with_the_program_is_known() -> None:
    assert tuple(OWN) == specs.OWN_NAMES
    check_sources([parse_spec(name) for name in SHIPPED])
    for name in SHIPPED:
        with pytest.raises(
            UsageError, match=f"has weights of its own: for others of its kind write {specs.BUILT_IN[name]}@"
        ):
            check_sources([parse_spec(f"{name}@other.safetensors")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resnet500", "no model resnet500: name a torchvision classifier \\(resnet50,"),
        ("A=nothing-like-it", "no model nothing-like-it: name a torchvision classifier \\(alexnet, resnet50\\)"),
        ("torchvision:alexnet", "by their names alone: --model alexnet"),
        ("small", "train it, then small@FILE.safetensors"),
        ("/no/net.py:build", "/no/net.py does not exist"),
        ("alexnet@/no/file.pth", "the checkpoint /no/file.pth does not exist"),
    ],
)
def test_sources_that_do_not_exist(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_sources([parse_spec(text)])


def test_a_newer_torchvision_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs, "version", lambda _: "99.0.1+cpu")
    check_sources([parse_spec("resnet500")])
    monkeypatch.setattr(specs, "version", lambda _: "0.19.0+cu121")
    with pytest.raises(UsageError, match="no model resnet500"):
        check_sources([parse_spec("resnet500")])


def test_timm_is_not_imported_to_say_that_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="pip install"):
        check_sources([parse_spec("timm:resnet50")])


def test_a_mistake_is_told_before_pytorch_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom shapebias.cli import main\n"
        "try:\n    main()\nfinally:\n    print(sorted({'torch', 'torchvision', 'numba'} & set(sys.modules)))"
    )
    mistakes = (
        ["--model", "resnet500", "--images", str(tmp_path)],
        ["--passes", "sharpness"],
        ["--categories", str(tmp_path)],
        ["--device", "cpu", "--precision", "tf32"],
        ["--device", "cpu", "--decode", "gpu"],
        ["--model", "timm:resnet5o", "--images", str(tmp_path)],
    )
    beginnings = (
        "no ",
        f"{tmp_path} cannot be read",
        "--precision tf32 needs",
        "--decode gpu needs",
        "timm has no model",
    )
    for arguments in mistakes:
        command = [sys.executable, "-c", program, "precompute", "--store", str(tmp_path / "a.zarr"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr
        assert done.stderr.startswith(tuple(f"shapebias: {beginning}" for beginning in beginnings))
        assert done.stderr.count("\n") == 1
