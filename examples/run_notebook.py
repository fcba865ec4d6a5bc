"""Runs a notebook from its first cell to its last, and keeps what it shows: after a change of its cells.

python examples/run_notebook.py examples/first_layer.ipynb
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import nbformat
from nbclient import NotebookClient


def run(path: Path) -> None:
    """Run the notebook, in an empty folder, and write it back with its outputs. What a cell raises is raised."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": mkdtemp()}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
