"""The built-in images as ordinary image folders."""

import os
import tempfile
from collections import Counter
from pathlib import Path

from PIL import Image

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.images.builtin.broden_export import write_broden
from shapebias.precompute.images.builtin.drawing import SHAPES, SPLITS, TEXTURES, builtin_set, draw, parse_path
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.progress import Reporter


def export_builtin(
    folder: Path, split: str, count: int | None, seed: int, progress: Reporter, *, broden: bool = False
) -> dict[Path, int]:
    """Write the images of splits into sub-folders of `folder`; return the number of images by sub-folder.

    split:   the name of one split, or "all"
    count:   the number of images of each split; None: the split's own number
    seed:    the seed that the images are drawn with
    broden:  whether each sub-folder has Broden's layout, with the annotation

    The folder stays empty until everything is written. Otherwise than in Broden's layout, the images of `cue-conflict`
    are named as the public cue-conflict stimuli are, such as `circle/circle12-dots3.png`: the shape's 12th and the
    texture's 3rd image. Raises `UsageError` for a folder that is not empty, an unknown split and a bad count or seed,
    `ShapebiasError` where something cannot be written.
    """
    names = list(SPLITS) if split == "all" else [split]
    sets = {name: builtin_set(name, count, seed) for name in names}
    target = folder.resolve()
    try:
        _check_empty(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            new = Path(scratch) / "images"
            for name, image_set in sets.items():
                progress.stage(name, len(image_set))
                if broden:
                    write_broden(image_set, new / name, progress)
                else:
                    _write(image_set, new / name, name == "cue-conflict", progress)
            new.rename(target)  # fails if there is something in it by now
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else "unknown error"
        raise ShapebiasError(f"cannot write images to {printable(str(folder))}: {reason}") from error
    return {folder / name: len(image_set) for name, image_set in sets.items()}


def _check_empty(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{printable(str(folder))} is not empty: name a new folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{printable(str(folder))} is a file: name a new folder")


def _write(image_set: ImageSet, folder: Path, is_cue_conflict: bool, progress: Reporter) -> None:
    names = _stimulus_names(image_set) if is_cue_conflict else [path.decode() for path in image_set.paths]
    for shape in sorted({name.partition("/")[0] for name in names}):
        (folder / shape).mkdir(parents=True)
    for path, name in zip(image_set.paths, names, strict=True):
        Image.fromarray(draw(*parse_path(path)).pixels).save(folder / name)
        progress.advance(1)


def _stimulus_names(image_set: ImageSet) -> list[str]:
    """Return for every image its path by the names of its shape and its texture, as of the public stimuli.

    Each of the two names is followed by how many of the images up to this one have that shape or texture.
    """
    shapes: Counter[int] = Counter()
    textures: Counter[int] = Counter()
    names = []
    for shape, texture, _ in map(parse_path, image_set.paths):
        shapes[shape] += 1
        textures[texture] += 1
        name, other = SHAPES[shape], TEXTURES[texture]
        names.append(f"{name}/{name}{shapes[shape]}-{other}{textures[texture]}.png")
    return names
