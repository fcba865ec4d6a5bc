"""`shapebias.precompute`: the bytes of the command; modules run like networks by name, and stay as they were."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import shapebias
from shapebias.api.options import settings_from
from shapebias.core.attribution.choice import parse_choices
from shapebias.precompute.attacks.attack import parse_attack
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.settings import Settings
from tests.api.conftest import LAYERS
from tests.support.pretended_cuda import CUDA, NAME, pretended_cuda
from tests.support.store_arrays import arrays_of

pytestmark = pytest.mark.slow

Build = Callable[[], nn.Module]


@pytest.fixture(scope="session")
def build(network_file: Path) -> Build:
    """Return the function that builds the tiny network."""
    names: dict[str, Any] = {}
    exec(network_file.read_text(), names)
    return names["build"]  # type: ignore[no-any-return]


@pytest.fixture
def make(image_folder: Path, tmp_path: Path) -> Callable[..., shapebias.Store]:
    """Makes a store as `make_store` does, from Python: make(models, **options)."""

    def run(models: Any, name: str = "made.zarr", **options: Any) -> shapebias.Store:
        facts = {"passes": "none", "top": 6, "device": "cpu", "workers": 0, "batch_size": 16}
        return shapebias.precompute(models, image_folder, tmp_path / name, **(facts | options))

    return run


def state(network: nn.Module) -> list[tuple[str, torch.Tensor, tuple[int, ...]]]:
    return [(name, value.clone(), value.stride()) for name, value in network.state_dict().items()]


def test_the_bytes_are_those_of_the_command(pair: shapebias.Store, stimuli: str, tmp_path: Path) -> None:
    """Networks by name and as modules with given preprocessing and classes give the command's bytes."""
    modules, preprocessing, classes = {}, {}, {}
    for label, source in (("S", "demo-s"), ("R", "demo-r")):
        model = load_model(parse_spec(source))
        size = model.preprocessing.geometry
        modules[label], classes[label] = model.network, model.class_ids
        preprocessing[label] = {
            "input_size": (3, size.crop, size.crop),
            "crop_pct": size.crop / size.resize,
            "interpolation": size.interpolation,
            "mean": model.preprocessing.mean,
            "std": model.preprocessing.std,
        }
    options = {"limit": 48, "layers": LAYERS, "workers": 0, "device": "cpu", "cue_conflict": stimuli}
    by_name = shapebias.precompute(
        {"S": "demo-s", "R": "demo-r"},
        "builtin:probe",
        tmp_path / "named.zarr",
        passes=["noise", "dissection"],
        **options,
    )
    in_memory = shapebias.precompute(
        modules,
        "builtin:probe",
        str(tmp_path / "modules.zarr"),
        passes=["dissection", "noise"],
        preprocessing=preprocessing,
        classes=classes,
        **options,
    )
    known = arrays_of(Path(pair.path))
    assert arrays_of(Path(by_name.path)) == known
    assert arrays_of(Path(in_memory.path)) == known
    digests = [[model["weights_sha256"] for model in store.info()["models"]] for store in (pair, by_name, in_memory)]
    assert digests[0] == digests[1] == digests[2]
    assert in_memory.info()["models"][0]["source"] == "a SmallCNN in memory"


def test_a_module_says_its_preprocessing_and_stays_as_it_was(
    make: Callable[..., shapebias.Store], build: Build, small_store: Path
) -> None:
    network = build().train()
    before, hooks = state(network), len(network._forward_hooks)
    store = make({"Tiny": network})
    assert arrays_of(Path(store.path)) == arrays_of(small_store)
    assert (
        store.info()["models"][0]["preprocessing"] == shapebias.open(small_store).info()["models"][0]["preprocessing"]
    )
    assert network.training
    assert len(network._forward_hooks) == hooks
    for (name, value, stride), (_, now, stride_now) in zip(before, state(network), strict=True):
        assert torch.equal(value, now), name
        assert stride == stride_now


def test_a_compiled_network_is_the_one_inside(
    make: Callable[..., shapebias.Store], build: Build, small_store: Path
) -> None:
    store = make({"Tiny": torch.compile(nn.DataParallel(build()))})
    assert arrays_of(Path(store.path)) == arrays_of(small_store)


def test_preprocessing_of_torchvision(make: Callable[..., shapebias.Store], build: Build) -> None:
    torchvision = pytest.importorskip("torchvision")
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    for number, given in enumerate((weights, weights.transforms(crop_size=32, resize_size=40))):
        store = make({"A": build()}, f"{number}.zarr", preprocessing=given, limit=4)
        geometry = store.info()["models"][0]["preprocessing"]["geometry"]
        assert (geometry["resize"], geometry["crop"]) == ((256, 224), (40, 32))[number]


def test_a_run_goes_on_with_the_same_weights_only(
    make: Callable[..., shapebias.Store], build: Build, small_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shapebias.precompute.run.decide", stop)
        with pytest.raises(KeyboardInterrupt):
            make({"Tiny": build()})
    other = build()
    with torch.no_grad():
        other.head.bias[0] += 1
    with pytest.raises(shapebias.errors.UsageError, match="holds an unfinished run, but the weights of Tiny changed"):
        make({"Tiny": other})
    store = make({"Tiny": build()})
    assert store.info()["notes"][0] == "continued an unfinished run"
    assert arrays_of(Path(store.path)) == arrays_of(small_store)


def test_a_network_on_cuda_stays_there(make: Callable[..., shapebias.Store], build: Build, small_store: Path) -> None:
    with pretended_cuda():
        network = build().to(CUDA)
        store = make({"Tiny": network}, device="auto", precision="highest")
        assert all(parameter.device == CUDA for parameter in network.parameters())
        assert store.info()["device"]["gpus"] == [NAME]
        with pytest.raises(shapebias.errors.UsageError, match="A is on meta: move it"):
            make({"A": build().to("meta"), "Tiny": network}, "other.zarr", device="auto")
    known = shapebias.open(small_store)
    np.testing.assert_allclose(store.units()["smoothness"], known.units()["smoothness"], rtol=1e-5)


def test_options_are_fields_of_settings_as_the_command_line_writes_them() -> None:
    options: dict[str, Any] = {
        "attacks": ["l2:3"],
        "variants": {"C": Path("imagenet-c")},
        "ood": ["edge=stimuli/edge"],
        "attribution": ["gradient", "rise:masks=50"],
        "noise_std": 0.2,
        "distortions": ["grey"],
        "labels": "labels.csv",
        "embedding": "alexnet",
        "top": np.int64(7),
        "limit": None,
        "cpus_per_worker": 2,
        "cue_conflict": Path("stimuli"),
        "overwrite": True,
    }
    specs = [parse_spec("alexnet")]
    settings = settings_from(specs, Path("photos"), Path("a.zarr"), ["noise"], options)
    assert settings == Settings(
        models=specs,
        images="photos",
        store=Path("a.zarr"),
        passes=("noise",),
        attacks=(parse_attack("l2:3"),),
        variants=(("C", "imagenet-c"),),
        ood=(("edge", "stimuli/edge"),),
        attribution=parse_choices("gradient,rise:masks=50"),
        noise_std=(0.2,),
        distortions=("grey",),
        labels=Path("labels.csv"),
        embedding=parse_spec("alexnet"),
        top=7,
        cpus_per_worker=2.0,
        cue_conflict="stimuli",
        overwrite=True,
    )


@pytest.mark.parametrize(
    ("models", "options", "line"),
    [
        ({}, {}, "name a network"),
        ({"A": 3}, {}, "A is a int: give a torch.nn.Module"),
        ({"a/b": "alexnet"}, {}, "models={'a/b': …}: a label holds letters"),
        ({"A": "tiny.py:build"}, {}, "tiny.py does not exist"),
        (["demo-s", "demo-s"], {}, "two models are called demo-s"),
        (["demo-s"], {"tpo": 3}, "no option tpo: did you mean top?"),
        (["demo-s"], {"top": "3"}, "top='3' has the wrong type: it must be of type int"),
        (["demo-s"], {"top": True}, "top=True has the wrong type: it must be of type int"),
        (["demo-s"], {"overwrite": "yes"}, "overwrite='yes' has the wrong type: it must be of type bool"),
        (["demo-s"], {"top": 0}, "top must be at least 1, not 0"),
        (["demo-s"], {"attacks": ["l2"]}, "--attack l2: write NORM:EPSILON"),
        (["demo-s"], {"variants": [3]}, "variants=3 has the wrong type: it must be of type str"),
        (["demo-s"], {"ood": ["edge"]}, "--ood edge: write NAME=IMAGES"),
        (["demo-s"], {"attribution": "nothing"}, "no attribution method nothing"),
        (["demo-s"], {"passes": ["nois"]}, "no pass nois: there are"),
        (["demo-s"], {"device": "tpu"}, "no --device tpu"),
    ],
)
def test_mistakes_are_one_line(
    make: Callable[..., shapebias.Store], models: Any, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(shapebias.errors.UsageError) as caught:
        make(models, **options)
    assert str(caught.value).startswith(line)
    assert str(caught.value).isprintable()


def test_mistakes_with_modules_are_one_line(make: Callable[..., shapebias.Store], build: Build, tmp_path: Path) -> None:
    network = build()
    for models, options, line in (
        (network, {}, "models are given by label"),
        ({"A": network}, {"engine": "ray"}, "Ray's workers load networks by name"),
        ({"A": network}, {"preprocessing": 3}, "preprocessing cannot be read from a int"),
        ({"A": network}, {"preprocessing": {"input_size": (3, 8, 9)}}, "the model's pretrained_cfg wants 3 x 8 x 9"),
        ({"A": network}, {"classes": ["a", "b"]}, "A: 2 classes are named, but the network has 10"),
        ({"A": torch.jit.script(nn.ReLU())}, {}, "a RecursiveScriptModule in memory is scripted"),
    ):
        with pytest.raises(shapebias.errors.ShapebiasError) as caught:
            make(models, **options)
        assert str(caught.value).startswith(line)
    unlike = copy.deepcopy(network)
    unlike.open_file = (tmp_path / "log").open("w")  # type: ignore[assignment]
    with pytest.raises(shapebias.errors.ShapebiasError, match=r"A .* in memory\) cannot be copied: TypeError"):
        make({"A": unlike})
