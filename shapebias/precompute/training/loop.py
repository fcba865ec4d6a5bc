"""`shapebias train` without its command line: a network learns from images, as they are or attacked.

Everything random is seeded by (seed, epoch): the order of the images, their augmentation, the attack's start, dropout.
So a checkpoint after an epoch (weights, optimizer, what was measured) is all that a resumed run needs to end with the
bits of an uninterrupted one on the same CPU; on CUDA some gradients (of pooling and padding) add up in no fixed order,
so that the last bits may differ.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import write_atomically
from shapebias.core.text import printable
from shapebias.precompute.attacks.attack import Attack
from shapebias.precompute.attacks.descent import Normalised, attack_images, robust_accuracy
from shapebias.precompute.device import BF16, FP16, Device, choose_device
from shapebias.precompute.images.loader import default_workers
from shapebias.precompute.memory import memory_guarded
from shapebias.precompute.models.trained import Trained, build_network, trained_bytes, usual_preprocessing
from shapebias.precompute.progress import Reporter
from shapebias.precompute.training.checkpoint import checkpoint_path, load_state, save_state
from shapebias.precompute.training.data import TrainingImages, augmented, read_images, to_inputs
from shapebias.precompute.training.settings import Epoch, TrainingSettings, TrainingSummary

_TOO_LARGE = "training does not fit into memory: try a smaller --batch-size"
_WARM_UP = 0.15  # fraction of all steps in which the learning rate rises
_EVALUATED = 1000  # most held-out images that are decided for after an epoch


def train(
    settings: TrainingSettings, progress: Reporter, on_epoch: Callable[[Epoch], None] = lambda _: None
) -> TrainingSummary:
    """Train a network, or go on where a run with the same settings was stopped, and write its weights.

    After every epoch OUTPUT.checkpoint is written and `on_epoch` called; the end replaces the checkpoint by OUTPUT.
    Raises ShapebiasError where training or writing fails; then the last good checkpoint is left.
    """
    settings.check()
    device = training_device(settings)
    recipe = settings.recipe(device)
    _check_output(settings)
    gpus = [device.device] if device.is_cuda else []
    with torch.random.fork_rng(devices=gpus), device.rounding(), memory_guarded(_TOO_LARGE):
        run = _Run(settings, device, progress)
        state = None if settings.overwrite else load_state(settings.output, recipe, run.network, run.optimizer)
        history = [Epoch(**facts) for facts in state] if state is not None else []
        resumed = len(history)
        for number in range(resumed + 1, settings.epochs + 1):
            history.append(run.epoch(number))
            save_state(
                settings.output, recipe, run.network, run.optimizer, history=[asdict(epoch) for epoch in history]
            )
            on_epoch(history[-1])
    classes = settings.images
    results = recipe | {"history": [asdict(epoch) for epoch in history]}
    trained = Trained(
        architecture=settings.architecture,
        class_ids=classes.class_ids,
        class_names=classes.class_names,
        preprocessing=run.preprocessing,
        recipe=results,
    )
    content = trained_bytes(trained, run.network)
    write_atomically(settings.output, content)
    checkpoint_path(settings.output).unlink(missing_ok=True)
    parameters = sum(parameter.numel() for parameter in run.network.parameters())
    return TrainingSummary(
        output=settings.output,
        bytes=len(content),
        parameters=parameters,
        device=str(device),
        images=len(run.data),
        epochs=history,
        resumed=resumed,
        skipped=run.data.skipped,
    )


def training_device(settings: TrainingSettings) -> Device:
    """Return where and in which precision to train. Raises UsageError for float16, or a device that is not there."""
    device = choose_device(settings.device, settings.precision)
    if device.precision is FP16:
        raise UsageError("gradients underflow in float16: train with --precision bf16")
    return Device(device.device, BF16) if device.is_cuda and settings.precision == "auto" else device


def _check_output(settings: TrainingSettings) -> None:
    output = settings.output
    if output.exists() and not settings.overwrite and not checkpoint_path(output).exists():
        raise UsageError(f"{printable(str(output))} exists: choose another --output, or replace it with --overwrite")


class _Run:
    """A network being trained, epoch by epoch."""

    def __init__(self, settings: TrainingSettings, device: Device, progress: Reporter) -> None:
        self.settings, self.device, self._progress = settings, device, progress
        self.preprocessing = usual_preprocessing(settings.architecture)
        workers = default_workers(len(settings.images)) if settings.workers is None else settings.workers
        self.data: TrainingImages = read_images(settings.images, self.preprocessing.geometry, workers, progress)
        torch.manual_seed(_seed(settings.seed, 0))
        network = build_network(settings.architecture, len(settings.images.class_ids))
        order = torch.randperm(len(self.data), generator=torch.Generator().manual_seed(_seed(settings.seed, 0)))
        held_out = round(settings.held_out * len(order))
        self._held_out, self._learned = order[:held_out][:_EVALUATED], order[held_out:]
        if len(self._learned) < 2:
            raise UsageError(f"training needs at least 2 images besides the {held_out} that are held out")
        self.network = device.to(network)
        self._classifier = Normalised(self.network, self.preprocessing.mean, self.preprocessing.std, device)
        self.optimizer = torch.optim.SGD(
            _groups(self.network, settings.weight_decay),
            settings.learning_rate,
            settings.momentum,
            nesterov=settings.momentum > 0,
        )

    def epoch(self, number: int) -> Epoch:
        """Train once on every image that is not held out, and return the results; `number` counts from 1."""
        started = time.perf_counter()
        loss, right = self._learn(number)
        accuracy, robust = self._evaluate(number)
        return Epoch(
            number=number,
            loss=loss,
            train_accuracy=right,
            accuracy=accuracy,
            robust_accuracy=robust,
            seconds=round(time.perf_counter() - started, 3),
        )

    def _learn(self, number: int) -> tuple[float, float]:
        """Train once on every image that is not held out, and return the images' mean loss and accuracy.

        Raises ShapebiasError where the loss is not finite, or no batch had two images that can be used.
        """
        settings, device = self.settings, self.device
        seed = _seed(settings.seed, number)
        torch.manual_seed(seed)  # for dropout
        generator = torch.Generator().manual_seed(seed)
        noise = torch.Generator(device.device).manual_seed(seed)
        order = self._learned[torch.randperm(len(self._learned), generator=generator)]
        batches = math.ceil(len(order) / settings.batch_size)
        total = torch.zeros(2, dtype=torch.float64, device=device.device)
        seen = 0
        self._progress.stage(f"epoch {number}/{settings.epochs}", len(order))
        self.network.train()
        for index, (pixels, classes) in enumerate(self.data.batches(order, settings.batch_size)):
            if len(classes) == 1:
                continue  # batch norm has nothing to compare it with
            step = (number - 1 + index / batches) / settings.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule(step)
            batch = augmented(to_inputs(pixels, device), settings.flip, settings.shift, generator)
            labels = classes.to(device.device)
            if settings.attack is not None:
                batch = attack_images(settings.attack, self._classifier, batch, labels, noise)
            total += self._step(batch, labels)
            seen += len(labels)
            self._progress.advance(len(labels))
        if seen == 0:
            raise ShapebiasError(f"no two images could be used in epoch {number}: give images that can be decoded")
        loss, right = (total / seen).tolist()
        if not math.isfinite(loss):
            raise ShapebiasError(
                f"the loss became NaN or infinite in epoch {number}: try a lower --learning-rate, with --overwrite"
            )
        return loss, right

    def _step(self, batch: Tensor, labels: Tensor) -> Tensor:
        """Take one step of the optimizer; return the sum of the losses and the number of right answers, [2], on the
        device."""
        scores = self._classifier(batch)
        loss = F.cross_entropy(scores, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's
        self.optimizer.step()
        return torch.stack([loss.detach() * len(labels), (scores.detach().argmax(1) == labels).sum()])

    def _evaluate(self, number: int) -> tuple[float | None, float | None]:
        """Return the accuracy on the held-out images and, in adversarial training, that under the same attack.

        None for what is not measured.
        """
        if not len(self._held_out):
            return None, None
        attack = self.settings.attack
        noise = torch.Generator(self.device.device).manual_seed(_seed(self.settings.seed, number))
        if attack is None:
            return robust_accuracy(self._classifier, self._held_out_batches(), [Attack.reaching("l2", 0.0, 1)])[0], None
        attacks = [replace(attack, epsilon=0.0), attack]
        accuracy, robust = robust_accuracy(self._classifier, self._held_out_batches(), attacks, noise)
        return accuracy, robust

    def _held_out_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, classes in self.data.batches(self._held_out, self.settings.batch_size):
            yield to_inputs(pixels, self.device), classes.to(self.device.device)


def schedule(progress: float) -> float:
    """Return the learning rate, as a fraction of the largest, at `progress` in [0, 1): linear warm-up, then a cosine to
    0."""
    if progress < _WARM_UP:
        return 0.04 + 0.96 * progress / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return groups of parameters with weight decay for kernels and matrices only: norms and biases (one axis) are not
    pulled to 0."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch's random numbers: 63 bits that neighbouring seeds and epochs do not share."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
