"""The notebook, run as a user would: by a fresh environment that holds the installed wheel, far from the sources."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

for package in ("nbclient", "ipykernel", "setuptools"):
    pytest.importorskip(package)
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "first_layer.ipynb"
WHERE = "import shapebias; print(shapebias.__file__)"


def run(*command: object, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and this environment's other packages."""
    folder = tmp_path_factory.mktemp("fresh")
    sources = folder / "sources"
    shutil.copytree(ROOT / "shapebias", sources / "shapebias", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", folder, sources, folder=folder)
    run(sys.executable, "-m", "venv", "--without-pip", "env", folder=folder)
    python = folder / "env" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel, folder=folder)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    assert str(packages) in run(python, "-c", WHERE, folder=folder)
    return python


def outputs(notebook: dict[str, Any]) -> list[list[str]]:
    """The kinds of what each cell of code shows."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [[output["output_type"] for output in cell["outputs"]] for cell in cells]


def test_it_runs_from_the_installed_wheel(python: Path, tmp_path: Path) -> None:
    """The notebook's cells assert the finding."""
    shutil.copy(NOTEBOOK, tmp_path)
    run(python, ROOT / "examples" / "run_notebook.py", NOTEBOOK.name, folder=tmp_path)
    known, now = (json.loads(path.read_text("utf-8")) for path in (NOTEBOOK, tmp_path / NOTEBOOK.name))
    assert outputs(now) == outputs(known)


def test_what_it_shows_is_kept_and_small() -> None:
    assert NOTEBOOK.stat().st_size < 250_000
    kinds = outputs(json.loads(NOTEBOOK.read_text("utf-8")))
    assert [bool(cell) for cell in kinds].count(False) == 1  # the assertions
