"""Whole runs on a pretended GPU: the same stores as on the CPU, whatever the GPU lacks memory for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shapebias.core.attribution.choice import parse_choices
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Store
from shapebias.precompute.attacks import descent
from shapebias.precompute.attacks.attack import Attack, parse_attack
from shapebias.precompute.measures.activation import LayerStatistics
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings
from shapebias.precompute.summary import Summary
from tests.support.pretended_cuda import NAME, PretendedGpu, out_of_memory, pretended_cuda

pytestmark = pytest.mark.slow

LAYERS = ("conv1", "conv5")
Run = Callable[..., tuple[Store, Summary]]


@pytest.fixture(scope="module")
def run(ablation_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that makes a store of every pass, with two layers of a small network."""

    def make(device: str, **changes: object) -> tuple[Store, Summary]:
        facts: dict[str, Any] = {
            "models": parse_specs(["demo-r"]),
            "images": "builtin:probe",
            "store": tmp_path_factory.mktemp("cuda") / f"{device}.zarr",
            "layers": ",".join(LAYERS),
            "top": 6,
            "limit": 24,
            "batch_size": 12,
            "workers": 0,
            "passes": ("noise", "sensitivity", "distortions", "dissection", "ablation", "attribution"),
            "attribution": parse_choices("gradient,random,center,edges"),
            "attribution_images": 6,
            "attribution_steps": 4,
            "distortions": ("grey", "noise"),
            "cue_conflict": ablation_settings["cue_conflict"],
            "ablate_accuracy": True,
            "attacks": (parse_attack("l2:1"), parse_attack("l2:2"), parse_attack("linf:0.01")),
            "memory": 200,
            "precision": "highest",
        }
        settings = Settings(device=device, **(facts | changes))
        summary = precompute(settings, Silent())
        return open_store(settings.store), summary

    return make


@pytest.fixture(scope="module")
def on_cpu(run: Run) -> Store:
    return run("cpu")[0]


@pytest.fixture(scope="module")
def on_cuda(run: Run) -> tuple[Store, Summary, PretendedGpu]:
    with pretended_cuda() as gpu:
        store, summary = run("cuda")
    return store, summary, gpu


def check_equal(store: Store, expected: Store) -> None:
    """Check that two stores are the same but for rounding in the last bits."""
    model = expected.models["demo-r"]
    assert list(store.layers(model.label)) == list(expected.layers(model.label))
    for layer in expected.layers(model.label):
        assert store.metric_names(model.label, layer) == expected.metric_names(model.label, layer)
        for name in expected.metric_names(model.label, layer):
            measured, wanted = store.metric(model.label, layer, name), expected.metric(model.label, layer, name)
            scale = np.nanmax(np.abs(wanted), initial=1e-9) if np.isfinite(wanted).any() else 1.0
            np.testing.assert_allclose(measured, wanted, rtol=0, atol=1e-6 * scale, err_msg=f"{layer} {name}")
        for name in ("image", "position"):
            np.testing.assert_array_equal(
                store.top_lists(model.label, layer, name), expected.top_lists(model.label, layer, name)
            )
    for path in ("decision", "cue_conflict/decision", "adversarial/right", "distortions/grey"):
        np.testing.assert_array_equal(store.read(f"models/demo-r/{path}"), expected.read(f"models/demo-r/{path}"))
    check_maps(store, expected)


def check_maps(store: Store, expected: Store) -> None:
    """Check that both explain the same outputs by the same maps."""
    attribution, wanted = store.attribution("demo-r"), expected.attribution("demo-r")
    assert attribution is not None
    assert wanted is not None
    assert attribution.methods == wanted.methods
    np.testing.assert_array_equal(attribution.target, wanted.target)
    np.testing.assert_allclose(attribution.scale, wanted.scale, rtol=1e-4)
    assert attribution.scores is not None
    assert wanted.scores is not None
    assert attribution.scores.values.keys() == wanted.scores.values.keys() > {"insertion", "deletion", "mass"}
    for name, values in wanted.scores.values.items():
        np.testing.assert_allclose(attribution.scores.values[name], values, rtol=0, atol=0.01, err_msg=name)
    for method in wanted.methods:
        for row in range(len(wanted.image)):
            scale = wanted.scale_of(method, row)
            np.testing.assert_allclose(
                attribution.map(method, row), wanted.map(method, row), rtol=0, atol=1e-3 * scale, err_msg=method
            )


def test_every_pass_gives_the_same_as_on_the_cpu(on_cpu: Store, on_cuda: tuple[Store, Summary, PretendedGpu]) -> None:
    store, _, gpu = on_cuda
    assert gpu.counts["kernel"] > 10_000
    check_equal(store, on_cpu)


def test_the_store_and_the_summary_say_what_measured(on_cuda: tuple[Store, Summary, PretendedGpu]) -> None:
    store, summary, _ = on_cuda
    known = {"kind": "cuda", "gpus": [NAME], "precision": "highest", "torch": torch.__version__}
    assert store.attributes["device"] == known
    assert f"on {NAME}, float32" in summary.text()


def test_batches_are_halved_where_memory_is_short(on_cpu: Store, run: Run) -> None:
    with pretended_cuda(memory=2_300_000, function="convolution") as gpu:  # the first maps of 24 images take 2.4 MB
        changes: dict[str, Any] = {"passes": ("noise",), "cue_conflict": None, "ablate_accuracy": False, "attacks": ()}
        store, summary = run("cuda", batch_size=24, **changes)
    assert gpu.failures > 0
    assert "not enough memory for 24 images at once: went on with 12" in summary.notes
    for name in ("max", "tv", "q995"):
        wanted = on_cpu.metric("demo-r", "conv1", name)
        np.testing.assert_allclose(store.metric("demo-r", "conv1", name), wanted, rtol=1e-5)
    np.testing.assert_array_equal(
        store.top_lists("demo-r", "conv1", "image"), on_cpu.top_lists("demo-r", "conv1", "image")
    )


@pytest.mark.parametrize("method", ["state_dict", "__init__"])
def test_memory_that_is_short_outside_of_a_forward(method: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is short where a shard's measure is made or its part is copied."""
    own, failures = getattr(LayerStatistics, method), []

    def failing(self: LayerStatistics, *arguments: Any, **options: Any) -> Any:
        if not failures:
            failures.append(method)
            raise out_of_memory()
        return own(self, *arguments, **options)

    monkeypatch.setattr(LayerStatistics, method, failing)
    _, summary = run("cpu", passes=(), cue_conflict=None, ablate_accuracy=False, attacks=())
    assert failures
    assert "not enough memory for 12 images at once: went on with 6" in summary.notes


def test_attacks_are_the_same_in_smaller_batches(on_cpu: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    attack_images, failures = descent.attack_images, []

    def failing(attack: Attack, network: Any, batch: torch.Tensor, *arguments: Any) -> torch.Tensor:
        if len(batch) > 6:
            failures.append(len(batch))
            raise out_of_memory()
        return attack_images(attack, network, batch, *arguments)

    monkeypatch.setattr(descent, "attack_images", failing)
    store, summary = run("cpu", passes=(), cue_conflict=None, ablate_accuracy=False)
    assert failures
    assert "not enough memory for 12 images at once: went on with 6" in summary.notes
    path = "models/demo-r/adversarial/right"
    np.testing.assert_array_equal(store.read(path), on_cpu.read(path))


def test_ablation_takes_fewer_rows_where_memory_is_short(
    on_cpu: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shapebias.precompute.ablation.units import UnitAblation

    scores, failures = UnitAblation._scores, []

    def failing(self: UnitAblation, kept: Any, images: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
        if len(images) > 40:
            failures.append(len(images))
            raise out_of_memory()
        return scores(self, kept, images, units)

    monkeypatch.setattr(UnitAblation, "_scores", failing)
    store, summary = run("cpu", passes=("ablation",), attacks=())
    assert failures
    assert "ablation of conv5: not enough memory for" in summary.text()
    for name in ("shape_score", "texture_score", "accuracy_drop"):
        np.testing.assert_array_equal(
            store.metric("demo-r", "conv5", name), on_cpu.metric("demo-r", "conv5", name), strict=True
        )


def test_a_gpu_that_is_too_small_for_one_image_is_one_line(run: Run) -> None:
    from shapebias.precompute.memory import OutOfMemoryError

    with pretended_cuda(memory=1000), pytest.raises(OutOfMemoryError, match="demo-r does not fit into the memory"):
        run("cuda", passes=(), cue_conflict=None, ablate_accuracy=False, attacks=())


def test_parts_of_two_kinds_of_gpus_are_mixed_only_on_request(tmp_path: Path) -> None:
    from shapebias.core.errors import UsageError
    from shapebias.precompute.unfinished import UnfinishedRun

    unfinished = UnfinishedRun(tmp_path / "a.zarr")
    unfinished.open()
    unfinished.add_gpu("A100", mixing=False)
    unfinished.add_gpu("A100", mixing=False)
    with pytest.raises(UsageError, match=r"on A100, and H100 rounds otherwise.*--mix-gpus"):
        unfinished.add_gpu("H100", mixing=False)
    unfinished.add_gpu("H100", mixing=True)
    assert unfinished.gpus() == ["A100", "H100"]
    unfinished.clear()
    assert unfinished.gpus() == []
    unfinished.close()
