"""Accuracy on ready-made variants of the images, and how they are found."""

import errno
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.analysis.accuracy import accuracies
from shapebias.core.errors import UsageError
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.images.sources.variants import find_variants, pair_by_name, parse_variant
from tests.support.plain_run import MODELS, PlainRun, pixels


@pytest.mark.parametrize("model", MODELS)
def test_corruptions_and_severities(plain_run: PlainRun, model: str) -> None:
    """A class that the probe images do not have counts for nothing, nor does a broken image."""
    measured = {
        accuracy.condition: accuracy
        for accuracy in accuracies(plain_run.store)
        if accuracy.kind == "variant" and accuracy.model == model
    }
    assert list(measured) == ["C/fog/1", "C/fog/3", "C/snow/2"]
    for name, variant in measured.items():
        files = sorted((plain_run.variant / name.removeprefix("C/")).glob("class?/[0-9]*.png"))
        labels = np.array([int(file.parent.name[-1]) for file in files])
        decided = plain_run.decided(model, pixels(files))
        assert (variant.accuracy, variant.images) == ((decided == labels).mean(), 15)
    facts = plain_run.store.models[model].variants
    assert [(fact["images"], fact["labelled"], fact["skipped"]) for fact in facts] == [(20, 15, 0)] * 2 + [(20, 15, 1)]


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")
    return root


def files_of_variants(root: Path, *classes: str) -> dict[str, list[bytes]]:
    return {name: images.paths for name, images in find_variants("N", root, list(classes))}


def test_a_folder_of_classes_is_one_variant(tmp_path: Path) -> None:
    root = make(tmp_path, "cat/a.png", "dog/b.png", "other/c.png")
    assert files_of_variants(root, "cat", "dog") == {"N": [b"cat/a.png", b"dog/b.png", b"other/c.png"]}


def test_folders_of_folders_are_searched_three_deep(tmp_path: Path) -> None:
    root = make(
        tmp_path, "a/fog/1/cat/a.png", "b/cat/b.png", ".hidden/cat/c.png", "w/x/y/z/cat/d.png", "readme/notes.png"
    )
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    assert files_of_variants(root, "cat") == {"N/a/fog/1": [b"cat/a.png"], "N/b": [b"cat/b.png"]}


def test_a_folder_that_cannot_be_listed_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path, "b/cat/b.png", "locked/cat/a.png")
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder == root / "locked/cat":
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert files_of_variants(root, "cat") == {"N/b": [b"cat/b.png"]}


def test_folders_of_other_classes_are_none(tmp_path: Path) -> None:
    root = make(tmp_path, "cat/a.png")
    for folder in (root, root / "none"):
        with pytest.raises(UsageError, match="no folders of the probe images' classes"):
            files_of_variants(folder, "dog")


def test_names_and_folders() -> None:
    assert parse_variant("sketch=a=b/c") == ("sketch", "a=b/c")
    for text in ("sketch", "=dir", "sketch=", "", "a\x1b=dir", "n" * 61 + "=dir"):
        with pytest.raises(UsageError, match="NAME=DIR"):
            parse_variant(text)


def listing(*paths: bytes) -> ImageSet:
    return ImageSet(
        root=Path("root"), paths=list(paths), labels=np.zeros(len(paths), np.int32), class_ids=["a"], class_names=["a"]
    )


def test_pairs_have_a_class_folder_and_a_stem_in_common() -> None:
    probe = listing(b"cat/1.png", b"cat/2.png", b"dog/1.png", b"dog/\xff.jpg", b"cat/3.v2.png")
    other = listing(b"style/dog/\xff.png", b"style/cat/2.jpeg", b"cat/1.webp", b"bird/1.png", b"cat/3.png")
    rows, positions = pair_by_name(probe, np.arange(5), other)
    assert list(zip(rows.tolist(), positions.tolist(), strict=True)) == [(0, 2), (1, 1), (3, 0)]
    rows, positions = pair_by_name(probe, np.array([1, 3]), other)
    assert (rows.tolist(), positions.tolist()) == ([0, 1], [1, 0])
    with pytest.raises(UsageError, match="no image in root is named as a probe image is"):
        pair_by_name(probe, np.array([2]), other)
