"""Sixty ways in which trainers wrap a network's weights in a checkpoint, with the expected result of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.spec import parse_spec

State = dict[str, Tensor]

NETWORK = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(self.layer1(self.bn1(self.conv1(x)).relu()).mean((2, 3)))


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.5, 0.5]))
        self.net = Net()

    def forward(self, x):
        return self.net(x - self.mean[:, None, None])


def build():
    return Net()


def normalised():
    return Normalised()
"""
MEAN, STD = (0.41, 0.42, 0.43), (0.21, 0.22, 0.23)


@dataclass(frozen=True, kw_only=True)
class Wrapping:
    """A way to wrap a network's weights in a checkpoint, and what the program must make of it.

    content:     returns what `torch.save` writes, from a state dict and its average (twice the weights)
    reads:       which weights are read: `raw`, `ema` (the average), `body` (without a head), `near` (rounded) or `nan`;
                 None where the file is refused
    said:        a part of the note, or of the refusal
    options:     what stands behind the file's name in `--model`
    normalised:  whether the file's mean and std are taken over
    inside:      the prefix of the network's names within those of the user's network
    """

    name: str
    content: Callable[[State, State], Any]
    reads: str | None = "raw"
    said: str = ""
    options: str = ""
    normalised: bool = False
    inside: str = ""


def prefixed(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


def renamed(old: str, new: str, state: State) -> State:
    return {name.replace(old, new, 1): value for name, value in state.items()}


def training_state(key: str, state: State, _: State) -> dict[str, Any]:
    """Return a training script's checkpoint: the weights under `key`, beside an epoch and an optimizer's state."""
    return {key: state, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": state}}}}


def lightning_state(attribute: str, state: State, _: State) -> dict[str, Any]:
    """Return Lightning's checkpoint of a module whose network is its attribute of this name."""
    return {"state_dict": prefixed(f"{attribute}.", state)}


def without(state: State, *parts: str) -> State:
    return {name: value for name, value in state.items() if not any(part in name for part in parts)}


def quantised(state: State) -> State:
    """Return the weights with two and more axes as int8, each with its outputs' scales beside it (NAME_scale)."""
    result: State = {}
    for name, value in state.items():
        result[name] = value
        if value.ndim >= 2:
            scale = value.abs().flatten(1).amax(1) / 127
            whole = (value / scale.reshape(-1, *[1] * (value.ndim - 1))).round()
            result |= {name: whole.to(torch.int8), f"{name}_scale": scale}
    return result


def pixels(mean: str, std: str, factor: float = 1.0) -> State:
    """Return a normaliser's buffers by the names `mean` and `std`: MEAN and STD, for pixels from 0 to `factor`."""
    return {mean: torch.tensor(MEAN)[:, None, None] * factor, std: torch.tensor(STD)[:, None, None] * factor}


class PickledNetwork:
    """The content of a file in which a whole network was pickled."""


def integers(state: State) -> State:
    return {name: (value * 127).to(torch.int8) if value.is_floating_point() else value for name, value in state.items()}


def _wrapping(name: str, content: Callable[[State, State], Any], **facts: Any) -> Wrapping:
    return Wrapping(name=name, content=content, **facts)


WRAPPINGS = (
    _wrapping("a bare state dict", lambda s, _: s),
    *(
        _wrapping(f"`{key}`", partial(training_state, key))
        for key in ("state_dict", "model", "model_state_dict", "net", "network", "weights", "params", "generator")
    ),
    _wrapping("keys in keys: `checkpoint.model.state_dict`", lambda s, _: {"checkpoint": {"model": {"state_dict": s}}}),
    _wrapping("a tuple (weights, epoch)", lambda s, _: (s, 3)),
    _wrapping("DataParallel, `module.`", lambda s, _: {"state_dict": prefixed("module.", s)}),
    _wrapping("DataParallel around a part, `layer1.module.`", lambda s, _: renamed("layer1.", "layer1.module.", s)),
    _wrapping("torch.compile, `_orig_mod.`", lambda s, _: prefixed("_orig_mod.", s)),
    _wrapping("a compiled part, `layer1._orig_mod.`", lambda s, _: renamed("layer1.", "layer1._orig_mod.", s)),
    _wrapping("compiled and parallel, `_orig_mod.module.`", lambda s, _: prefixed("_orig_mod.module.", s)),
    _wrapping(
        "FSDP with activation checkpoints",
        lambda s, _: prefixed("_fsdp_wrapped_module.", renamed("layer1.", "layer1._checkpoint_wrapped_module.", s)),
    ),
    _wrapping("DeepSpeed, `module` beside its own", lambda s, _: {"module": s, "ds_config": {}, "dp_world_size": 8}),
    _wrapping(
        "DeepSpeed, ZeRO-3",
        lambda s, _: {"module": {name: torch.zeros(0) for name in s}},
        reads=None,
        said="ZeRO-3",
    ),
    *(
        _wrapping(f"Lightning, the attribute `{name}`", partial(lightning_state, name))
        for name in ("model", "net", "backbone", "my_network.inner")
    ),
    _wrapping(
        "Lightning with a metric",
        lambda s, _: {"state_dict": {**prefixed("model.", s), "acc.tp": torch.zeros(3)}},
        said="left aside, as the network has no such parts: acc",
    ),
    _wrapping(
        "Lightning, `backbone` and `classifier`",
        lambda s, _: {"state_dict": {**prefixed("backbone.", without(s, "fc.")), **_head("classifier", s)}},
        said="its classifier was taken for the network's fc",
    ),
    _wrapping(
        "modules apart: `encoder`, `fc`",
        lambda s, _: {"encoder": without(s, "fc."), "fc": {"weight": s["fc.weight"], "bias": s["fc.bias"]}},
    ),
    _wrapping(
        "Sequential(normalise, net) with mean and std",
        lambda s, _: {**prefixed("1.", s), **pixels("0.mean", "0.std")},
        normalised=True,
    ),
    _wrapping(
        "RobustBench, `mu` and `sigma`",
        lambda s, _: {**prefixed("model.", s), **pixels("mu", "sigma")},
        normalised=True,
    ),
    _wrapping(
        "a normaliser of pixels 0 to 255",
        lambda s, _: {**prefixed("net.", s), **pixels("pixel_mean", "pixel_std", 255)},
        normalised=True,
    ),
    _wrapping(
        "`robustness`, attacker and normaliser",
        lambda s, e: {
            "model": prefixed(
                "module.",
                {
                    **prefixed("model.", s),
                    **prefixed("attacker.model.", e),
                    **pixels("normalizer.new_mean", "normalizer.new_std"),
                },
            )
        },
        normalised=True,
    ),
    _wrapping(
        "a mean without a std",
        lambda s, _: {**prefixed("1.", s), "0.mean": torch.zeros(3)},
        said="(0.mean) but no std",
    ),
    _wrapping("AveragedModel, `n_averaged`", lambda s, _: {"n_averaged": torch.tensor(3), **prefixed("module.", s)}),
    _wrapping("an average alone, `ema_state_dict`", lambda _, e: {"ema_state_dict": e}, reads="ema"),
    _wrapping("an average alone, `ema_model.` before names", lambda _, e: prefixed("ema_model.", e), reads="ema"),
    _wrapping(
        "timm, `state_dict` and `state_dict_ema`",
        lambda s, e: {"state_dict": s, "state_dict_ema": e},
        said="weights=ema takes the other",
    ),
    _wrapping(
        "the same with `weights=ema`",
        lambda s, e: {"state_dict": s, "state_dict_ema": e},
        reads="ema",
        options=",weights=ema",
    ),
    _wrapping(
        "torchvision, `model` and `model_ema`",
        lambda s, e: {"model": s, "model_ema": {**prefixed("module.", e), "n_averaged": torch.tensor(3)}},
        said="an average of the weights (model_ema) beside model",
    ),
    _wrapping(
        "Lightning, `model.` and `ema_model.`",
        lambda s, e: {"state_dict": {**prefixed("model.", s), **prefixed("ema_model.", e)}},
        said="weights=ema takes the other",
    ),
    _wrapping(
        "an average of the parameters alone, `weights=ema`",
        lambda s, e: {"state_dict": s, "ema": {"shadow": without(e, "running_")}},
        reads="ema",
        options=",weights=ema",
    ),
    _wrapping(
        "an average of the parameters and no statistics",
        lambda _, e: {"shadow": without(e, "running_", "num_batches")},
        reads=None,
        said="running statistics are missing",
    ),
    _wrapping("DINO, `student` and `teacher`", lambda s, e: {"student": s, "teacher": e}, reads="ema", said="student"),
    _wrapping("the same with `weights=student`", lambda s, e: {"student": s, "teacher": e}, options=",weights=student"),
    _wrapping(
        "DINO's `teacher`: `module.backbone.` and a projection",
        lambda s, _: {
            "teacher": {
                **prefixed("module.backbone.", without(s, "fc.")),
                "module.head.mlp.0.weight": torch.zeros(4, 8),
                "module.head.mlp.2.weight": torch.zeros(4, 4),
            }
        },
        reads="body",
        said="no head",
    ),
    _wrapping(
        "MoCo, `encoder_q` and `encoder_k`",
        lambda s, e: {
            "state_dict": {
                **prefixed("module.encoder_q.", s),
                **prefixed("module.encoder_k.", e),
                "module.queue": torch.zeros(8, 16),
            }
        },
        reads="body",
        said="no head",
    ),
    _wrapping("without its head (self-supervised)", lambda s, _: without(s, "fc."), reads="body", said="no decisions"),
    _wrapping("`fc.1`, a dropout before it", lambda s, _: renamed("fc.", "fc.1.", s)),
    _wrapping(
        "`fc.0` and `fc.3`, a head of two layers",
        lambda s, _: {**without(s, "fc."), "fc.0.weight": torch.zeros(8, 8), "fc.3.weight": torch.zeros(10, 8)},
        reads="body",
        said="no head",
    ),
    _wrapping("another name of the head, `linear`", lambda s, _: renamed("fc.", "linear.", s), said="its linear was"),
    _wrapping("NumPy's arrays", lambda s, _: {name: value.numpy() for name, value in s.items()}),
    _wrapping("half precision", lambda s, _: {name: _half(value) for name, value in s.items()}, reads="near"),
    _wrapping("parameters", lambda s, _: {name: nn.Parameter(value, requires_grad=False) for name, value in s.items()}),
    _wrapping(
        "int8 with the outputs' scales", lambda s, _: quantised(s), reads="near", said="multiplied by the scales"
    ),
    _wrapping("int8 without scales", lambda s, _: integers(s), reads=None, said="no floats (conv1.weight: int8)"),
    _wrapping("NaN", lambda s, _: {**s, "fc.bias": s["fc.bias"] * float("nan")}, reads="nan", said="hold NaN"),
    _wrapping("bare, where the code's network is inside another", lambda s, _: s, inside="net."),
    _wrapping("`module.`, where the code's network is inside", lambda s, _: prefixed("module.", s), inside="net."),
    _wrapping("without counters (PyTorch before 0.4.1)", lambda s, _: without(s, "num_batches")),
    _wrapping(
        "two networks, `net_a` and `net_b`",
        lambda s, e: {"net_a": s, "net_b": e},
        reads=None,
        said="say which with weights=NAME",
    ),
    _wrapping("the same with `weights=net_a`", lambda s, e: {"net_a": s, "net_b": e}, options=",weights=net_a"),
    _wrapping(
        "a list of tensors without names",
        lambda s, _: {"ema": {"shadow_params": list(s.values())}, "step": 3},
        reads=None,
        said="13 tensors without names",
    ),
    _wrapping("a pickled network", lambda _, __: PickledNetwork(), reads=None, said="holds a pickled object"),
    _wrapping(
        "a layer more than the network has",
        lambda s, _: {**s, "layer1.3.weight": torch.zeros(8, 8, 3, 3)},
        reads=None,
        said="1 unexpected (layer1.3.weight)",
    ),
)


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def _head(name: str, state: State) -> State:
    return {f"{name}.weight": state["fc.weight"], f"{name}.bias": state["fc.bias"]}


def states() -> tuple[State, State]:
    """Return the weights of the network, and an average that is twice as large."""
    space: dict[str, Any] = {}
    exec(NETWORK, space)
    torch.manual_seed(3)
    state: State = dict(space["build"]().state_dict())
    return state, {name: value * 2 if value.is_floating_point() else value for name, value in state.items()}


def load_wrapped(wrapping: Wrapping, folder: Path) -> LoadedModel | ShapebiasError:
    """Return the network that `--model` makes of a wrapping, or the error that it ends with."""
    (folder / "net.py").write_text(NETWORK)
    torch.save(wrapping.content(*states()), folder / "w.pth")
    function = "normalised" if wrapping.inside else "build"
    try:
        return load_model(parse_spec(f"N={folder}/net.py:{function}@{folder}/w.pth{wrapping.options}"))
    except ShapebiasError as error:
        return error


def table_row(wrapping: Wrapping, result: LoadedModel | ShapebiasError, folder: Path) -> str:
    """Return a wrapping's row in docs/models.md."""
    if isinstance(result, ShapebiasError):
        said = f"refused: {str(result).replace(f'{folder}/w.pth', 'FILE')}"
    else:
        taken = ["; its mean and std are the preprocessing"] if "checkpoint" in result.preprocessing.origin else []
        said = "read" + "".join([*taken, *(f"; {note}" for note in result.notes)])
    return f"| {wrapping.name} | {said.replace('|', '/')} |"
