"""Three hundred damaged and lying images among good ones: each is used or named, and none stops the run."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings

COUNT = 300
FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp"}


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 4, 32))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def header_flipped(content: bytes, rng: random.Random) -> bytes:
    return flipped(content[:64], rng) + content[64:]


def disguised(content: bytes, rng: random.Random) -> bytes:
    """Return the file with the magic number of another format."""
    magic = rng.choice((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0+", b"RIFF"))
    return magic + content[len(magic) :]


def holed(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content)), rng.randrange(1, 200)
    return content[:start] + rng.choice((b"\0", b"\xff")) * length + content[start + length :]


def giant(content: bytes, rng: random.Random) -> bytes:
    """A header that says it is huge; where a checksum guards it, with the right one."""
    width, height = rng.choice(((2_000, 2_000), (60_000, 60_000), (1, 65_000), (65_000, 3), (0, 9)))
    if content.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    if content.startswith(b"\xff\xd8"):
        start = content.index(b"\xff\xc0") + 5
        return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]
    if content.startswith(b"GIF"):
        return content[:6] + struct.pack("<HH", width, height) + content[10:]
    if content.startswith(b"BM"):
        return content[:18] + struct.pack("<ii", width, height) + content[26:]
    if content.startswith(b"RIFF"):
        return content[:26] + struct.pack("<HH", min(width, 0x3FFF), min(height, 0x3FFF)) + content[30:]
    return content.replace(struct.pack("<HHII", 256, 3, 1, 40), struct.pack("<HHII", 256, 4, 1, width))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (cut, flipped, header_flipped, disguised, holed, giant)


@pytest.fixture
def hostile_folder(image_folder: Path, tmp_path: Path) -> Path:
    """Every mutation of every format, again and again, and the three good images that they were made of."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = random.Random(0)
    originals = sorted((image_folder / "class3").iterdir())[:3]
    for number, path in enumerate(originals):
        (folder / f"good{number}{path.suffix}").write_bytes(path.read_bytes())
    for number in range(COUNT):
        form = list(FORMATS)[number % len(FORMATS)]
        buffer = io.BytesIO()
        Image.open(rng.choice(originals)).convert("RGB").resize((40, 30)).save(buffer, form)
        mutate = MUTATIONS[number // len(FORMATS) % len(MUTATIONS)]
        (folder / f"{number:03}.{FORMATS[form]}").write_bytes(mutate(buffer.getvalue(), rng))
    return folder


def test_every_hostile_image_is_used_or_named(
    hostile_folder: Path, network_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    summary = precompute(
        Settings(
            models=parse_specs([f"Tiny={network_file}:build"]),
            images=str(hostile_folder),
            store=tmp_path / "a.zarr",
            layers="block1",
            device="cpu",
            workers=1,
        ),
        Silent(),
    )
    store = open_store(tmp_path / "a.zarr")
    used, skipped = set(store.image_paths), {image.path: image.reason for image in summary.skipped}
    assert used | skipped.keys() == {path.name.encode() for path in hostile_folder.iterdir()}
    assert not used & skipped.keys()
    assert {b"good0.png", b"good1.jpg", b"good2.png"} <= used
    assert 100 < len(skipped) < COUNT
    reasons = set(skipped.values())
    assert {"truncated", "damaged", "more than 179 megapixels"} <= reasons
    assert all(reason.isprintable() for reason in reasons)
    assert "the decoder crashed on it" not in reasons
    assert capfd.readouterr() == ("", "")
