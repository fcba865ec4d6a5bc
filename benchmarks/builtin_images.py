"""Measure how fast the built-in images are drawn, on one core.

    python -m benchmarks.builtin_images [--images 2000] [--limit-seconds 15]

Draws the probe split as precompute does, one image after another, and fails if that takes longer than the limit.
"""

import argparse
import sys
import time

from shapebias.precompute.images.builtin.drawing import builtin_set, draw_path


def main() -> None:
    """Draw, time, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--limit-seconds", type=float, default=15.0)
    options = parser.parse_args()
    wall, processor = time.perf_counter(), time.process_time()
    for path in builtin_set("probe", options.images).paths:
        draw_path(path)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(
        f"{options.images} images in {wall:.1f} s ({options.images / wall:.0f} images/s), "
        f"{processor:.1f} s of processor time; limit {options.limit_seconds:g} s"
    )
    sys.exit(wall > options.limit_seconds)


if __name__ == "__main__":
    main()
