"""Decoded images in batches, by processes that work ahead of the network.

A worker is a plain Python program, started anew (never forked: the caller runs threads and CUDA) and without the
caller's `__main__`, which `multiprocessing` would import again. It reads tasks from its stdin, answers on its stdout and
writes pixels into memory that it shares with the caller by an inherited file descriptor: memory without a name cannot
outlive its processes, however they end, and needs no room in /dev/shm.
"""

import contextlib
import mmap
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.images.decode import Geometry, ImageError, encode_thumbnail, read_pixels
from shapebias.precompute.images.folder import Skipped

Pixels = npt.NDArray[np.uint8]
Outcome = bytes | str  # of one image: its thumbnail (empty where none was asked for), or why it is skipped

_SLOTS = 3  # batches in memory: one that the caller uses, two that the workers fill
_CHUNK = 16  # images a task: few, so that the first batch comes early; enough that messages cost nothing


@dataclass
class Batch:
    """Some images of a listing, in its order.

    positions:   int64 [B], where they are in the listing
    pixels:      uint8 [B, H, W, 3], C-contiguous, valid only until the next batch is asked for
    thumbnails:  B encoded images, or None where they were not asked for
    """

    positions: npt.NDArray[np.int64]
    pixels: Pixels
    thumbnails: list[bytes] | None


@dataclass(frozen=True)
class _Job:
    """What a worker does to every image, and the shape of the memory it writes to."""

    decode: Callable[[bytes], Pixels]
    thumbnails: bool
    shape: tuple[int, int, int, int]

    def run(self, paths: list[bytes], rows: Pixels) -> list[Outcome]:
        """Decode images into rows uint8 [images, H, W, 3]."""
        outcomes: list[Outcome] = []
        for path, row in zip(paths, rows, strict=True):
            try:
                row[...] = self.decode(path)
                outcomes.append(encode_thumbnail(row) if self.thumbnails else b"")
            except ImageError as error:
                outcomes.append(str(error))
        return outcomes


class Loader:
    """An iterator over the images of a listing in batches of `batch_size`, and a context manager that cleans up.

        with Loader(images.root, images.paths, geometry, batch_size=64, workers=2) as loader:
            for batch in loader:
                ...

    The batches are the same for any number of workers: images that fail are left out of their batch and appended to
    `skipped`, in listing order, and a batch of which nothing is left is not given. Workers start, and begin to decode,
    when the loader is made; `workers=0` decodes in this process. A loader is used once. A worker's death (a decoder's
    crash, the system's out-of-memory killer) costs only the image that kills a fresh worker too. `decode_function`
    (path -> uint8 [crop, crop, 3], or `ImageError`) can stand in for `decode.read_pixels`; workers must be able to
    import it. Whatever else it raises comes out of the iteration.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[bytes],
        geometry: Geometry,
        batch_size: int,
        workers: int,
        thumbnails: bool = False,
        decode_function: Callable[[bytes], Pixels] | None = None,
    ) -> None:
        self.skipped: list[Skipped] = []
        self._folder = os.fsencode(root.absolute())
        self._paths = paths
        self._batch_size = min(batch_size, max(len(paths), 1))
        slots = _SLOTS if workers else 1
        shape = (slots * self._batch_size, geometry.crop, geometry.crop, 3)
        self._job = _Job(decode_function or partial(read_pixels, geometry=geometry), thumbnails, shape)
        self._chunk = min(_CHUNK, -(-self._batch_size // workers)) if workers else self._batch_size
        self._next = 0
        self._pending: deque[_Pending] = deque()
        self._closed = False
        self._resources = contextlib.ExitStack()
        self._executor: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        try:
            self._memory = self._start(workers) if workers else np.empty(shape, np.uint8)
            for _ in range(slots):
                self._submit()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        if self._closed:
            raise RuntimeError("this loader is closed: make a new one to read the images again")
        try:
            while self._pending:
                batch = self._collect(self._pending.popleft())
                if len(batch.positions):
                    yield batch
                self._submit()
        finally:
            self.close()

    def close(self) -> None:
        """End the workers and free the memory (once no batch uses it). Safe to call again."""
        self._closed = True
        self._pending.clear()
        self._next = len(self._paths)
        self._resources.close()

    def _start(self, workers: int) -> Pixels:
        """Start the workers; the memory that they share with this process."""
        job = pickle.dumps(self._job)
        file = self._resources.enter_context(_anonymous_file())
        file.truncate(int(np.prod(self._job.shape)))
        self._executor = ThreadPoolExecutor(workers, "images")
        self._resources.callback(self._executor.shutdown, cancel_futures=True)
        for _ in range(workers):
            worker = _Worker(job, file.fileno())
            self._resources.callback(worker.close)  # called before the executor waits for its threads
            self._idle.put(worker)
        return _map(file.fileno(), self._job.shape)

    def _submit(self) -> None:
        """Have the next batch decoded, into the slot that is free longest."""
        first = self._next
        last = min(first + self._batch_size, len(self._paths))
        if first >= last:
            return
        self._next = last
        row = first % len(self._memory)
        results: list[Callable[[], list[Outcome]]] = []
        for start in range(first, last, self._chunk):
            stop = min(start + self._chunk, last)
            paths = [self._folder + b"/" + path for path in self._paths[start:stop]]
            task = partial(self._decode, row + start - first, paths)
            results.append(self._executor.submit(task).result if self._executor else task)
        self._pending.append(_Pending(first, self._memory[row : row + last - first], results))

    def _decode(self, row: int, paths: list[bytes]) -> list[Outcome]:
        if self._executor is None:
            return self._job.run(paths, self._memory[row : row + len(paths)])
        worker = self._idle.get()  # there are as many threads as workers
        try:
            return worker.decode(row, paths)
        finally:
            self._idle.put(worker)

    def _collect(self, pending: "_Pending") -> Batch:
        outcomes = [outcome for result in pending.results for outcome in result()]
        kept, thumbnails = [], []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, bytes):
                kept.append(index)
                thumbnails.append(outcome)
            else:
                self.skipped.append(Skipped(self._paths[pending.first + index], outcome))
        pixels = pending.pixels
        if len(kept) < len(pixels):
            pixels[: len(kept)] = pixels[kept]
        positions = pending.first + np.array(kept, np.int64)
        return Batch(positions, pixels[: len(kept)], thumbnails if self._job.thumbnails else None)


@dataclass
class _Pending:
    """A batch on its way: where it starts in the listing, its slot, and its chunks' outcomes, to be waited for."""

    first: int
    pixels: Pixels
    results: list[Callable[[], list[Outcome]]]


class _Worker:
    """A process that decodes, and is replaced when it dies. One thread at a time uses it; any thread may close it."""

    def __init__(self, job: bytes, memory: int) -> None:
        self._job = job
        self._memory = memory
        self._lock = threading.Lock()
        self._closed = False
        self._ready = False
        self._process = self._start()

    def decode(self, row: int, paths: list[bytes]) -> list[Outcome]:
        """Decode images into the rows of the shared memory from `row` on."""
        outcomes = self._ask(row, paths)
        if outcomes is None and len(paths) > 1:
            return [outcome for index, path in enumerate(paths) for outcome in self.decode(row + index, [path])]
        if outcomes is None:  # an image before it may have harmed the process: it gets a fresh one
            outcomes = self._ask(row, paths)
        return outcomes or ["the decoder crashed on it"]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._end()

    def _ask(self, row: int, paths: list[bytes]) -> list[Outcome] | None:
        """The answer to a task, or None if the process died of it; there is a new one then."""
        tasks, answers = self._process.stdin, self._process.stdout
        assert tasks and answers
        try:
            if not self._ready:
                self._ready = pickle.load(answers)
            pickle.dump((row, paths), tasks)
            tasks.flush()
            answer: list[Outcome] | Exception = pickle.load(answers)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # ValueError: closed by another thread
            self._replace()
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _start(self) -> "subprocess.Popen[bytes]":
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from {__name__} import _work; _work(sys.stdin.buffer, {self._memory})"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._memory],
            process_group=0,  # Ctrl-C in the terminal is the caller's to answer
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        assert process.stdin
        process.stdin.write(self._job)
        process.stdin.flush()
        return process

    def _replace(self) -> None:
        with self._lock:
            if self._closed:
                raise CancelledError
            self._end()
            if not self._ready:
                status = self._process.returncode
                raise ShapebiasError(f"an image worker does not start (status {status}): try without workers")
            self._ready = False
            self._process = self._start()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            with contextlib.suppress(OSError):  # a task that was never read
                pipe.close()


def default_workers() -> int:
    """How many workers to use: one for each processor that this process may run on, 1 to 8."""
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return max(1, min(8, count or 1))


def _anonymous_file() -> IO[bytes]:
    """A file in memory without a name (where the system has that), gone when the last process lets go of it."""
    if sys.platform == "linux":
        return open(os.memfd_create("shapebias-images"), "r+b")  # noqa: PTH123 (a descriptor has no path)
    return tempfile.TemporaryFile()


def _map(descriptor: int, shape: tuple[int, int, int, int]) -> Pixels:
    memory = mmap.mmap(descriptor, int(np.prod(shape)))
    return np.frombuffer(memory, np.uint8).reshape(shape)


def _work(tasks: IO[bytes], memory: int) -> None:
    """A worker's life: a job, then tasks, each answered by the outcomes of its images, until the caller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)  # the network comes first
    job: _Job = pickle.load(tasks)
    rows = _map(memory, job.shape)
    with open(os.dup(1), "wb") as answers, open(os.devnull, "wb") as null:  # noqa: PTH123
        pickle.dump(True, answers)
        answers.flush()
        for output in (1, 2):  # decoders in C print as they please
            os.dup2(null.fileno(), output)
        while True:
            try:
                row, paths = pickle.load(tasks)
            except EOFError:
                return
            try:
                answer: list[Outcome] | Exception = job.run(paths, rows[row : row + len(paths)])
            except Exception as error:
                error.add_note(f"in an image worker:\n{traceback.format_exc()}")
                answer = error
            pickle.dump(answer, answers)
            answers.flush()
