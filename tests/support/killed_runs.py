"""Runs `precompute` again and again, in processes that are killed at random moments, until KILLS were killed.

    python killed_runs.py SETTINGS KILLS

SETTINGS is a file with pickled settings. Prints the path of every store that was finished, and how many runs of it were
killed before.

The processes are forked from one that has run it once: all is imported and compiled (zarr's threads are made anew).
"""

import os
import pickle
import random
import shutil
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

from shapebias.precompute.progress import Silent
from shapebias.precompute.run import precompute
from shapebias.precompute.settings import Settings


def run(settings: Settings, seconds: float | None) -> bool:
    """Run `precompute` in a forked process, which is killed after `seconds` (None: never).

    Returns whether the store was finished. Exits where the run failed by itself.
    """
    process = os.fork()
    if process == 0:
        code = 1
        try:
            precompute(settings, Silent())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit("the run failed")
    if settings.store.exists():  # it may have been killed after the commit, with nothing left to do but tidy up
        shutil.rmtree(settings.store.with_name(f"{settings.store.name}.partial"), ignore_errors=True)
    return settings.store.exists()


def main() -> None:
    settings: Settings = pickle.loads(Path(sys.argv[1]).read_bytes())
    precompute(settings, Silent())
    print(settings.store, 0, flush=True)
    started = time.perf_counter()
    run(replace(settings, store=settings.store.with_name("timed.zarr")), None)
    duration = time.perf_counter() - started
    rng = random.Random(0)
    kills = number = 0
    while kills < int(sys.argv[2]):
        number += 1
        store = settings.store.with_name(f"again{number}.zarr")
        killed = 0
        while not run(replace(settings, store=store), rng.uniform(0, 1.1 * duration) if killed < 6 else None):
            killed += 1
        kills += killed
        print(store, killed, flush=True)


if __name__ == "__main__":
    main()
