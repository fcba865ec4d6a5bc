"""The folder STORE.partial beside a store's path, which keeps the finished work of a run until the store is
complete.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.files import cannot_write, write_atomically
from shapebias.core.text import printable

_OURS = {"store", "shards", "ablation", "drawn", "run.json", "gpus.json", "holder.json"}
_SHOWN = 4  # differences
_WORDS = (  # names in a run's identity, and what users call them
    (r"digests images", "the list of images, or a size or time of one,"),
    (r"digests boxes", "a box of --boxes"),
    (r"digests (cue_conflict|stylized|broden)", r"an image for --\1"),
    (r"digests ood (.+)", r"an image of the set \1"),
    (r"digests (.+)", r"an image of the variant \1"),
    (r"networks (?:\d+ )?(.+) weights", r"the weights of \1"),
    (r"networks (?:\d+ )?(.+) layers", r"the layers of \1"),
    (r"networks (?:\d+ )?(.+?) preprocessing (.+)", r"the preprocessing of \1 (\2)"),
    (r"networks (?:\d+ )?(.+)", r"the network \1"),
    (r"files (.+)", r"the file \1"),
    (r"models", "--model"),
    (r"shapebias", "the version of shapebias"),
    (r"device (.+)", r"the device's \1"),
)


def check_free(store: Path, overwrite: bool) -> None:
    """Raise UsageError where something is at a store's path that must not be replaced.

    Without `overwrite` that is anything, else all but stores of shapebias and empty folders.
    """
    if not os.path.lexists(store):
        return
    store_text = printable(str(store))
    if not overwrite:
        raise UsageError(f"{store_text} exists: pass --overwrite to replace it, or another --store")
    if not _is_ours(store):
        raise UsageError(f"{store_text} is not a store, so it is not overwritten: choose another --store")


def _is_ours(path: Path) -> bool:
    """Return whether a path is a store of shapebias or an empty folder; nothing else is ever replaced."""
    if not path.is_dir():
        return False
    root = path / "zarr.json"
    return b'"shapebias"' in root.read_bytes() if root.is_file() else not any(path.iterdir())


class StartAgainError(ShapebiasError):
    """The run failed, and its finished work cannot be used any more."""


class UnfinishedRun:
    """The folder of a run beside its store's path, with the finished work of an earlier run.

    `shards` and `ablation` are the subfolders of what can be kept; `store` and `drawn` (built-in images) are made anew
    by every run. One run at a time has the folder: it locks the file holder.json, and the lock ends with the process,
    however that ends.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self.folder = store.with_name(f"{store.name}.partial")
        self.shards = self.folder / "shards"
        self.ablation = self.folder / "ablation"
        self.drawn = self.folder / "drawn"
        self._holder = self.folder / "holder.json"
        self._identity = self.folder / "run.json"
        self._gpus = self.folder / "gpus.json"

    def open(self) -> None:
        """Make and lock the folder.

        Raises ShapebiasError where another run has it or it cannot be made, UsageError where it is not a folder of
        shapebias.
        """
        while not self._lock_folder():
            pass
        if others := {entry.name for entry in self.folder.iterdir() if entry.suffix != ".partial"} - _OURS:
            self._holder.unlink()
            os.close(self._lock)
            named = printable(sorted(others)[0])
            raise UsageError(
                f"{printable(str(self.folder))} is needed for the new store, but holds {named}: move that away"
            )
        shutil.rmtree(self.drawn, ignore_errors=True)  # of a run that was killed: its files may be damaged
        with contextlib.suppress(OSError):
            self.drawn.mkdir(exist_ok=True)

    def _lock_folder(self) -> bool:
        """Return whether the folder is now locked; it is not if the run that had it has removed it in between.

        Raises ShapebiasError where another run has it, or it cannot be made.
        """
        store_text = printable(str(self._store))
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self._lock = os.open(self._holder, os.O_RDWR | os.O_CREAT, 0o666)  # NFS locks what is open to write
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._lock), self._holder.stat()):
                    now = datetime.now().astimezone().isoformat(timespec="seconds")
                    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
                    os.ftruncate(self._lock, 0)
                    os.write(self._lock, json.dumps(holder).encode())
                    return True
                os.close(self._lock)
            return False
        except BlockingIOError as error:
            os.close(self._lock)
            raise ShapebiasError(
                f"another run{self._holder_text()} is writing {store_text}: wait for it or stop it"
            ) from error
        except OSError as error:
            raise cannot_write(self._store, error) from error

    def _holder_text(self) -> str:
        """Return a text in brackets, after a space, that says who has the folder; empty where that is not known."""
        try:
            holder = json.loads(self._holder.read_text())
            text = f" (process {int(holder['process'])} on {holder['host']}, since {holder['since']})"
        except (OSError, ValueError, TypeError, KeyError):  # the other run is just starting
            return ""
        return printable(text, 200)

    def begin(self, identity: dict[str, Any], restart: bool) -> bool:
        """Return whether an unfinished run is continued, one with the same `identity` (all that results depend on, as
        JSON).

        `restart` deletes the work of an unfinished run first. Raises UsageError that lists the differences where the
        identity of an unfinished run is another one, ShapebiasError where the folder cannot be written.
        """
        if restart:
            self.clear()
        earlier = self._read_identity()
        if earlier is not None and (self.shards.exists() or self.ablation.exists()):
            different = _differences(earlier, json.loads(json.dumps(identity)))
            if not different:
                return True
            text = "; ".join(different[:_SHOWN]) + ("; …" if len(different) > _SHOWN else "")
            raise UsageError(
                f"{printable(str(self.folder))} holds an unfinished run, but {text}: give the command as it was to go "
                "on with it, or pass --restart to forget it"
            )
        self.clear()
        write_atomically(self._identity, json.dumps(identity, indent=1).encode())
        return False

    def gpus(self) -> list[str]:
        """Return the names of the GPUs that have measured a part, each once."""
        try:
            names = json.loads(self._gpus.read_text())
        except (OSError, ValueError):
            return []
        return [str(name) for name in names] if isinstance(names, list) else []

    def add_gpu(self, name: str, mixing: bool) -> None:
        """Record the GPU that measures from now on.

        Raises UsageError where another kind has measured a part, since it rounds differently, unless `mixing`;
        ShapebiasError where the folder cannot be written.
        """
        gpu_names = self.gpus()
        if name in gpu_names:
            return
        if gpu_names and not mixing:
            raise UsageError(
                f"parts of this run were measured on {printable(gpu_names[0], 60)}, and {printable(name, 60)} rounds "
                "otherwise: go on there, pass --mix-gpus to have both in one store, or --restart to forget the parts"
            )
        write_atomically(self._gpus, json.dumps([*gpu_names, name]).encode())

    def _read_identity(self) -> dict[str, Any] | None:
        """Return the identity of the run in the folder; None where there is none."""
        try:
            identity = json.loads(self._identity.read_text())
        except (OSError, ValueError):
            return None
        return identity if isinstance(identity, dict) else None

    def clear(self) -> None:
        """Delete the kept work, and the record of the GPUs that measured it."""
        for folder in (self.shards, self.ablation):
            shutil.rmtree(folder, ignore_errors=True)
        self._gpus.unlink(missing_ok=True)

    def close(self) -> None:
        """Unlock the folder, and remove it unless there is work to keep."""
        shutil.rmtree(self.drawn, ignore_errors=True)
        kept = self.shards.exists() or self.ablation.exists()
        if not kept:
            for entry in sorted(self.folder.iterdir(), key=lambda entry: entry == self._holder):
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
            # without holder.json another run may have the folder
        os.close(self._lock)
        if not kept:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Return the differences between two JSON values, in words; `name` is what the values are called."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys([*old, *new])
        return [
            line for key in names for line in _differences(old.get(key), new.get(key), f"{name} {key}" if name else key)
        ]
    if old == new:
        return []
    name = printable(_in_words(name), 120)
    if any(isinstance(value, str) and len(value) == 64 for value in (old, new)):  # digests
        return [f"{name} changed"]
    return [f"{name} was {printable(json.dumps(old), 60)} and is {printable(json.dumps(new), 60)}"]


def _in_words(name: str) -> str:
    """Return what users call a part of a run's identity, such as `the weights of AlexNet` for its path of keys
    `networks 0 AlexNet weights`.
    """
    for pattern, words in _WORDS:
        if match := re.fullmatch(pattern, name):
            return match.expand(words)
    return name.replace("_", " ")
