"""Published data sets by name, such as `cifar10:test`: downloaded once and kept as tar files in the user's cache."""

import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import cache_folder, cannot_write
from shapebias.core.text import printable
from shapebias.precompute.images.sources.cifar import cifar_images
from shapebias.precompute.images.sources.download import check_md5, download, file_md5
from shapebias.precompute.progress import Reporter

Images = Iterator[tuple[str, str, bytes]]  # split, path CLASS/FILE, content of the image file


@dataclass(frozen=True, kw_only=True)
class PublishedImages:
    """A data set on a server: its archive's URL and MD5, its splits, and a function that reads the archive's images."""

    url: str
    md5: str
    splits: tuple[str, ...]
    images: Callable[[tarfile.TarFile], Images]

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return self.url.rpartition("/")[2]


def _imagenette_images(archive: tarfile.TarFile) -> Images:
    """Yield split, path CLASS/FILE and content of each image of an archive with files SET/SPLIT/CLASS/FILE."""
    for member in archive:
        _, _, inside = member.name.removeprefix("./").partition("/")
        split, _, path = inside.partition("/")
        file = archive.extractfile(member) if member.isreg() and path.count("/") == 1 else None
        if file is not None:
            yield split, path, file.read()


_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_IMAGENETTE = "https://s3.amazonaws.com/fast-ai-imageclas/"
SETS = {
    "cifar10": PublishedImages(
        url=f"{_CIFAR}cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        splits=("train", "test"),
        images=cifar_images,
    ),
    "cifar100": PublishedImages(
        url=f"{_CIFAR}cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        splits=("train", "test"),
        images=cifar_images,
    ),
    "imagenette": PublishedImages(
        url=f"{_IMAGENETTE}imagenette2.tgz",
        md5="fe2fc210e6bb7c5664d602c3cd71e612",
        splits=("train", "val"),
        images=_imagenette_images,
    ),
}


def is_published(text: str) -> bool:
    """Return whether a text is NAME:SPLIT with the name of a published set; the split need not exist."""
    return text.partition(":")[0] in SETS and ":" in text


def published_tar(text: str, progress: Reporter) -> Path:
    """Return a tar file of the images of NAME:SPLIT in class folders; at first use it is downloaded and made.

    Raises UsageError for a split that does not exist, ShapebiasError where the set cannot be fetched or kept.
    """
    name, _, split = text.partition(":")
    published = SETS[name]
    if split not in published.splits:
        known = " and ".join(f"{name}:{known}" for known in published.splits)
        raise UsageError(f"no images {printable(text)}: there are {known}")
    folder = cache_folder() / "images"
    path = folder / f"{name}-{split}.tar"
    if not path.exists():
        _fetch(name, published, folder, progress)
    return path


def _fetch(name: str, published: PublishedImages, folder: Path, progress: Reporter) -> None:
    """Make the tar files of all splits of a set in `folder`.

    The archive is downloaded, unless the user put it there. Raises ShapebiasError where it cannot be fetched, is
    another file than was published, or the tar files cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        workplace = tempfile.TemporaryDirectory(prefix=".", dir=folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    with workplace as made:
        archive = folder / published.archive
        if archive.exists():
            check_md5(file_md5(archive), published.md5, str(archive))
        else:
            downloaded = Path(made) / published.archive
            try:
                download(published.url, downloaded, md5=published.md5, title=name, progress=progress)
            except ShapebiasError as error:
                raise ShapebiasError(
                    f"{name} could not be downloaded: {error}; fetch it elsewhere and put it at "
                    f"{printable(str(archive))}, or name a folder or tar file of its images"
                ) from error
            archive = downloaded
        progress.stage(f"unpacking {name}")
        try:
            _unpack(archive, name, published, Path(made))
            for split in published.splits:
                _tar(Path(made), name, split).replace(_tar(folder, name, split))
        except OSError as error:
            raise cannot_write(folder, error) from error


def _tar(folder: Path, name: str, split: str) -> Path:
    return folder / f"{name}-{split}.tar"


def _unpack(archive: Path, name: str, published: PublishedImages, folder: Path) -> None:
    """Write a tar file for each split of the set in `archive` into `folder`. Raises OSError and the reader's errors."""
    with ExitStack() as files:
        tars = {split: files.enter_context(tarfile.open(_tar(folder, name, split), "w")) for split in published.splits}
        content = files.enter_context(tarfile.open(archive))
        for split, path, image in published.images(content):
            if split in tars:
                member = tarfile.TarInfo(path)
                member.size = len(image)
                tars[split].addfile(member, io.BytesIO(image))
