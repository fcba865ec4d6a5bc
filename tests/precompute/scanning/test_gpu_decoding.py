"""Images decoded on a GPU equal those decoded on the CPU, but for rounding; the same code runs here on the CPU."""

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from shapebias.core.errors import UsageError
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.precompute.device import CPU, Device
from shapebias.precompute.images.geometry import Geometry
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.loader import load
from shapebias.precompute.images.sources.folder import list_images
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.scanning import gpu_decoding
from shapebias.precompute.scanning.gpu_decoding import (
    NOTE,
    GpuDecoder,
    add_noise,
    check_decoding,
    decode_jpegs,
    resize_crop,
)
from shapebias.precompute.scanning.jpeg_files import plain_jpeg_size
from shapebias.precompute.settings import Settings
from shapebias.precompute.summary import Summary
from tests.conftest import smooth_noise
from tests.support.pretended_cuda import CUDA, pretended_cuda

GEOMETRY = Geometry(40, 32)
PLAIN = ("grey", "plain", "progressive")
OTHERS = ("cmyk", "png", "rgb", "rotated")


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Images of 50 x 70 px by what is special about them."""
    photo, rotated = smooth_noise(3, 50, 70), Image.Exif()
    rotated[0x0112] = 6
    return {
        "cmyk": encoded(photo.convert("CMYK")),
        "damaged": b"\xff\xd8\xff\xe0\0\4\0\0junk\xff\xd9",
        "grey": encoded(photo.convert("L")),
        "plain": encoded(photo, quality=92),
        "png": encoded(photo, "PNG"),
        "progressive": encoded(photo, progressive=True, quality=92),
        "rgb": encoded(photo, keep_rgb=True),
        "rotated": encoded(photo, exif=rotated),
        "truncated": encoded(photo)[:-40],
    }


@pytest.fixture(scope="module")
def folder(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("jpegs")
    for name, content in files.items():
        (root / f"{name}.jpg").write_bytes(content)
    return root


def test_which_files_a_gpu_decodes(files: dict[str, bytes]) -> None:
    sizes = {name: plain_jpeg_size(content) for name, content in files.items()}
    assert {name for name, size in sizes.items() if size == (50, 70)} == set(PLAIN)
    assert {name for name, size in sizes.items() if size is None} == set(files) - set(PLAIN)


def pixels_of(folder: Path, device: Device | None) -> tuple[dict[str, np.ndarray], list[tuple[str, str]]]:
    """Return the pixels of a folder's images by name, and the skipped images; decoded by a device, or else exactly."""
    images, _ = list_images(folder)
    decoder = None if device is None else GpuDecoder(images, GEOMETRY, None, 0, device)
    by_name: dict[str, np.ndarray] = {}
    with load(images, GEOMETRY, 4, 1, undecoded=decoder.job if decoder else None) as loader:
        for batch in loader if decoder is None else decoder.batches(loader):
            pixels = getattr(batch, "sent", torch.from_numpy(batch.pixels)).cpu().numpy()
            for position, image in zip(batch.positions.tolist(), pixels, strict=True):
                by_name[Path(os.fsdecode(images.paths[position])).stem] = image.copy()
    return by_name, [(Path(os.fsdecode(image.path)).stem, image.reason) for image in loader.skipped]


def test_every_image_is_decoded_or_skipped_as_on_the_cpu(folder: Path) -> None:
    (by_name, skipped), (exact, skipped_there) = pixels_of(folder, CPU), pixels_of(folder, None)
    assert skipped == skipped_there == [("damaged", "damaged"), ("truncated", "truncated")]
    assert by_name.keys() == exact.keys() == {*PLAIN, *OTHERS}
    for name in OTHERS:
        np.testing.assert_array_equal(by_name[name], exact[name], err_msg=name)
    for name in PLAIN:
        assert np.abs(by_name[name].astype(int) - exact[name]).max() <= 1, name


def test_what_the_device_cannot_decode_the_cpu_does(
    files: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, _ = pixels_of(folder, None)
    decode = gpu_decoding._decode

    def unable(contents: list[bytes], device: Device) -> list[Tensor]:
        if files["grey"] in contents:
            raise RuntimeError("nvjpeg does not take it")
        return decode(contents, device)

    monkeypatch.setattr(gpu_decoding, "_decode", unable)
    decoded, _ = pixels_of(folder, CPU)
    np.testing.assert_array_equal(decoded["grey"], exact["grey"])
    images = decode_jpegs([files["plain"], files["grey"], files["progressive"]], CPU)
    assert [image is None for image in images] == [False, True, False]


def test_memory_that_is_full_is_no_damaged_image(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> list[Tensor]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(gpu_decoding, "_decode", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        decode_jpegs([files["plain"]], CPU)


@pytest.mark.parametrize(
    "geometry", [Geometry(40, 32), Geometry(40, 40, "bicubic"), Geometry(20, 32), Geometry(33, 32)]
)
@pytest.mark.parametrize("size", [(50, 70), (70, 50), (40, 40), (33, 90), (17, 25), (400, 300)])
def test_resizing_and_cropping(geometry: Geometry, size: tuple[int, int]) -> None:
    image = smooth_noise(5, *size)
    expected = geometry(image).astype(int)
    resized = resize_crop(torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1), geometry)
    assert resized.shape == (geometry.crop, geometry.crop, 3)
    assert np.abs(resized.numpy() - expected).max() <= 1


def test_noise_is_an_images_own() -> None:
    pixels = torch.full((3, 64, 64, 3), 128, dtype=torch.uint8)
    noisy = add_noise(pixels, 0.1, [5, 6, 7])
    torch.testing.assert_close(noisy[1:2], add_noise(pixels[1:2], 0.1, [6]), rtol=0, atol=0)
    assert (noisy[0] != noisy[1]).any()
    spread = (noisy.float() - 128) / 255
    assert spread.std().item() == pytest.approx(0.1, rel=0.02)
    assert spread.mean().item() == pytest.approx(0, abs=0.002)


def test_what_the_workers_decode() -> None:
    files = ImageSet(root=Path(), paths=[], labels=np.zeros(0, np.int32))
    drawn = replace(files, read=lambda path: np.zeros((1, 1, 3), np.uint8))

    def able(images: ImageSet, geometry: Geometry, versions: tuple[str, ...] | None) -> bool:
        return GpuDecoder(images, geometry, versions, 0, CPU).able

    assert able(files, GEOMETRY, None)
    assert able(files, GEOMETRY, ("clean", "noise-0.1"))
    assert not able(files, GEOMETRY, ("clean", "grey"))
    assert not able(drawn, GEOMETRY, None)
    assert not able(files, GEOMETRY.whole, None)
    assert not able(files, Geometry(40, 32, "lanczos"), None)


@pytest.mark.slow
def test_a_run_on_a_gpu(
    network_file: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(store: str, **changes: object) -> tuple[Summary, Store]:
        facts: dict[str, Any] = {"passes": ("noise", "sensitivity"), "workers": 0, "batch_size": 16, "top": 4}
        models = parse_specs([f"Tiny={network_file}:build"])
        settings = Settings(models=models, images=str(image_folder), store=tmp_path / store, **(facts | changes))
        return precompute(settings, Silent()), open_store(tmp_path / store)

    _, exact = run("cpu.zarr", device="cpu")
    decode = gpu_decoding._decode
    monkeypatch.setattr(gpu_decoding, "_decode", lambda files, _: [image.to(CUDA) for image in decode(files, CPU)])
    with pretended_cuda():
        summary, store = run("gpu.zarr", device="cuda", precision="highest", decode="gpu")
    assert NOTE in summary.notes
    assert store.attributes["settings"]["decode"] == "gpu"
    for layer in exact.layers("Tiny"):
        for name in ("mean", "std", "tv", "color_sensitivity"):
            wanted = exact.metric("Tiny", layer, name)
            atol = 0.02 * np.nanmax(np.abs(wanted))
            np.testing.assert_allclose(store.metric("Tiny", layer, name), wanted, rtol=0, atol=atol, err_msg=name)
        noisy, wanted = (of.metric("Tiny", layer, "tv_noisy") for of in (store, exact))
        np.testing.assert_allclose(noisy, wanted, rtol=0, atol=0.05 * wanted.max())
        assert (noisy != wanted).any(), "the GPU draws other noise"


def test_without_a_gpu_there_is_one_line() -> None:
    check_decoding("exact", CPU)
    with pytest.raises(UsageError, match="--decode gpu needs an NVIDIA GPU: use --decode fast"):
        check_decoding("gpu", CPU)


def test_without_nvjpeg_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: object) -> list[Tensor]:
        raise RuntimeError("not compiled with nvJPEG support")

    monkeypatch.setattr(gpu_decoding, "_decode", unable)
    with pretended_cuda(), pytest.raises(UsageError, match="torchvision cannot decode on the GPU here"):
        check_decoding("gpu", Device(CUDA))
