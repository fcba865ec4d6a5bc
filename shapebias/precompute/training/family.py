"""Trains several networks that differ only in their seed: `shapebias train --seeds`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from shapebias.core.errors import UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.trained import read_trained
from shapebias.precompute.progress import Reporter
from shapebias.precompute.training.checkpoint import checkpoint_path
from shapebias.precompute.training.loop import train, training_device
from shapebias.precompute.training.settings import Epoch, TrainingSettings, TrainingSummary


def parse_seeds(text: str) -> list[int]:
    """Return the numbers of `0,1,2`. Raises UsageError for another form, and for a number given twice."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise UsageError(f"--seeds {printable(text)}: write numbers with commas between them, such as 0,1,2")
    seeds = [int(part) for part in parts]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {printable(text)}: name each seed once: equal seeds give equal networks")
    return seeds


def train_family(
    settings: TrainingSettings, seeds: Sequence[int], progress: Reporter, on_epoch: Callable[[Epoch], None]
) -> Iterator[TrainingSummary]:
    """Train a network for each seed, and yield the summaries; seed 1 is written to NAME-1.safetensors for output
    NAME.safetensors.

    A file from an earlier run with the same settings is kept; the summary's `device` is then "an earlier run".
    `on_epoch` is called after every epoch. Raises UsageError before any training where a file has other settings, and
    the errors of `train`.
    """
    members = [
        replace(settings, seed=seed, output=settings.output.with_stem(f"{settings.output.stem}-{seed}"))
        for seed in seeds
    ]
    finished = [_finished(member) for member in members]
    for member, summary in zip(members, finished, strict=True):
        yield summary or train(member, progress, on_epoch)


def _finished(settings: TrainingSettings) -> TrainingSummary | None:
    """Return the summary of an earlier run with these settings that was finished; None where there is none.

    Raises UsageError where the output is there and has other settings.
    """
    output = settings.output
    if settings.overwrite or not output.exists() or checkpoint_path(output).exists():
        return None
    trained = read_trained(output)
    recipe = {} if trained is None else dict(trained.recipe)
    history = recipe.pop("history", [])
    if trained is None or recipe != settings.recipe(training_device(settings)):
        raise UsageError(
            f"{printable(str(output))} exists and was trained with other settings: choose another --output, or replace "
            "it with --overwrite"
        )
    return TrainingSummary(
        output=output,
        bytes=output.stat().st_size,
        parameters=sum(parameter.numel() for parameter in trained.build().parameters()),
        device="an earlier run",
        images=len(settings.images),
        epochs=[Epoch(**facts) for facts in history],
        resumed=len(history),
    )
