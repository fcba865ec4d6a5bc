"""Whether shapebias is right and fast on a GPU: one script, in at most six minutes on an H100 with 16 cores.

    python -m benchmarks.gpu_check [--device cuda|cpu] [--out DIR] [--sections A,B,...] [--strict-speed]

It needs no internet, and beside CUDA's driver these packages only: numpy, numba, pillow, rich, safetensors, torch,
torchvision, zarr (and triton, which comes with torch). Networks have random weights from a seed.

- A: processes write JPEGs, those of all sections.
- B: the same activations into the statistics of the CPU and of the device.
- C: whole stores: the built-in pair in all passes with ablation and attacks, ResNet-50; other precisions; a run that is
  stopped and gone on with; four shards against one; an epoch of training.
- D: too little memory: batches are halved, results are the same.
- E: the speed of networks, bare and with all passes; waits, launches, kernels.
- F: from JPEGs to a store, and where the time goes; decoding alone.
- G: memory.

DIR/gpu_check.json is written after each section. The exit status is 1 where anything is not as it must be: a difference
from the CPU, an error, a section that takes longer than its budget, at which it is stopped. With `--device cpu` the
same is done with less of everything, and the CPU is compared with itself in batches of another size.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.from_jpegs import from_jpegs
from benchmarks.gpu.jpegs import jpegs
from benchmarks.gpu.memory import memory
from benchmarks.gpu.replay import statistics
from benchmarks.gpu.setup import FULL, SMALL, Record, ReportSection, Setup
from benchmarks.gpu.short_memory import short_memory
from benchmarks.gpu.speed import speed
from benchmarks.gpu.whole_runs import whole_runs
from shapebias.core.files import write_atomically
from shapebias.precompute.stopping import RunStoppedError, stoppable

SECTIONS = (
    ReportSection("A", "JPEGs", 15, jpegs),
    ReportSection("B", "the same activations into both statistics", 20, statistics),
    ReportSection("C", "whole stores", 95, whole_runs),
    ReportSection("D", "too little memory", 15, short_memory),
    ReportSection("E", "speed", 135, speed),
    ReportSection("F", "from JPEGs to a store", 55, from_jpegs),
    ReportSection("G", "memory", 15, memory),
)
RESULTS = "gpu_check.json"


def run_section(section: ReportSection, setup: Setup, strict_speed: bool = False) -> Record:
    """Return what a section gives; an error, and more time than it has, are violations. Raises RunStoppedError where
    the user stops it."""
    budget = section.seconds * setup.sizes.patience
    record = Record(section.letter, section.title, budget, strict_speed)
    started = time.perf_counter()
    try:
        with stoppable(budget):
            section.run(setup, record)
    except RunStoppedError:
        if time.perf_counter() - started < budget:
            raise
    except Exception as error:
        traceback.print_exc()
        record.violations.append(f"{type(error).__name__}: {error}")
    took = time.perf_counter() - started
    record.seconds = round(took, 2)
    record.check(took < budget, f"over its budget of {budget:g} s")
    return record


def check(sections: Sequence[ReportSection], setup: Setup, out: Path, strict_speed: bool = False) -> list[Record]:
    """Run sections, one after the other, and write what all of them gave after each."""
    records: list[Record] = []
    for section in sections:
        print(f"{section.letter}  {section.title} …", file=sys.stderr, flush=True)
        records.append(run_section(section, setup, strict_speed))
        facts = _machine(setup) | {"sections": [asdict(record) for record in records]}
        write_atomically(out / RESULTS, json.dumps(facts, indent=1).encode())
    return records


def _machine(setup: Setup) -> dict[str, Any]:
    """Return what the results were measured on."""
    return {
        "device": str(setup.device("auto")),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def table(records: Sequence[Record]) -> str:
    """Return the records as lines: each section with its time, then what it measured, lacks and violates."""
    lines = []
    for record in records:
        verdict = f"{len(record.violations)} VIOLATIONS" if record.violations else "ok"
        lines.append(f"{record.section}  {record.title:42} {record.seconds:6.1f} of {record.budget:4g} s  {verdict}")
        lines += [f"     {name}: {value}" for name, value in _flat(record.measured)]
        lines += [f"     {name}: {why}" for name, why in record.absent.items()]
        lines += [f"   ! {violation}" for violation in record.violations]
    return "\n".join(lines)


def _flat(measured: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of nested dicts with their names."""
    for name, value in measured.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}: ")
        else:
            yield f"{before}{name}", value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the results")
    parser.add_argument("--sections", default=",".join(section.letter for section in SECTIONS))
    parser.add_argument("--strict-speed", action="store_true", help="a missed target of speed is a violation, too")
    options = parser.parse_args(arguments)
    letters = options.sections.upper().split(",")
    if unknown := set(letters) - {section.letter for section in SECTIONS}:
        parser.error(f"no section {sorted(unknown)[0]}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU: --device cpu runs the same on the CPU, with less of everything")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        on_cuda = options.device == "cuda"
        sizes = FULL if on_cuda else SMALL
        setup = Setup(kind=options.device, folder=Path(folder), sizes=sizes, has_allocator=on_cuda)
        chosen = [section for section in SECTIONS if section.letter in letters]
        try:
            records = check(chosen, setup, options.out, options.strict_speed)
        except RunStoppedError:
            print(f"stopped: {options.out / RESULTS} has the sections that were done", file=sys.stderr)
            return 1
    print(table(records))
    return 1 if any(record.violations for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
