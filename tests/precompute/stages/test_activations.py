"""The first stage's notes on the images: black ones, files left out, and the rule that gave them labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapebias.core.analysis.describe import store_facts
from shapebias.core.store.opening import open_store

pytestmark = pytest.mark.slow


def test_what_is_told_of_images_is_in_the_store(make_store: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"images/c{number}").mkdir(parents=True)
        brightest = 15 if number == 3 else 16
        Image.fromarray(np.full((40, 40, 3), brightest, np.uint8)).save(tmp_path / f"images/c{number}/a.png")
    (tmp_path / "images/c1/b.heic").touch()
    notes = store_facts(open_store(make_store(tmp_path / "a.zarr", images=str(tmp_path / "images"))))["notes"]
    assert notes == [
        "files left out: 1 .heic (pillow-heif reads them)",
        "1 image comes out black, no pixel brighter than 15 of 255, such as c3/a.png",
        "Tiny: classes in the order of their names",
    ]
