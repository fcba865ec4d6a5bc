"""Training: resumed or not it ends with the same bits; what it writes loads; what is wrong is one line."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from shapebias.cli import app
from shapebias.core import files
from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.device import HIGHEST
from shapebias.precompute.images.geometry import ImageError
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.memory import OutOfMemoryError
from shapebias.precompute.models.load import LoadedModel, load_model
from shapebias.precompute.models.own.small_cnn import SmallCNN
from shapebias.precompute.models.spec import parse_spec
from shapebias.precompute.models.trained import Trained, trained_bytes, usual_preprocessing
from shapebias.precompute.progress import Silent
from shapebias.precompute.training import data as training_data
from shapebias.precompute.training import loop as training
from shapebias.precompute.training.checkpoint import checkpoint_path
from shapebias.precompute.training.data import augmented
from shapebias.precompute.training.loop import Epoch, schedule, train
from shapebias.precompute.training.settings import TrainingSettings
from tests.support.pretended_cuda import NAME, pretended_cuda

ATTACK = Attack.usual("l2", 64, 0.5, steps=1)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors on a busy machine: threads would wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Image number N of no file: vertical stripes if N is odd, horizontal ones if not, in noise."""
    number = int(path.rpartition(b"/")[2])
    rng = np.random.default_rng(number)
    wave = 128 + 60 * np.sin(np.arange(64) * 0.8 + rng.uniform(0, 6))
    stripes = wave[None, :, None] if number % 2 else wave[:, None, None]
    return np.clip(stripes + rng.normal(0, 20, (64, 64, 3)), 0, 255).astype(np.uint8)


def damaged(path: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    raise ImageError("truncated")


def images(count: int = 30) -> ImageSet:
    labels = np.arange(count, dtype=np.int32) % 2
    paths = [b"%d" % number for number in range(count)]
    return ImageSet(
        root=Path("/none"),
        paths=paths,
        labels=labels,
        class_ids=["across", "down"],
        class_names=["across", "down"],
        read=read,
    )


def settings(output: Path, **changes: Any) -> TrainingSettings:
    facts: dict[str, Any] = {"images": images(), "epochs": 3, "batch_size": 16, "held_out": 0.2, "attack": ATTACK}
    facts |= {"device": "cpu", "workers": 0, "flip": True, "shift": 2}
    return TrainingSettings(output=output, **facts | changes)


def weights(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


def stop_after(epoch: int) -> Any:
    def stop(done: Epoch) -> None:
        if done.number == epoch:
            raise Killed

    return stop


# --- resume ----------------------------------------------------------------------------------------------------------


def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(settings(tmp_path / "whole.safetensors"), Silent())
    for epoch in (1, 2):
        with pytest.raises(Killed):
            train(settings(tmp_path / "cut.safetensors"), Silent(), stop_after(epoch))
    assert not (tmp_path / "cut.safetensors").exists()
    torch.manual_seed(99)  # the caller's random numbers do not matter
    cut = train(settings(tmp_path / "cut.safetensors"), Silent())
    assert cut.resumed == 2
    assert [epoch.loss for epoch in cut.epochs] == [epoch.loss for epoch in whole.epochs]
    assert [epoch.robust_accuracy for epoch in cut.epochs] == [epoch.robust_accuracy for epoch in whole.epochs]
    first, second = weights(whole.output), weights(cut.output)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert names(tmp_path) == ["cut.safetensors", "whole.safetensors"]


def test_precision(tmp_path: Path) -> None:
    whole = train(settings(tmp_path / "float32.safetensors", epochs=1), Silent())
    half = train(settings(tmp_path / "bfloat16.safetensors", epochs=1, precision="bf16"), Silent())
    assert 0 < abs(whole.epochs[0].loss - half.epochs[0].loss) < 0.1
    assert "bfloat16" in half.device
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights(half.output).values())
    with pytest.raises(UsageError, match="bf16"):
        train(settings(tmp_path / "float16.safetensors", precision="fp16"), Silent())


def test_images_decoded_every_epoch_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = train(settings(tmp_path / "kept.safetensors", epochs=1), Silent())
    monkeypatch.setattr(training_data, "_MEMORY", 0)
    again = train(settings(tmp_path / "again.safetensors", epochs=1), Silent())
    first, second = weights(kept.output), weights(again.output)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_images_of_which_none_can_be_used_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(training_data, "_MEMORY", memory)
    with pytest.raises(ShapebiasError, match=r"none of the images|no two images could be used in epoch 1"):
        train(settings(tmp_path / "a.safetensors", images=replace(images(), read=damaged)), Silent())
    assert not (tmp_path / "a.safetensors").exists()


def test_a_checkpoint_of_other_settings_is_refused_naming_the_differences(tmp_path: Path) -> None:
    output = tmp_path / "a.safetensors"
    with pytest.raises(Killed):
        train(settings(output), Silent(), stop_after(1))
    with pytest.raises(UsageError, match=r"learning rate 0.1, now 0.2\).*--overwrite"):
        train(settings(output, learning_rate=0.2), Silent())
    with pytest.raises(UsageError, match=r"attack norm l2 .*, now none"):
        train(settings(output, attack=None), Silent())
    with pytest.raises(UsageError, match="images 30, now 28"):
        train(settings(output, images=images(28)), Silent())
    checkpoint_path(output).write_bytes(b"junk")
    with pytest.raises(ShapebiasError, match="damaged"):
        train(settings(output), Silent())
    assert train(settings(output, epochs=1, overwrite=True), Silent()).resumed == 0


@pytest.mark.parametrize("moment", ["write", "rename"])
def test_a_full_disk_leaves_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    output = tmp_path / "a.safetensors"
    with pytest.raises(Killed):
        train(settings(output), Silent(), stop_after(1))
    good = checkpoint_path(output).read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if moment == "write":
            patch.setattr(files.os, "fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(ShapebiasError, match="no space left on device; the checkpoint of epoch 1 is kept"):
            train(settings(output), Silent())
    assert names(tmp_path) == ["a.safetensors.checkpoint"]
    assert checkpoint_path(output).read_bytes() == good
    assert train(settings(output), Silent()).resumed == 1


# --- what is written -------------------------------------------------------------------------------------------------


def load(text: str) -> LoadedModel:
    return load_model(parse_spec(text))


def test_standard_training_learns_and_its_file_loads(tmp_path: Path) -> None:
    output = tmp_path / "stripes.safetensors"
    summary = train(settings(output, attack=None, epochs=5, learning_rate=0.05, flip=False, shift=0), Silent())
    assert summary.epochs[-1].train_accuracy > 0.9
    assert summary.epochs[-1].robust_accuracy is None
    assert output.stat().st_size == summary.bytes < 1_500_000
    assert 150_000 < summary.parameters < 300_000
    for spec, label in ((f"{output}", "stripes"), (f"A={output}", "A"), (f"small@{output}", "small")):
        model = load(spec)
        assert (model.label, model.architecture) == (label, "small")
        assert model.preprocessing.geometry == usual_preprocessing("small").geometry
        assert model.preprocessing.mean == usual_preprocessing("small").mean
        assert all(torch.equal(value, weights(output)[name]) for name, value in model.network.state_dict().items())
    with safe_open(output, "pt") as file:
        header = file.metadata()
    assert header["class_names"] == '["across", "down"]'
    assert '"learning_rate": 0.05' in header["recipe"]


def trained(architecture: str, classes: int = 3) -> Trained:
    ids = [f"class {number}" for number in range(classes)]
    return Trained(
        architecture=architecture, class_ids=ids, class_names=ids, preprocessing=usual_preprocessing(architecture)
    )


@pytest.mark.parametrize("architecture", ["squeezenet1_1", "resnet18"])
def test_a_torchvision_network_of_other_classes_loads(tmp_path: Path, architecture: str) -> None:
    network = trained(architecture).build().eval()
    path = tmp_path / "a.safetensors"
    path.write_bytes(trained_bytes(trained(architecture), network))
    sample = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(load(f"{path}").network(sample), network(sample))
        assert torch.equal(load(f"{architecture}@{path}").network(sample), network(sample))


def test_safetensors_of_others_are_plain_state_dicts(tmp_path: Path, network_file: Path) -> None:
    path = tmp_path / "a.safetensors"
    state = load(f"A={network_file}:build").network.state_dict()
    save_file({name: value + 1 for name, value in state.items()}, path)
    changed = load(f"A={network_file}:build@{path}").network.state_dict()
    assert all(torch.equal(value + 1, changed[name]) for name, value in state.items())
    for spec in (f"{path}", f"small@{path}"):
        with pytest.raises(ShapebiasError, match="does not say which network"):
            load(spec)


def test_files_that_are_not_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(trained_bytes(trained("small"), SmallCNN(4)))  # 3 classes in its header
    with pytest.raises(ShapebiasError, match="does not fit SmallCNN"):
        load(f"{path}")
    path.write_bytes(trained_bytes(trained("small"), SmallCNN(3)))
    with pytest.raises(UsageError, match="weights of small, not of alexnet"):
        load(f"alexnet@{path}")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ShapebiasError, match="safetensors"):
        load(f"{path}")
    with pytest.raises(UsageError, match="does not exist"):
        load(f"{tmp_path}/none.safetensors")
    with pytest.raises(UsageError, match="small@FILE"):
        load("small")
    for change in ({"mean": "[1]"}, {"geometry": "{}"}, {"classes": "9"}, {"class_ids": "{"}, {"version": "9"}):
        header = trained("small").to_header() | change
        save_file({"a": torch.zeros(1)}, path, header)
        with pytest.raises(ShapebiasError) as error:
            load(f"{path}")
        assert "\n" not in str(error.value)


# --- parts -----------------------------------------------------------------------------------------------------------


def test_the_schedule_warms_up_and_ends_at_0() -> None:
    rates = [schedule(step / 1000) for step in range(1000)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1)
    assert 0 < rates[0] < 0.05
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 1e-4


def test_augmented_images_are_moved_and_mirrored() -> None:
    batch = torch.rand(64, 3, 8, 8).to(memory_format=torch.channels_last)
    assert augmented(batch, False, 0, torch.Generator()) is batch
    mirrored = augmented(batch, True, 0, torch.Generator().manual_seed(1))
    same = (mirrored == batch).flatten(1).all(1)
    assert torch.equal(mirrored[~same], batch[~same].flip(3))
    assert 10 < same.sum() < 54
    moved = augmented(batch, False, 1, torch.Generator().manual_seed(1))
    inner = moved[0, :, 1:-1, 1:-1]
    assert any(torch.equal(inner, batch[0, :, y : y + 6, x : x + 6]) for y in range(3) for x in range(3))
    assert len({tuple(image.flatten().tolist()) for image in moved}) == 64


def test_a_nan_loss_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "schedule", lambda _: float("inf"))
    with pytest.raises(ShapebiasError, match="lower --learning-rate"):
        train(settings(tmp_path / "a.safetensors", attack=None), Silent())


# --- the command -----------------------------------------------------------------------------------------------------


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)], prog_name="shapebias")


def test_the_command_trains_from_a_folder(image_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.safetensors"
    options = ("--output", output, "--epochs", 1, "--device", "cpu", "--workers", 0)
    result = invoke("--data", image_folder, *options, "--adversarial", "linf", "--epsilon", "51/255", "--steps", 1)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "epoch 1: loss" in result.stdout
    assert "robust accuracy" in result.stdout
    with safe_open(output, "pt") as file:
        assert '"epsilon": 0.2' in " ".join(file.metadata().values())
    assert load(str(output)).network.classifier.out_features == 10
    again = invoke("--data", image_folder, *options)
    assert again.exit_code == 2
    assert "exists" in again.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--architecture", "alexnett"], "no architecture alexnett"),
        (["--adversarial", "l2", "--epsilon", "-1"], "epsilon must be at least 0"),
        (["--adversarial", "linf", "--epsilon", "4/256"], "numbers, such as 0.5 or 4/255"),
        (["--adversarial", "linf", "--step-size", "/255"], "numbers, such as 0.5 or 4/255"),
        (["--adversarial", "l1"], "l2 or linf"),
        (["--adversarial", "l2", "--steps", "0"], "at least 1 step"),
        (["--epsilon", "1"], "add --adversarial"),
        (["--learning-rate", "0"], "learning rate must be above 0"),
        (["--held-out", "1"], "held-out"),
        (["--output", "a.pth"], ".safetensors"),
        (["--output", "/no/such/folder/a.safetensors"], "no folder"),
        (["--data", "/no/such/folder"], "no folder"),
        (["--device", "cuda:99"], "--device"),
    ],
)
def test_bad_input_is_one_line(image_folder: Path, tmp_path: Path, options: list[str], said: str) -> None:
    result = invoke("--data", image_folder, "--output", tmp_path / "a.safetensors", "--workers", 0, *options)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert names(tmp_path) == []


def test_folders_that_nothing_can_be_learned_from(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/class").symlink_to(image_folder / "class0")
    for folder, said in ((tmp_path / "one", "one class only"), (image_folder / "class0", "class folders")):
        result = invoke("--data", folder, "--output", tmp_path / "a.safetensors", "--workers", 0)
        assert result.exit_code == 2
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


# --- on a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", [None, ATTACK, Attack.usual("linf", 64)])
def test_a_gpu_learns_the_same_weights_as_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Any) -> None:
    facts = {"epochs": 1, "attack": attack, "images": images(24)}
    cpu = train(settings(tmp_path / "cpu.safetensors", **facts), Silent())
    monkeypatch.setattr(training, "BF16", HIGHEST)
    with pretended_cuda() as gpu:
        cuda = train(settings(tmp_path / "cuda.safetensors", device="cuda", **facts), Silent())
    assert gpu.counts["kernel"] > 300
    assert cuda.epochs[0].loss == pytest.approx(cpu.epochs[0].loss, rel=1e-4)
    assert cuda.epochs[0].robust_accuracy == cpu.epochs[0].robust_accuracy
    learned, expected = weights(cuda.output), weights(cpu.output)
    for name, value in expected.items():
        torch.testing.assert_close(learned[name], value, rtol=1e-3, atol=1e-4)


def test_training_says_the_precision_it_ran_in(tmp_path: Path) -> None:
    with pretended_cuda():
        summary = train(settings(tmp_path / "a.safetensors", device="cuda", epochs=1, attack=None), Silent())
    assert f"on {NAME}, bfloat16" in summary.text()


@pytest.mark.parametrize("memory", [500_000, 1000])
def test_training_that_does_not_fit_is_one_line(tmp_path: Path, memory: int) -> None:
    with (
        pretended_cuda(memory=memory, full=lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")),
        pytest.raises(OutOfMemoryError, match="training does not fit into memory: try a smaller --batch-size"),
    ):
        train(settings(tmp_path / "a.safetensors", device="cuda"), Silent())
