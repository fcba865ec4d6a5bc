"""The notes of `info` about activations that float16 cannot hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from shapebias.core.analysis.describe import store_facts, store_text
from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_spec

FAINT = """

def faint():
    network = build()
    with torch.no_grad():
        network.block1[1].weight *= 1e-6
        network.block1[1].bias *= 1e-6
        network.block1[1].running_mean.zero_()
        network.block1[1].weight[3] = 1e-9
        network.block1[1].bias[3] = 1e-9
        network.block1[1].weight[5] = 1
    return network
"""


def test_info_names_layers_with_activations_below_float16(
    make_store: Callable[..., Path], network_file: Path, tmp_path: Path
) -> None:
    code = tmp_path / "net.py"
    code.write_text(network_file.read_text() + FAINT)
    models = [parse_spec(f"Faint={code}:faint")]
    store = open_store(make_store(tmp_path / "a.zarr", models=models, layers="block1"))
    largest = store.metric("Faint", "block1", "max")
    faint = (largest > 0) & (largest < 6.1e-5)
    assert 10 <= faint.sum() < 16
    activation = np.asarray(store.activations("Faint", "block1", "max")[...])
    assert 0 < largest[3] < 3e-8
    assert not activation[:, 3].any(), "float16 has nothing so small"
    assert store.metric("Faint", "block1", "tied")[3] < 50, "metrics are from what was computed"
    assert store.top(store.unit("Faint/block1/3")).value[0] == largest[3]
    assert store_facts(store)["models"][0]["layers"][0]["faint_units"] == faint.sum()
    assert f"{faint.sum()} of its units are below 6.1e-05 for all images" in store_text(store)


def test_it_says_nothing_without_such_units_or_activations(
    make_store: Callable[..., Path], network_file: Path, small_store: Path, tmp_path: Path
) -> None:
    code = tmp_path / "net.py"
    code.write_text(network_file.read_text() + FAINT)
    facts: dict[str, object] = {"models": [parse_spec(f"Faint={code}:faint")], "layers": "block1"}
    none = open_store(make_store(tmp_path / "a.zarr", activations="none", **facts))
    for store in (open_store(small_store), none):
        assert "of its units are below" not in store_text(store)
