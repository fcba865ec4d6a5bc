"""Measuring in this process: with less memory than the batches need, too."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings

HUNGRY = """
class Hungry(torch.nn.Module):
    def __init__(self, most):
        super().__init__()
        self.most, self.inner = most, build()

    def forward(self, x):
        if len(x) > self.most and len(x) != 2:  # two are a try whether it works at all
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 EiB")
        return self.inner(x)

def hungry():
    return Hungry(5)

def starving():
    return Hungry(0)
"""


@pytest.fixture
def hungry(network_file: Path, tmp_path: Path) -> Path:
    code = tmp_path / "hungry.py"
    code.write_text(network_file.read_text() + HUNGRY)
    return code


def settings_of(images: Path, store: Path, spec: str, **changes: object) -> Settings:
    facts: dict[str, object] = {"top": 6, "device": "cpu", "workers": 0, "batch_size": 16, "layers": "inner.block1"}
    return Settings(models=parse_specs([spec]), images=str(images), store=store, **(facts | changes))  # type: ignore[arg-type]


@pytest.mark.slow
def test_batches_are_halved_until_they_fit(hungry: Path, image_folder: Path, tmp_path: Path) -> None:
    summary = precompute(
        settings_of(image_folder, tmp_path / "a.zarr", f"A={hungry}:hungry", shard_size=32, passes=("sensitivity",)),
        Silent(),
    )
    assert summary.images == 50
    assert summary.notes == [
        "not enough memory for 16 images at once: went on with 8",
        "not enough memory for 8 images at once: went on with 4",
    ]
    assert "went on with 4" in summary.text()
    precompute(settings_of(image_folder, tmp_path / "b.zarr", f"A={hungry}:hungry", batch_size=4), Silent())
    spread, plain = open_store(tmp_path / "a.zarr"), open_store(tmp_path / "b.zarr")
    layer = next(iter(plain.layers("A")))
    np.testing.assert_array_equal(spread.top_lists("A", layer, "image"), plain.top_lists("A", layer, "image"))
    np.testing.assert_allclose(spread.metric("A", layer, "std"), plain.metric("A", layer, "std"), rtol=1e-6)


def test_one_image_that_does_not_fit_is_one_line(hungry: Path, image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ShapebiasError, match="A does not fit into the memory of CPU"):
        precompute(settings_of(image_folder, tmp_path / "a.zarr", f"A={hungry}:starving", batch_size=1), Silent())
    assert not (tmp_path / "a.zarr").exists()


def test_shards_and_workers_change_nothing(make_store: Callable[..., Path], tmp_path: Path) -> None:
    """The sums are exact here, so top images and stored values must be equal."""
    one = open_store(make_store(tmp_path / "one.zarr", shard_size=1000))
    many = open_store(make_store(tmp_path / "many.zarr", shard_size=16, workers=2))
    for layer in one.layers("Tiny"):
        for name in ("value", "image", "position"):
            np.testing.assert_array_equal(
                one.top_lists("Tiny", layer, name), many.top_lists("Tiny", layer, name), strict=True
            )
        for metric in one.metric_names("Tiny", layer):
            np.testing.assert_allclose(
                one.metric("Tiny", layer, metric), many.metric("Tiny", layer, metric), rtol=1e-5, atol=1e-7
            )
        for kind in ("max", "mean"):
            np.testing.assert_array_equal(
                one.activations("Tiny", layer, kind)[:], many.activations("Tiny", layer, kind)[:]
            )


@pytest.mark.parametrize("kinds", ["none", "max"])
def test_less_is_stored_of_each_image_on_request(
    make_store: Callable[..., Path], small_store: Path, tmp_path: Path, kinds: str
) -> None:
    store, whole = open_store(make_store(tmp_path / "a.zarr", activations=kinds)), open_store(small_store)
    for layer in whole.layers("Tiny"):
        kept = [store.layer_has("Tiny", layer, f"activations/{kind}") for kind in ("max", "mean")]
        assert kept == [kinds == "max", False]
        assert store.metric_names("Tiny", layer) == whole.metric_names("Tiny", layer)
        for metric in whole.metric_names("Tiny", layer):
            np.testing.assert_array_equal(store.metric("Tiny", layer, metric), whole.metric("Tiny", layer, metric))
