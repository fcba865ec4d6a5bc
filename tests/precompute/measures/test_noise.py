"""Total variation on clean and on noisy images, against a plain loop."""

import numpy as np
import pytest

from shapebias.core.metrics import METRICS
from shapebias.core.units.table import load_units
from shapebias.precompute.statistics.variation import filter_smoothness
from tests.support.plain_run import LAYERS, MODELS, PlainRun, total_variation


@pytest.mark.parametrize("model", MODELS)
def test_clean_and_noisy_variation(plain_run: PlainRun, model: str) -> None:
    clean = plain_run.maps(model, plain_run.pixels)
    for std, suffix in ((0.1, ""), (0.2, "@0.2")):
        noisy = plain_run.maps(model, plain_run.distorted(f"noise-{std}"))
        for layer in LAYERS:
            tv, tv_noisy = total_variation(clean[layer]), total_variation(noisy[layer])
            stored = {
                name: plain_run.store.metric(model, layer, f"{name}{suffix}") for name in ("tv_noisy", "tv_shift")
            }
            np.testing.assert_allclose(plain_run.store.metric(model, layer, "tv"), tv, rtol=1e-4)
            np.testing.assert_allclose(stored["tv_noisy"], tv_noisy, rtol=1e-4)
            np.testing.assert_allclose(stored["tv_shift"], tv_noisy - tv, rtol=1e-3, atol=2e-4 * tv.max())
            assert (tv_noisy > 1.02 * tv).mean() > 0.5, "the noise is in it"


def test_smoothness_is_taken_over_all_images_together(plain_run: PlainRun) -> None:
    for layer, maps in plain_run.maps("Tiny", plain_run.pixels).items():
        bound = 4 * np.abs(maps).sum((2, 3)).mean(0)
        expected = np.where(bound > 0, 1 - total_variation(maps) / np.maximum(bound, 1e-9), 1)  # 1 for a dead unit
        np.testing.assert_allclose(plain_run.store.metric("Tiny", layer, "smoothness"), expected, rtol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_filter_smoothness_is_of_each_layers_convolution(plain_run: PlainRun, model: str) -> None:
    for layer in LAYERS:
        weights = getattr(plain_run.networks[model], layer)[0].weight.detach().numpy()
        expected = filter_smoothness(weights)
        np.testing.assert_allclose(plain_run.store.metric(model, layer, "filter_smoothness"), expected, rtol=1e-6)
    first = plain_run.networks[model].block1[0].weight.detach().numpy()
    np.testing.assert_array_equal(plain_run.store.read(f"models/{model}/filters"), first)


def test_every_strength_is_a_column_with_its_formula(plain_run: PlainRun) -> None:
    names = [name for name in load_units(plain_run.store).columns if name.startswith("tv")]
    assert names == ["tv", "tv_noisy", "tv_noisy@0.2", "tv_shift", "tv_shift@0.2"]
    assert METRICS["tv_noisy@0.2"].formula.endswith("0.2 here")
    assert "0.1" in METRICS["tv_noisy"].formula
