"""A store of two tiny networks with every pass, and all that it was made of; `PlainRun` computes the same plainly."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapebias.precompute.attacks.attack import parse_attack
from shapebias.precompute.models.spec import parse_specs
from tests.support.plain_run import ATTRIBUTION, SEED, PlainRun

DECIDING = """
def centred(noise):
    '''Decides for many classes: its mean scores over smooth pictures are 0.'''
    network = build().eval()
    pictures = torch.nn.functional.interpolate(torch.randn(64, 3, 5, 5), 32, mode="bicubic")
    with torch.no_grad():
        network.head.weight += noise * torch.randn(10, 33)
        network.head.bias.zero_()
        network.head.bias -= network(pictures).mean(0)
    return network

def tiny():
    return centred(0)

def other():
    return centred(0.02)
"""
CATEGORIES = {"cat": [0, 1, 2], "dog": [7, 4], "elephant": [3, 5, 6, 8]}
DISTORTIONS = ("silhouette", "shuffle-2", "grey", "noise", "low-pass", "jpeg-20")


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((40, 40), Image.Resampling.BICUBIC)


def _probe_images(run: PlainRun) -> None:
    """40 pictures; of each class one, the others in the folder of the class that Tiny takes them for."""
    pictures = [picture(seed) for seed in range(40)]
    pixels = np.stack([np.asarray(image)[4:36, 4:36] for image in pictures])
    decided = run.scores("Tiny", pixels).argmax(1)
    for number, image in enumerate(pictures):
        folder = run.images / f"class{decided[number] if number % 4 else number // 4}"
        folder.mkdir(parents=True, exist_ok=True)
        if number % 4 == 3:  # with a transparent ground: a silhouette
            image.putalpha(Image.fromarray((np.indices((40, 40)).sum(0) > 30 + number) * np.uint8(255)))
        image.save(folder / f"{number:02}.png")


def _variants(run: PlainRun) -> None:
    """As ImageNet-C: a corruption, a severity, then the classes; of one class the network knows nothing."""
    seed = 100
    for condition in ("fog/1", "fog/3", "snow/2"):
        for name in ("class0", "class3", "class7", "class99"):
            (run.variant / condition / name).mkdir(parents=True)
            for number in range(5):
                picture(seed).save(run.variant / condition / name / f"{number}.png")
                seed += 1
    (run.variant / "snow/2/class0/broken.png").write_bytes(b"")


def _stylized(run: PlainRun) -> None:
    """Write a stylised JPEG of every third image, and one that belongs to no image."""
    for number, path in enumerate(sorted(run.images.glob("*/*.png"))):
        if number % 3 == 0:
            (run.stylized / path.parent.name).mkdir(parents=True, exist_ok=True)
            picture(200 + number).save(run.stylized / path.parent.name / f"{path.stem}.jpg")
    picture(0).save(run.stylized / "class0" / "other.jpg")


def _cue_conflict(run: PlainRun) -> None:
    names = list(CATEGORIES)
    for number in range(18):
        shape, texture = names[number % 3], names[(number % 3 + 1 + number % 2) % 3]
        (run.conflict / shape).mkdir(parents=True, exist_ok=True)
        picture(300 + number).save(run.conflict / shape / f"{shape}{number}-{texture}1.png")
    picture(0).save(run.conflict / "cat/cat90-cat1.png")
    picture(0).save(run.conflict / "cat/a photo.png")
    (run.conflict / "dog/dog91-cat1.png").write_bytes(b"")
    run.categories.write_text(json.dumps(CATEGORIES))


def _sets(run: PlainRun) -> None:
    """As model-vs-human's: `edge` in folders of the categories, `contrast` in a session, names saying conditions."""
    for number, name in enumerate(list(CATEGORIES) * 3):
        (run.ood / "edge" / name).mkdir(parents=True, exist_ok=True)
        picture(400 + number).save(run.ood / "edge" / name / f"{name}{number}.png")
    (run.ood / "edge/zoo").mkdir()
    picture(0).save(run.ood / "edge/zoo/zebra1.png")
    session = run.ood / "contrast/dnn/session-3"
    session.mkdir(parents=True)
    for number, name in enumerate(list(CATEGORIES) * 6):
        condition = ("c100", "c50", "c05")[number // 6]
        picture(500 + number).save(session / f"{number:04}_ctr_dnn_{condition}_{name}_10_n0123_{number}.png")
    (session / "0099_ctr_dnn_c05_cat_10_n0123_99.png").write_bytes(b"")


@pytest.fixture(scope="session")
def plain_run(
    network_file: Path, make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> PlainRun:
    """The store is at `plain_run.path`, with two networks, Tiny and Other."""
    root = tmp_path_factory.mktemp("passes")
    code = root / "net.py"
    shutil.copy(network_file, code)
    code.write_text(code.read_text() + DECIDING)
    run = PlainRun(root, code)
    for make in (_probe_images, _variants, _stylized, _cue_conflict, _sets):
        make(run)
    make_store(
        run.path,
        models=parse_specs([f"Tiny={code}:tiny", f"Other={code}:other"]),
        images=str(run.images),
        passes=("noise", "sensitivity", "distortions", "attribution"),
        noise_std=(0.2, 0.1),
        distortions=DISTORTIONS,
        variants=(("C", str(run.variant)),),
        stylized=str(run.stylized),
        attacks=tuple(map(parse_attack, ("l2:0.2", "linf:0.002", "l2:0.05"))),
        cue_conflict=str(run.conflict),
        ood=tuple((name, str(run.ood / name)) for name in ("edge", "contrast")),
        categories=run.categories,
        attribution=ATTRIBUTION,
        attribution_images=20,
        attribution_steps=6,
        seed=SEED,
    )
    return run
