"""Write the table of docs/models.md: the results of reading sixty wrappings of a checkpoint.

    python -m benchmarks.checkpoint_table [--write docs/models.md]

tests/precompute/models/checkpoints/test_wrappings.py checks the rows, and that the weights are the right ones.
"""

import argparse
import tempfile
from pathlib import Path

from tests.support.checkpoint_wrappings import WRAPPINGS, load_wrapped, table_row

START, END = "<!-- made by benchmarks/checkpoint_table.py -->", "<!-- end of the checkpoints -->"


def main() -> None:
    """Read every wrapping, print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the file whose table is replaced")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [table_row(wrapping, load_wrapped(wrapping, Path(folder)), Path(folder)) for wrapping in WRAPPINGS]
    lines = ["| wrapping | what becomes of it |", "|---|---|", *rows]
    print("\n".join(lines))
    if options.write is not None:
        text = options.write.read_text()
        before, after = text.partition(START)[0], text.partition(END)[2]
        options.write.write_text(f"{before}{START}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")


if __name__ == "__main__":
    main()
