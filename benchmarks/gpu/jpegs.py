"""Section A: the JPEGs of all sections."""

import time

from benchmarks.gpu.setup import Record, Setup


def jpegs(setup: Setup, record: Record) -> None:
    """Write the JPEGs of all sections, and count them."""
    start = time.perf_counter()
    files = list(setup.photos().rglob("*.jpg"))
    seconds = time.perf_counter() - start
    wanted = sum(count for count, _, _ in setup.sizes.photos)
    record.measured |= {
        "images": len(files),
        "MB": round(sum(file.stat().st_size for file in files) / 1e6, 1),
        "images/s written": round(len(files) / seconds, 1),
    }
    record.check(len(files) == wanted, f"{len(files)} of {wanted} JPEGs were written")
