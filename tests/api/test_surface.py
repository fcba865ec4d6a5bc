"""The public names: lazy, light, and the same for Python and for type checkers. Their examples run."""

import ast
import doctest
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import shapebias

NAMES = [name for name in shapebias.__all__ if name != "__version__"]
LIGHT = """
import sys
before = set(sys.modules)
import shapebias
dir(shapebias)
print(sorted({name.split(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
"""


def documented(name: str) -> Iterator[tuple[str, Any]]:
    """A public object, and what is public in it, by their names."""
    thing = shapebias.load(name)
    yield name, thing
    if inspect.isclass(thing):
        for member in dir(thing):
            if not member.startswith("_"):
                yield f"{name}.{member}", inspect.getattr_static(thing, member)


def test_the_import_is_light() -> None:
    """No other package is imported with it, so that it takes a few milliseconds."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout == "['shapebias']\n"


def test_the_names_are_those_of_the_stub() -> None:
    stub = ast.parse(Path(shapebias.__file__).with_suffix(".pyi").read_text("utf-8"))
    typed = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed - {None} == set(NAMES)
    assert dir(shapebias) == sorted(shapebias.__all__)


def test_every_name_is_there() -> None:
    for name in NAMES:
        assert getattr(shapebias, name) is getattr(shapebias, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = shapebias.nothing  # type: ignore[attr-defined]


def test_precompute_is_a_package_that_is_called() -> None:
    import shapebias.precompute.settings

    assert isinstance(shapebias.precompute, ModuleType)
    assert callable(shapebias.precompute)
    assert list(inspect.signature(shapebias.precompute).parameters)[:3] == ["models", "images", "store"]


def test_whatever_is_public_is_documented() -> None:
    for name in NAMES:
        for path, thing in documented(name):
            text = inspect.getdoc(thing)
            assert text, path
            assert ">>>" in text or inspect.isdatadescriptor(thing), path


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_right(name: str, pair_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pair_folder)
    thing = shapebias.load(name)
    names = {"store": shapebias.open("pair.zarr")}
    if name == "Measurement":
        names["measured"] = small_measurement()
    finder = doctest.DocTestFinder()
    things = [base for base in thing.__mro__ if base is not object] if inspect.isclass(thing) else [thing]
    examples = [example for one in things for example in finder.find(one, name, globs=names)]
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in examples:
        runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0


def small_measurement() -> Any:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 12, 3), torch.nn.ReLU())
    return shapebias.measure(net, [torch.rand(10, 3, 32, 32) for _ in range(2)], layers=["1"])
