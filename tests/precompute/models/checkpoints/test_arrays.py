"""NumPy's arrays in checkpoints are read from their bytes, whatever wrote them; damaged ones are one line."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.models.checkpoints.read import read_checkpoint

ARRAYS = {
    "float": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "double": np.linspace(0, 1, 5),
    "half": np.ones((2, 2), np.float16),
    "columns first": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big-endian": np.arange(5, dtype=">f4"),
    "integers": np.arange(-3, 3, dtype=np.int8),
    "truth": np.array([True, False]),
    "one number": np.float32(3.5),
    "an empty array": np.zeros((0, 3), np.float32),
}


def tensors(path: Path) -> dict[str, torch.Tensor]:
    (group,) = read_checkpoint(path).groups
    return group.tensors


@pytest.mark.parametrize("protocol", range(1, 6))  # protocol 0 is a text
def test_a_pickle_of_arrays_is_read(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({**ARRAYS, "author": "me"}, protocol))
    read = tensors(tmp_path / "w.pkl")
    assert set(read) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name].numpy(), array)


def test_torch_save_of_arrays_is_read(tmp_path: Path) -> None:
    torch.save({"model": ARRAYS}, tmp_path / "w.pt")
    for name, value in tensors(tmp_path / "w.pt").items():
        np.testing.assert_array_equal(value.numpy(), ARRAYS[name])


def test_an_npz_is_read_and_its_objects_are_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"conv.weight": ARRAYS["float"]})
    np.testing.assert_array_equal(tensors(tmp_path / "w.npz")["conv.weight"].numpy(), ARRAYS["float"])
    objects: Any = np.array([{"a": 1}], object)
    np.savez(tmp_path / "o.npz", a=objects)
    with pytest.raises(ShapebiasError, match="cannot be loaded when allow_pickle=False"):
        read_checkpoint(tmp_path / "o.npz")


def test_arrays_of_other_things_are_left_out(tmp_path: Path) -> None:
    content = {"a": np.ones(3), "texts": np.array(["x"]), "objects": np.array([None]), "times": np.array([1], "M8[s]")}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content))
    assert set(tensors(tmp_path / "w.pkl")) == {"a"}


def test_an_array_that_is_not_as_long_as_it_says_is_one_line(tmp_path: Path) -> None:
    content = pickle.dumps({"a": np.ones(3)}, 4).replace(b"K\x03\x85", b"K\x04\x85")
    (tmp_path / "w.pkl").write_bytes(content)
    with pytest.raises(ShapebiasError, match="not as long as its shape"):
        read_checkpoint(tmp_path / "w.pkl")
