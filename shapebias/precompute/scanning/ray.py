"""Measures shards on a Ray cluster: the one that RAY_ADDRESS names, or one of this machine alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.device import Device, choose_device, choose_precision
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.parts import Part
from shapebias.precompute.progress import Reporter, Silent
from shapebias.precompute.runner import prepare_runners
from shapebias.precompute.scanning.halving import BatchHalving
from shapebias.precompute.scanning.scan import Scan, Task, measure_shards
from shapebias.precompute.scanning.shards import Shards
from shapebias.precompute.scanning.stream import Stream
from shapebias.precompute.settings import Settings
from shapebias.precompute.stopping import signals_kept

try:
    import ray
except ImportError as error:
    raise UsageError("--engine ray needs Ray: pip install 'shapebias[ray]'") from error

_RETRIES = 3  # further attempts for a shard whose worker died
_AHEAD = 2  # shards assigned to a worker: one is measured, one waits


class RayEngine:
    """Measures shards in workers on a Ray cluster; this process keeps their parts in `folder`.

    Parts that are already there are not measured again. Every worker has its own networks and its own processes that
    decode. A worker that dies is started again by Ray. Use the engine as a context manager: it connects to the cluster.
    """

    def __init__(
        self,
        settings: Settings,
        image_set: ImageSet,
        device: Device,
        progress: Reporter,
        *,
        folder: Path,
        add_gpu: Callable[[str], None],
    ) -> None:
        """Prepare the engine without contacting the cluster.

        image_set:  the probe images; only their classes are sent to the workers from here
        device:     the workers' (`worker_device`)
        folder:     where the parts of each scan are kept, in a sub-folder of its own
        add_gpu:    is called with the name of the GPU for every result that comes from one
        """
        self._settings, self._progress, self._folder = settings, progress, folder
        self._device, self._add_gpu = device, add_gpu
        self._classes = image_set.take([])  # without images: their classes only
        self._halving = BatchHalving()
        self._workers: list[Any] = []
        self._started = False

    @property
    def notes(self) -> list[str]:
        """Remarks for the user, a line each: how many workers measured, and batches that were halved."""
        return self._halving.notes

    def __enter__(self) -> Self:
        """Connect to the cluster, unless this process is connected. Raises ShapebiasError where that fails."""
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS")
            try:
                with signals_kept():
                    ray.init(
                        address=address or "local", include_dashboard=False, log_to_driver=False, logging_level="ERROR"
                    )
            except Exception as error:
                where = f"no Ray cluster at {printable(address)}" if address else "Ray does not start"
                reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 160)
                raise ShapebiasError(f"{where}: {reason}") from error
            self._started = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:
            ray.shutdown()  # ends the workers, too
            return
        for worker in self._workers:
            ray.kill(worker)

    def run(self, scan: Scan) -> Shards:
        """Measure the shards of a scan whose parts are not in the folder yet, and return the parts of all shards.

        Images that cannot be used are left out, and listed in the result's `skipped`. Raises ShapebiasError where a
        network fails, there is too little memory, workers do not start or die repeatedly, a server cannot be reached,
        or a part cannot be read or written.
        """
        stream = Stream(scan.image_set, self._settings, self._device, self._progress)
        batch_size = scan.batch_size(stream)
        ranges = scan.shards(batch_size, self._settings.shard_size, self._device.device.type)
        shards = Shards(self._folder / scan.name, ranges)
        self._progress.stage(scan.title, len(scan))
        self._progress.advance(len(scan) - sum(len(shards.ranges[number]) for number in shards.missing()))

        def measure(missing: list[int], fitting: int) -> Iterator[tuple[int, Part]]:
            for number, part in self._measured(scan, shards, missing, fitting):
                yield number, part
                self._progress.advance(len(shards.ranges[number]))

        self._halving.measure_all(shards, batch_size, measure)
        return shards

    def _measured(self, scan: Scan, shards: Shards, missing: list[int], batch_size: int) -> Iterator[tuple[int, Part]]:
        """Yield the number and the part of each shard whose number is in `missing`, as they are finished."""
        sent = ray.put(scan)
        yield from self._distribute(
            missing, lambda worker, number: worker.measure.remote([sent], shards.ranges[number], batch_size)
        )

    def run_tasks(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Yield each task's index in `tasks` and its result, as they are finished, in any order.

        Raises ShapebiasError, as `run` does.
        """
        self._progress.stage("tasks of Ray's workers", len(tasks))
        for number, result in self._distribute(
            range(len(tasks)), lambda worker, number: worker.perform.remote(tasks[number])
        ):
            yield number, result
            self._progress.advance(1)

    def _distribute(self, numbers: Sequence[int], give: Callable[[Any, int], Any]) -> Iterator[tuple[int, Any]]:
        """Yield each of the numbers and its result, as the workers finish them, in any order.

        `give(worker, number)` starts the work on a number by a worker and returns Ray's reference to its result.
        """
        if not numbers:
            return
        if not self._workers:
            self._workers = self._start(len(numbers))
        waiting = iter(numbers)
        running: dict[Any, tuple[int, Any]] = {}

        def give_next(worker: Any) -> None:
            number = next(waiting, None)
            if number is not None:
                running[give(worker, number)] = (number, worker)

        for _ in range(_AHEAD):
            for worker in self._workers:
                give_next(worker)
        while running:
            [done], _ = ray.wait(list(running), num_returns=1)
            number, worker = running.pop(done)
            result, gpu = _result(done)
            if gpu is not None:
                self._add_gpu(gpu)
            yield number, result
            give_next(worker)

    def _start(self, shards: int) -> list[Any]:
        """Start as many workers as the cluster has room for, at most the user's number and one for each shard.

        Returns Ray's references to them. Raises ShapebiasError where there is room for none.
        """
        settings = self._settings
        room = ray.cluster_resources()
        fitting = int(room.get("CPU", 0) // settings.cpus_per_worker)
        if settings.gpus_per_worker:
            fitting = min(fitting, int(room.get("GPU", 0) // settings.gpus_per_worker))
        if not fitting:
            raise ShapebiasError(
                f"no node of the Ray cluster has {settings.cpus_per_worker:g} CPUs and {settings.gpus_per_worker:g} "
                "GPUs: ask for less with --cpus-per-worker and --gpus-per-worker"
            )
        kind = ray.remote(_Worker).options(
            num_cpus=settings.cpus_per_worker,
            num_gpus=settings.gpus_per_worker,
            max_restarts=-1,
            max_task_retries=_RETRIES,
            runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}},
        )
        count = min(settings.ray_workers or fitting, fitting, shards)
        self.notes.append(f"measured by {count} Ray worker{'s' if count > 1 else ''}")
        return [kind.remote(settings, self._classes, self._device, str(Path.cwd())) for _ in range(count)]


def worker_device(settings: Settings) -> Device:
    """Return the device of every worker: a GPU that Ray gives it where the settings give workers GPUs, else the CPU.

    Raises UsageError where `--device` asks for another device, or the precision does not exist there.
    """
    asked = printable(settings.device)
    if settings.gpus_per_worker:
        if settings.device == "cpu":
            raise UsageError("--device cpu leaves the GPUs of --gpus-per-worker idle: leave one of the two out")
        if settings.device not in ("auto", "cuda"):
            raise UsageError(f"--device {asked}: Ray gives each worker its own GPU, so write --device cuda")
        return Device(torch.device("cuda"), choose_precision(settings.precision, has_tf32=True))
    if settings.device not in ("auto", "cpu"):
        raise UsageError(f"--device {asked} with --engine ray needs GPUs for the workers: --gpus-per-worker 1")
    return choose_device("cpu", settings.precision)


def _result(done: Any) -> tuple[Any, str | None]:
    """Return the result behind a reference, and the name of the GPU that it comes from (None: the CPU).

    Raises the worker's error, or ShapebiasError where the worker died too often.
    """
    try:
        result, gpu = ray.get(done)
        return result, gpu
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ShapebiasError):
            raise error.cause from None
        raise
    except ray.exceptions.RayActorError as error:
        reason = printable(str(error).splitlines()[0], 200)
        raise ShapebiasError(f"a Ray worker died {_RETRIES + 1} times while measuring one shard: {reason}") from error


class _Worker:
    """A process somewhere in the cluster, with networks of its own on `device`.

    `classes` is the probe images' set without images; `folder` is the command's working folder, which the worker uses
    too if it has one of that name. Ray hides no GPU from a worker that is given none, so the worker does not choose its
    device by what it sees.
    """

    def __init__(self, settings: Settings, classes: ImageSet, device: Device, folder: str) -> None:
        if Path(folder).is_dir():  # relative names are as in the command
            os.chdir(folder)
        processors = max(1, int(settings.cpus_per_worker))
        torch.set_num_threads(processors)
        self._settings = settings if settings.workers is not None else replace(settings, workers=processors)
        self._device = choose_device(device.device.type, device.precision.name)
        self._runners = prepare_runners(settings, classes, self._device)
        self._scan: tuple[Any, Scan] | None = None

    def measure(self, sent: list[Any], shard: range, batch_size: int) -> tuple[Part, str | None]:
        """Return the part of a shard, and the name of the GPU that measured it (None: the CPU).

        `sent` is a list of one reference to the scan, so that Ray does not read the scan anew for every shard.
        """
        if self._scan is None or self._scan[0] != sent[0]:
            self._scan = (sent[0], ray.get(sent[0]))
        scan = self._scan[1]
        stream = Stream(scan.image_set, self._settings, self._device, Silent())
        [part] = measure_shards(scan, [shard], self._runners, stream, batch_size=batch_size)
        return part, self._device.gpu

    def perform(self, task: Task) -> tuple[Any, str | None]:
        """Return the result of a task, and the name of the GPU that it ran on (None: the CPU)."""
        return task(self._runners, self._device, Silent()), self._device.gpu
