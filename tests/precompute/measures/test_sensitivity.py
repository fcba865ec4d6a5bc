"""The activation that units lose when their top images are changed, against a plain loop."""

import numpy as np
import pytest

from shapebias.precompute.images.image_set import image_keys
from shapebias.precompute.measures.sensitivity import _loss
from tests.support.plain_run import LAYERS, MODELS, SEED, PlainRun

CHANGES = {
    "color_sensitivity": "grey",
    "shape_sensitivity": "shuffle-4",
    "noise_sensitivity": "noise-0.1",
    "control_sensitivity": "mirror-8",
}


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("metric", CHANGES)
def test_sensitivities(plain_run: PlainRun, model: str, metric: str) -> None:
    keys = image_keys([str(file.relative_to(plain_run.images)).encode() for file in plain_run.files], SEED)
    clean = plain_run.maps(model, plain_run.pixels)
    changed = plain_run.maps(model, plain_run.distorted(CHANGES[metric]))
    for layer in LAYERS:
        before, after = clean[layer].max((2, 3)), changed[layer].max((2, 3))
        average = clean[layer].mean((2, 3)).astype(np.float32)
        columns = zip(average.T, before.T, strict=True)
        top = np.stack([np.lexsort((keys, -mean, -largest))[:6] for mean, largest in columns], 1)
        mean_before, mean_after = (np.take_along_axis(activations, top, 0).mean(0) for activations in (before, after))
        expected = np.where(mean_before > 0, 1 - mean_after / np.where(mean_before > 0, mean_before, 1), np.nan)
        stored = plain_run.store.metric(model, layer, metric)
        np.testing.assert_allclose(stored, expected, rtol=1e-3, atol=1e-4)
        assert np.nanstd(stored) > 0.01


@pytest.mark.parametrize("kind", ["color", "shape", "noise"])
def test_the_excess_is_over_the_control(plain_run: PlainRun, kind: str) -> None:
    for layer in LAYERS:
        excess, raw, control = (
            plain_run.store.metric("Tiny", layer, f"{name}").astype(float)
            for name in (f"{kind}_excess", f"{kind}_sensitivity", "control_sensitivity")
        )
        np.testing.assert_allclose(excess, raw - control, atol=1e-6)


def test_units_without_a_positive_activation_have_none() -> None:
    values = np.array([[2, 1], [0, 0], [-1, -3], [3, -1]], np.float32)
    np.testing.assert_array_equal(_loss(np.array([0.0, 0, 1, 4]), values), np.float32([1, np.nan, np.nan, -1]))
