"""A process that decodes images for another one: both ends of it.

It is a plain Python program, started anew (never forked, since the caller runs threads and CUDA) and without the
caller's `__main__`, which `multiprocessing` would import again. It reads tasks from its stdin, answers on its stdout
and writes pixels into memory that it shares with the caller through an inherited file descriptor. That memory has no
name, so it cannot outlive its processes, however they end, and it needs no room in /dev/shm.
"""

import contextlib
import mmap
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextvars import ContextVar
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt

from shapebias.core.errors import ShapebiasError
from shapebias.precompute.images.decode import encode_thumbnail
from shapebias.precompute.images.geometry import ImageError

Pixels = npt.NDArray[np.uint8]
# The result of one image: its encoded thumbnail (b"" where none was asked for) or its file, or why it is skipped.
Outcome = bytes | str


@dataclass(frozen=True)
class Job:
    """The work for every image, and the shape of the shared memory.

    decode:      returns the pixels of an address (see `fetch`), uint8 [H, W, 3] or [versions, H, W, 3], or bytes that
                 the caller decodes itself, or raises `ImageError`
    thumbnails:  whether the first version of each image is also encoded as a thumbnail
    shape:       [slots, versions, images of a slot, H, W, 3]: one version of all images of a slot lies in one piece, as
                 a network takes it
    """

    decode: Callable[[bytes], Pixels | bytes]
    thumbnails: bool
    shape: tuple[int, ...]

    def run(self, paths: list[bytes], images: Pixels) -> list[Outcome]:
        """Decode images into `images`, uint8 [versions, len(paths), H, W, 3]; return the outcome of each.

        Where an image fails, its place in `images` keeps what was there. Raises what `decode` raises but `ImageError`.
        """
        outcomes: list[Outcome] = []
        for index, path in enumerate(paths):
            try:
                pixels = self.decode(path)
                if isinstance(pixels, bytes):
                    outcomes.append(pixels)
                    continue
                images[:, index] = pixels
                outcomes.append(encode_thumbnail(images[0, index]) if self.thumbnails else b"")
            except ImageError as error:
                outcomes.append(str(error))
        return outcomes


class Worker:
    """A process that decodes images, and is replaced when it dies.

    `job` is a pickled `Job`, `memory` the descriptor of the file with the shared memory. The process starts at once.
    One thread at a time may call `decode`; any thread may call `close`.
    """

    def __init__(self, job: bytes, memory: int) -> None:
        self._job = job
        self._memory = memory
        self._lock = threading.Lock()
        self._closed = False
        self._ready = False
        self._process = self._start()

    def decode(self, slot: int, first: int, paths: list[bytes]) -> list[Outcome]:
        """Decode images into a slot of the shared memory, from its `first` image on; return the outcome of each.

        An image that kills the process, and a fresh one too, gets a reason as its outcome. Raises the job's errors,
        `ShapebiasError` if the process does not start, and `CancelledError` if the worker is closed meanwhile.
        """
        outcomes = self._ask(slot, first, paths)
        if outcomes is None and len(paths) > 1:
            return [outcome for index, path in enumerate(paths) for outcome in self.decode(slot, first + index, [path])]
        if outcomes is None:  # an earlier image may have harmed the process: it is tried again in a fresh one
            outcomes = self._ask(slot, first, paths)
        return outcomes or ["the decoder crashed on it"]

    def take_job(self, job: bytes) -> None:
        """Make the next tasks those of another job, for which the memory is large enough."""
        self._job = job
        self._send_job(self._process)

    def close(self) -> None:
        """Stop the process; a thread that waits for its answer gets `CancelledError`."""
        with self._lock:
            self._closed = True
            self._end()

    def _ask(self, slot: int, first: int, paths: list[bytes]) -> list[Outcome] | None:
        """Return the outcomes of a task; None if the process died during it, in whose place a new one is started.

        Raises the errors of `decode`.
        """
        tasks, answers = _pipes(self._process)
        try:
            if not self._ready:
                self._ready = pickle.load(answers)
            _send((slot, first, paths), tasks)
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
            process_group=0,  # the caller handles Ctrl-C in the terminal
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self._send_job(process)
        return process

    def _send_job(self, process: "subprocess.Popen[bytes]") -> None:
        tasks, _ = _pipes(process)
        with contextlib.suppress(OSError):  # it is already dead, which the first task will notice
            tasks.write(self._job)
            tasks.flush()

    def _replace(self) -> None:
        with self._lock:
            if self._closed:
                raise CancelledError
            self._end()
            if not self._ready:
                raise ShapebiasError("a process that decodes images does not start: try --workers 0")
            self._ready = False
            self._process = self._start()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in _pipes(self._process):
            with contextlib.suppress(OSError):  # a task that was never read
                pipe.close()


class WorkerPool:
    """Processes that decode, and the memory that they share with this one. One loader at a time may use them."""

    def __init__(self) -> None:
        self._file = anonymous_file()
        self._size = 0
        self._idle: list[Worker] = []
        self.lent = False

    def lend(self, count: int, job: Job) -> tuple[list[Worker], Pixels]:
        """Return workers that do a job, and the memory that it describes. Those that run already come first."""
        self.lent = True
        needed = int(np.prod(job.shape))
        if needed > self._size:
            self._file.truncate(needed)
            self._size = needed
        pickled, descriptor = pickle.dumps(job), self._file.fileno()
        running, self._idle = self._idle[:count], self._idle[count:]
        for worker in running:
            worker.take_job(pickled)
        started = [Worker(pickled, descriptor) for _ in range(count - len(running))]
        return running + started, map_pixels(descriptor, job.shape)

    def take_back(self, workers: list[Worker], *, idle: bool) -> None:
        """Keep workers for the next job if they are `idle`; stop them if they may be at work, or no job can follow."""
        self.lent = False
        if idle and not self._file.closed:
            self._idle += workers
            return
        for worker in workers:
            worker.close()

    def close(self) -> None:
        """Stop the processes that are not lent, and free the memory as soon as nobody uses it."""
        for worker in self._idle:
            worker.close()
        self._file.close()


_kept: ContextVar[WorkerPool | None] = ContextVar("kept", default=None)


@contextlib.contextmanager
def kept_workers() -> Iterator[None]:
    """Let all loaders of the block have the same processes, which take some time to start."""
    with contextlib.closing(WorkerPool()) as pool:
        token = _kept.set(pool)
        try:
            yield
        finally:
            _kept.reset(token)


@contextlib.contextmanager
def usable_pool() -> Iterator[WorkerPool]:
    """Yield the pool of `kept_workers` where no loader uses it, else a new one."""
    kept = _kept.get()
    if kept is not None and not kept.lent:
        yield kept
    else:
        with contextlib.closing(WorkerPool()) as pool:
            yield pool


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def anonymous_file() -> IO[bytes]:
    """Return a file without a name, freed when the last process closes it: in memory on Linux, else on the disk."""
    if sys.platform == "linux":
        return open(os.memfd_create("shapebias-images"), "r+b")  # noqa: PTH123 (a descriptor has no path)
    else:
        import tempfile  # imported here, since that is slow for a worker

        return tempfile.TemporaryFile()


def map_pixels(descriptor: int, shape: tuple[int, ...]) -> Pixels:
    """Return the content of the open file `descriptor` as pixels, uint8 of this shape, writable.

    All processes that map the file share it. The mapping ends with the last array on it.
    """
    memory = mmap.mmap(descriptor, int(np.prod(shape)))
    return np.frombuffer(memory, np.uint8).reshape(shape)


def _work(tasks: IO[bytes], memory: int) -> None:
    """Run a worker: read a job from `tasks`, then its tasks or other jobs, until the caller is gone.

    The first answer, on standard output, is True: the worker is ready. Then every task (slot, first, paths) is answered
    with the outcomes of its images, or with the exception that it raised. `memory` is the descriptor of the shared
    memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)  # the network comes first
    job: Job = pickle.load(tasks)
    slots = map_pixels(memory, job.shape)
    with contextlib.suppress(EOFError, BrokenPipeError), open(os.dup(1), "wb") as answers:  # noqa: PTH123 (a descriptor)
        null = os.open(os.devnull, os.O_WRONLY)
        for output in (1, 2):  # decoders in C may print messages
            os.dup2(null, output)
        _send(True, answers)
        while True:
            message: Job | tuple[int, int, list[bytes]] = pickle.load(tasks)
            if isinstance(message, Job):
                job, slots = message, map_pixels(memory, message.shape)
                continue
            slot, first, paths = message
            answer: list[Outcome] | Exception
            try:
                answer = job.run(paths, slots[slot, :, first : first + len(paths)])
            except Exception as error:
                error.add_note(f"in an image worker:\n{traceback.format_exc()}")
                answer = error
            _send(answer, answers)


def _send(message: object, pipe: IO[bytes]) -> None:
    pickle.dump(message, pipe)
    pipe.flush()
