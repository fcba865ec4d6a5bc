"""Decodes, resizes and crops JPEGs on a GPU; worker processes read the files, and decode all other images."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from shapebias.core.errors import UsageError
from shapebias.precompute.device import Device
from shapebias.precompute.images.distort import parse_distortion, random_seed
from shapebias.precompute.images.geometry import Geometry, ImageError
from shapebias.precompute.images.image_set import ImageSet, Skipped
from shapebias.precompute.images.loader import Batch, Loader
from shapebias.precompute.images.versions import CLEAN
from shapebias.precompute.images.worker import Pixels
from shapebias.precompute.memory import is_out_of_memory
from shapebias.precompute.scanning.jpeg_files import JpegsUndecoded, plain_jpeg_size
from shapebias.precompute.scanning.upload import DeviceBatch
from shapebias.precompute.settings import GPU, NO_GPU_DECODING

_NOISE = "noise"
_INTERPOLATIONS = ("bilinear", "bicubic")

NOTE = (
    "--decode gpu: the GPU decoded plain JPEGs, unchanged and with noise; "
    "the CPU all other images, and those of further passes"
)


def check_decoding(decode: str, device: Device) -> None:
    """Raise UsageError where images are to be decoded on a GPU and `device` is none."""
    if decode != GPU:
        return
    if not device.is_cuda:
        raise UsageError(NO_GPU_DECODING)
    grey = io.BytesIO()
    Image.new("RGB", (8, 8), "grey").save(grey, "JPEG")
    if decode_jpegs([grey.getvalue()], device) == [None]:
        raise UsageError("--decode gpu: torchvision cannot decode on the GPU here: use --decode fast")


@dataclass(frozen=True)
class GpuDecoder:
    """Decodes the plain JPEGs of an image set on a device, in a geometry and in versions: unchanged, or with noise.

    The pixels differ from those of the CPU: GPUs enlarge a JPEG's colours in another way, weights are not rounded to 22
    bits, and noise is drawn by the device, from the same seeds.
    """

    image_set: ImageSet
    geometry: Geometry
    versions: tuple[str, ...] | None
    seed: int
    device: Device

    @property
    def able(self) -> bool:
        """Whether it can do what it is asked for; if not, workers decode."""
        changes = [parse_distortion(name).kind for name in self.versions or () if name != CLEAN]
        usual = type(self.geometry) is Geometry and self.geometry.interpolation in _INTERPOLATIONS
        return self.image_set.read is None and usual and set(changes) <= {_NOISE}

    @property
    def job(self) -> Callable[[bytes], Pixels | bytes]:
        """The function that workers run for each image."""
        return JpegsUndecoded(self.image_set.decoder(self.geometry), self.geometry)

    def batches(self, loader: Loader) -> Iterator[DeviceBatch]:
        """Yield a loader's batches, decoded; what cannot be decoded is added to the images that the loader skipped."""
        for batch in loader:
            images = self._images(batch, loader.skipped)
            kept = [index for index, image in enumerate(images) if image is not None]
            if kept:
                clean = torch.stack([image for image in images if image is not None])
                positions = batch.positions[kept]
                yield DeviceBatch(positions, batch.pixels[:0], None, sent=self._with_versions(clean, positions))

    def _images(self, batch: Batch, skipped: list[Skipped]) -> list[Tensor | None]:
        """Return the images of a batch, uint8 [crop, crop, 3] on the device; None for those that are damaged."""
        encoded = [index for index, file in enumerate(batch.files) if file]
        decoded = dict(zip(encoded, decode_jpegs([batch.files[index] for index in encoded], self.device), strict=True))
        images: list[Tensor | None] = []
        for index, position in enumerate(batch.positions.tolist()):
            image = decoded.get(index)
            if image is not None:
                images.append(resize_crop(image, self.geometry))
            elif not batch.files[index]:
                images.append(self.device.upload(batch.pixels[index]))
            else:
                images.append(self._by_the_cpu(position, skipped))
        return images

    def _by_the_cpu(self, position: int, skipped: list[Skipped]) -> Tensor | None:
        """Return an image that the device cannot decode; None where the CPU cannot either."""
        try:
            return self.device.upload(self.image_set.decoder(self.geometry)(self.image_set.address(position)).copy())
        except ImageError as error:
            skipped.append(Skipped(self.image_set.paths[position], str(error)))
            return None

    def _with_versions(self, clean: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return images uint8 [B, H, W, 3] in all versions, [B, versions, H, W, 3], each version in one piece."""
        if self.versions is None:
            return clean
        paths = [self.image_set.paths[position] for position in positions.tolist()]
        return torch.stack([self._version(name, clean, paths) for name in self.versions]).transpose(0, 1)

    def _version(self, name: str, clean: Tensor, paths: Sequence[bytes]) -> Tensor:
        if name == CLEAN:
            return clean
        distortion = parse_distortion(name)
        seeds = [random_seed(path, self.seed, distortion.kind) for path in paths]
        return add_noise(clean, distortion.strength, seeds)


def decode_jpegs(files: Sequence[bytes], device: Device) -> list[Tensor | None]:
    """Return the pixels of JPEG files, uint8 [3, H, W], on a device; None where it cannot decode one."""
    try:
        return list(_decode(files, device))
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        return [None] if len(files) == 1 else [decode_jpegs([file], device)[0] for file in files]


def _decode(files: Sequence[bytes], device: Device) -> list[Tensor]:
    """Return the pixels of JPEG files; raise RuntimeError where one cannot be decoded."""
    if not files:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bytes are read-only; torchvision's decoders are to move to TorchCodec
        from torchvision.io import ImageReadMode, decode_jpeg

        encoded = [torch.frombuffer(file, dtype=torch.uint8) for file in files]
        decoded: list[Tensor] = decode_jpeg(encoded, mode=ImageReadMode.RGB, device=device.device)
    sizes = [plain_jpeg_size(file) for file in files]
    if any(size != (image.shape[2], image.shape[1]) for size, image in zip(sizes, decoded, strict=True)):
        raise RuntimeError("an image has another size than its header says")
    return decoded


def resize_crop(image: Tensor, geometry: Geometry) -> Tensor:
    """Return an image uint8 [3, H, W] in a geometry, uint8 [crop, crop, 3]; black where the image is smaller.

    Antialiased, and at most 1 of 255 from what the CPU gives, where sums are rounded differently.
    """
    size = (image.shape[2], image.shape[1])
    (width, height), (left, top) = geometry.placement(size)
    for shape in ((size[1], width), (height, width)):  # along rows, then along columns, as Pillow does
        if shape != image.shape[1:]:
            images, mode = image[None].float(), geometry.interpolation
            resized = F.interpolate(images, shape, mode=mode, antialias=True, align_corners=False)
            image = resized[0].round_().clamp_(0, 255).byte()
    crop = geometry.crop
    if min(left, top) < 0:
        right, bottom = crop - width - max(-left, 0), crop - height - max(-top, 0)
        image = F.pad(image, (max(-left, 0), max(right, 0), max(-top, 0), max(bottom, 0)))
    left, top = max(left, 0), max(top, 0)
    return image[:, top : top + crop, left : left + crop].permute(1, 2, 0).contiguous()


def add_noise(pixels: Tensor, strength: float, seeds: Sequence[int]) -> Tensor:
    """Return images uint8 [B, H, W, 3] with Gaussian noise, drawn by their device from a seed for each image.

    Its standard deviation is `strength` for pixels in [0, 1].
    """
    generator = torch.Generator(pixels.device)
    noisy = torch.empty(pixels.shape, device=pixels.device)
    for image, seed in zip(noisy, seeds, strict=True):
        image.normal_(generator=generator.manual_seed(seed))
    return noisy.mul_(255 * strength).add_(pixels).clamp_(0, 255).round_().byte()
