"""Characters stand for pictures in terminals without graphics."""

from pathlib import Path

import numpy as np

from shapebias.core.pictures.tiles import AttributionMaps, Photo
from shapebias.core.store.opening import open_store
from shapebias.tui.pictures.as_text import subject_text
from tests.support.attribution_store import IMAGES


def test_attribution_maps_side_by_side(attributed_store: Path) -> None:
    store = open_store(attributed_store)
    attribution = store.attribution("Tiny")
    assert attribution is not None
    photos = (Photo("Tiny", IMAGES[1]), Photo("Tiny", 1), Photo("Tiny", IMAGES[1]))
    text = subject_text(store, AttributionMaps("grad-cam", False, photos), 3 * 10, 9, 24).plain.splitlines()
    values = attribution.map("grad-cam", 1)
    assert values is not None
    heat = np.clip((values - values.min()) / np.quantile(values - values.min(), 0.99), 0, 1)
    expected = ["".join(2 * "·░▒▓█"[0 if one < 1 / 8 else int(np.ceil(4 * one))] for one in row) for row in heat]
    assert [line[:8] for line in text] == expected, "a 4 x 4 map"
    assert [line[8:20].strip() for line in text] == [""] * 4, "of that image there is none"
    assert [line[20:28] for line in text] == expected
