"""A small transformer's hidden neurons, through all passes: the numbers are those of their maps by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shapebias.core.analysis.verify import VerifyReport
from shapebias.core.store.opening import open_store
from shapebias.precompute.models.spec import parse_specs
from shapebias.precompute.progress import Silent
from shapebias.precompute.verify_units import verify_units
from tests.support.naive_ablation import CATEGORIES, decisions, decisions_lost, read_stimuli, write_stimuli

pytestmark = pytest.mark.slow

LAYERS = {"blocks.0.mlp.fc1": "blocks.0.mlp.act.maps", "blocks.1.mlp.fc1": "blocks.1.mlp.act.maps"}
NETWORK = '''
import timm
import torch
from torch import nn


class Exposed(nn.Module):
    """A nonlinearity, and a module beside it that sees the maps of the patches' tokens [N, C, 4, 4]."""

    def __init__(self):
        super().__init__()
        self.act, self.maps = nn.GELU(), nn.Identity()

    def forward(self, tokens):
        hidden = self.act(tokens)
        self.maps(hidden[:, 1:].transpose(1, 2).unflatten(2, (4, 4)).contiguous())
        return hidden


def tokens():
    torch.manual_seed(0)
    facts = {"img_size": 64, "embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 10}
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False, **facts)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0, 0.1)
    for block in network.blocks:
        block.mlp.fc2.weight.data *= 4
    nn.init.normal_(network.head.weight)
    with torch.no_grad():  # decides for many classes: its mean scores over plain pictures are 0
        network.head.bias -= network.eval()(torch.randn(64, 3, 1, 1).expand(-1, -1, 64, 64)).mean(0)
    network.pretrained_cfg = {"input_size": (3, 64, 64), "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    return network


def maps():
    network = tokens()
    for block in network.blocks:
        block.mlp.act = Exposed()
    return network
'''


@pytest.fixture(scope="module")
def root(make_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of the network by its default layers, one by the maps beside them, and their parts."""
    root = tmp_path_factory.mktemp("transformer")
    (root / "net.py").write_text(NETWORK)
    (root / "categories.json").write_text(json.dumps(CATEGORIES))
    write_stimuli(root / "conflict", 64)
    cue_conflict = {"cue_conflict": str(root / "conflict"), "categories": root / "categories.json"}
    passes = ("noise", "sensitivity", "dissection")
    models = parse_specs([f"V={root}/net.py:tokens"])
    make_store(root / "tokens.zarr", models=models, passes=(*passes, "ablation"), **cue_conflict)
    models = parse_specs([f"V={root}/net.py:maps"])
    make_store(root / "maps.zarr", models=models, layers=",".join(LAYERS.values()), passes=passes)
    return root


def test_default_layers_are_the_hidden_neurons(root: Path) -> None:
    layers = open_store(root / "tokens.zarr").layers("V")
    assert list(layers) == list(LAYERS)
    for layer in layers.values():
        assert (layer.units, layer.map_height, layer.map_width, layer.ending) == (192, 4, 4, "after gelu")


def test_every_number_is_that_of_the_maps(root: Path) -> None:
    tokens, maps = open_store(root / "tokens.zarr"), open_store(root / "maps.zarr")
    for name, beside in LAYERS.items():
        metrics = maps.metric_names("V", beside)
        assert len(metrics) > 20
        for metric in metrics:
            np.testing.assert_array_equal(tokens.metric("V", name, metric), maps.metric("V", beside, metric))
        for array in ("value", "image", "position", "map"):
            np.testing.assert_array_equal(
                tokens.layer_read("V", name, f"top/{array}"), maps.layer_read("V", beside, f"top/{array}")
            )


def test_ablation_scores_are_those_of_a_naive_loop(root: Path) -> None:
    space: dict[str, Any] = {}
    exec((root / "net.py").read_text(), space)
    network: nn.Module = space["tokens"]().eval()
    images, shapes, textures = read_stimuli(root / "conflict", (0.5,) * 3, (0.5,) * 3)
    store = open_store(root / "tokens.zarr")

    def without(layer: str, unit: int) -> list[str]:
        """Return what is decided with a neuron of all patches' tokens set to zero."""

        def silence(module: nn.Module, inputs: Any, hidden: Tensor) -> Tensor:
            changed = hidden.clone()
            changed[:, 1:, unit] = 0
            return changed

        handle = network.get_submodule(layer.replace("fc1", "act")).register_forward_hook(silence)
        decided = decisions(network(images))
        handle.remove()
        return decided

    with torch.inference_mode():
        before, total = decisions(network(images)), 0
        for layer in LAYERS:
            after = [without(layer, unit) for unit in range(192)]
            for cue, labels in (("shape", shapes), ("texture", textures)):
                lost = [decisions_lost(before, decided, labels) for decided in after]
                np.testing.assert_array_equal(store.metric("V", layer, f"{cue}_score"), lost)
                total += sum(lost)
        assert total > 20


def test_verify_computes_the_same_units_again(root: Path) -> None:
    report = VerifyReport()
    verify_units(root / "tokens.zarr", 40, report, Silent(), images=None, models=[], device="cpu", workers=0)
    assert report.units == 40
    assert report.wrong == []
