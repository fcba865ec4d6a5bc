"""Files that hold more than tensors: the tensors are read, nothing else of them comes to life."""

import builtins
import importlib
import os
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from shapebias.precompute.models.checkpoints.unpickle import Placeholder, SafeUnpickler, read_pickled

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Reduced:
    """An object that a pickle makes by calling `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None, items: Any = None) -> None:
        self.reduced = (function, arguments, state, iter(items) if items else None)

    def __reduce__(self) -> Any:
        return self.reduced


def save(content: Any, path: Path, zipped: bool, pickler: Any = pickle) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped, pickle_module=pickler)
    return path


def tensors() -> dict[str, Any]:
    torch.manual_seed(3)
    base = torch.randn(4, 6)
    return {
        "float": base,
        "view": base[1:3, ::2],
        "half": base.half(),
        "bfloat": base.bfloat16(),
        "double": base.double(),
        "long": torch.arange(5),
        "byte": torch.arange(5, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "one": torch.tensor(3),
        "parameter": nn.Parameter(base + 1),
        "empty": torch.zeros(0, 3),
    }


@FORMATS
def test_tensors_and_containers_are_as_torch_load_gives_them(tmp_path: Path, zipped: bool) -> None:
    content = {"epoch": 3, "state": OrderedDict(tensors()), "many": [1, (2, "text"), {"x": None}], "lr": 0.1}
    content_read = read_pickled(save(content, tmp_path / "a.pt", zipped))
    expected = torch.load(tmp_path / "a.pt", weights_only=False)
    assert {key: content_read[key] for key in ("epoch", "many", "lr")} == {
        key: expected[key] for key in ("epoch", "many", "lr")
    }
    assert list(content_read["state"]) == list(expected["state"])
    for name, value in expected["state"].items():
        assert content_read["state"][name].dtype == value.dtype
        assert torch.equal(content_read["state"][name], value)


def test_tensors_of_one_memory_share_it(tmp_path: Path) -> None:
    tensors_read = read_pickled(save(tensors(), tmp_path / "a.pt", True))
    tensors_read["float"][1, 0] = 99
    assert tensors_read["view"][0, 0] == 99


def dangerous(target: Path) -> dict[str, Any]:
    """Objects that would make the folder `target`, each in another way."""
    make = f"__import__('os').mkdir({str(target)!r})"
    command = f"mkdir {target}"
    module = Reduced(importlib.import_module, "os")
    return {
        "mkdir": Reduced(os.mkdir, str(target)),
        "system": Reduced(os.system, command),
        "eval": Reduced(eval, make),
        "exec": Reduced(exec, make),
        "import": Reduced(builtins.__import__, "os"),
        "getattr": Reduced(getattr, Reduced(getattr, module, "path"), "join"),
        "called": Reduced(map, Reduced(getattr, module, "mkdir"), [str(target)]),
        "state": Reduced(type, "A", (), {}, state={"__setstate__": Reduced(os.mkdir, str(target))}),
        "items": Reduced(os.mkdir, str(target), items=[str(target)]),
        "in a mapping": Reduced(OrderedDict, state={"items": Reduced(os.system, command)}),
        "compile": Reduced(exec, Reduced(compile, make, "x", "exec")),
    }


@FORMATS
@pytest.mark.parametrize("way", list(dangerous(Path())))
def test_nothing_in_a_file_runs(tmp_path: Path, zipped: bool, way: str) -> None:
    target = tmp_path / "made"
    path = save({"model": tensors(), "bomb": dangerous(target)[way]}, tmp_path / "a.pt", zipped)
    content = read_pickled(path)
    assert not target.exists()
    assert torch.equal(content["model"]["float"], tensors()["float"])
    assert content["bomb"] is Placeholder or content["bomb"] == {}


def test_the_dangerous_files_are_dangerous(tmp_path: Path) -> None:
    """Else the test above shows nothing."""
    for way in ("mkdir", "system", "eval", "exec"):
        target = tmp_path / way
        pickle.loads(pickle.dumps(dangerous(target)[way]))
        assert target.is_dir()


def test_builders_cannot_be_changed_from_a_file(tmp_path: Path) -> None:
    """BUILD gives any object state; a second file must not see it."""
    stream = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}U\x06_buildK\x01sb."
    with (tmp_path / "a.pkl").open("wb") as file:
        file.write(stream)
    with (tmp_path / "a.pkl").open("rb") as file:
        SafeUnpickler(file).load()
    tensors_read = read_pickled(save(tensors(), tmp_path / "a.pt", True))
    assert torch.equal(tensors_read["float"], tensors()["float"])


class DillLike(pickle.Pickler):
    """Pickles classes and functions by value, as dill does: by calling dill's own functions."""

    def reducer_override(self, value: Any) -> Any:
        dill = sys.modules["dill._dill"]
        if isinstance(value, type) and value.__module__ == __name__:
            return dill._create_type, (type, value.__name__, (object,), {"step": value.step})
        if isinstance(value, types.FunctionType) and value.__module__ == __name__:
            return dill._create_function, (value.__code__.co_code, value.__name__)
        return NotImplemented


class Schedule:
    """A schedule such as `robustness` saves beside the weights."""

    def __init__(self) -> None:
        self.rates = [0.1, 0.01]
        self.momentum = torch.ones(3)

    def step(self) -> float:
        return self.rates[0]


def _note(*_: Any) -> None:
    CALLED.append("called")  # noqa: F821 (it gets globals of its own)


@FORMATS
def test_objects_that_dill_pickled_are_placeholders(
    tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    fake = types.ModuleType("dill._dill")
    for name in ("_create_type", "_create_function"):
        function = types.FunctionType(_note.__code__, {"CALLED": called}, name)
        function.__module__, function.__qualname__ = "dill._dill", name
        setattr(fake, name, function)
    monkeypatch.setitem(sys.modules, "dill", types.ModuleType("dill"))
    monkeypatch.setitem(sys.modules, "dill._dill", fake)
    pickler = types.SimpleNamespace(Pickler=DillLike, dump=pickle.dump, __name__="dill", __version__="0.3.8")
    content = {"model": tensors(), "schedule": Schedule(), "epoch": 5}
    path = save(content, tmp_path / "a.pt", zipped, pickler)
    monkeypatch.undo()
    assert b"_create_type" in path.read_bytes()
    content_read = read_pickled(path)
    assert not called
    assert content_read["epoch"] == 5
    assert content_read["schedule"] is Placeholder
    assert torch.equal(content_read["model"]["view"], tensors()["view"])


@FORMATS
def test_a_file_that_is_cut_or_changed_raises(tmp_path: Path, zipped: bool) -> None:
    data = save(tensors(), tmp_path / "a.pt", zipped).read_bytes()
    for part in (len(data) // 3, len(data) // 2, len(data) - 30):
        (tmp_path / "b.pt").write_bytes(data[:part])
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, OSError, RuntimeError)):
            read_pickled(tmp_path / "b.pt")


@FORMATS
def test_a_tensor_that_claims_more_than_its_memory_raises(tmp_path: Path, zipped: bool) -> None:
    storage = torch.arange(4.0).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    evil = Reduced(torch._utils._rebuild_tensor_v2, typed, 0, (1000, 1000), (1000, 1), False, OrderedDict())
    with pytest.raises(ValueError, match="larger than its memory"):
        read_pickled(save({"a": evil}, tmp_path / "a.pt", zipped))
