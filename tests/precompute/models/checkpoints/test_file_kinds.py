"""Files that are no checkpoints: one line each says what they are."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.models.checkpoints.file_kinds import check_kind, is_safetensors
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec

HTML = b"\n<!DOCTYPE html>\n<html><title>Google Drive - Virus scan warning</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 244408911\n"


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return buffer.getvalue()


def torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(100)}, buffer)
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return buffer.getvalue()


KINDS: dict[str, tuple[str, bytes, str]] = {  # a name, what is in the file, what is said
    "truncated": ("w.pth", torch_file()[:-100], "is a zip that is cut off after"),
    "web page": ("w.pt", HTML, "is a web page"),
    "web page with a byte order mark": ("w.pt", b"\xef\xbb\xbf" + HTML, "is a web page"),
    "pointer": ("w.pth", POINTER, "is a Git LFS pointer"),
    "empty": ("w.pth", b"", "is empty"),
    "Keras": ("w.h5", b"\x89HDF\r\n\x1a\n" + bytes(50), "is an HDF5 file (TensorFlow or Keras)"),
    "Keras 3": ("w.keras", zipped("config.json", "model.weights.h5"), "is a Keras file"),
    "frozen graph": ("w.pb", b"\x0a\x20\x0a\x05input" + bytes(30), "is a TensorFlow graph file"),
    "TensorFlow index": ("m.ckpt.index", bytes(90) + bytes.fromhex("57fb808b247547db"), "is a TensorFlow checkpoint"),
    "TensorFlow data": ("m.ckpt.data-00000-of-00001", struct.pack("4f", 1, 2, 3, 4), "is a TensorFlow checkpoint"),
    "TensorFlow Lite": ("m.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(30), "is a TensorFlow Lite file"),
    "ONNX": ("m.onnx", b"\x08\x07\x12\x07pytorch" + bytes(9), "is an ONNX file"),
    "TorchScript": ("m.pt", zipped("m/data.pkl", "m/constants.pkl", "m/code/x.py"), "is a TorchScript archive"),
    "zip": ("m.zip", zipped("alexnet.pth"), "is a zip of 1 files"),
    "gzip": ("m.pth", b"\x1f\x8b\x08" + bytes(30), "is compressed (gzip)"),
    "tar": ("m.pth", tar(), "is a tar archive"),
    "text": ("m.pth", "no such file ó\nsecond line".encode(), "is a text that begins with `no such file"),
    "JSON": ("m.pth", b'{"error": "rate limit"}', "is a text that begins with `{"),
    "picture": ("m.pth", b"\xff\xd8\xff\xe0" + bytes(30), "is a JPEG picture"),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_a_file_is_is_said_in_one_line(tmp_path: Path, kind: str) -> None:
    name, content, said = KINDS[kind]
    (tmp_path / name).write_bytes(content)
    assert said in fails(f"squeezenet1_1@{tmp_path / name}")


@pytest.mark.parametrize("kind", ["web page", "pointer", "empty"])
def test_a_file_that_is_no_safetensors_is_one_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(KINDS[kind][1])
    for spec in (f"squeezenet1_1@{tmp_path}/w.safetensors", f"{tmp_path}/w.safetensors"):
        assert KINDS[kind][2] in fails(spec)


def fails(spec: str) -> str:
    with pytest.raises(ShapebiasError) as error:
        load_model(parse_spec(spec))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        check_kind(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        check_kind(tmp_path / "none.pth")
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(UsageError, match="TensorFlow SavedModel"):
        check_kind(tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_pass(tmp_path: Path, zipped: bool) -> None:
    content: dict[str, Any] = {"state_dict": {"a": torch.ones(3)}}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=zipped)
    check_kind(tmp_path / "a.ckpt")
    assert not is_safetensors(tmp_path / "a.ckpt")
