"""`shapebias doctor`: what this machine and terminal can do, and how to get what is missing."""

import json
import os
import sys
from typing import Any

import shapebias
from shapebias.commands.common import Group, command
from shapebias.commands.options import JsonOption
from shapebias.core.text import printable

_PACKAGES = ("torch", "torchvision", "numpy", "numba", "zarr", "pillow", "textual")
_EXTRAS = {"pyarrow": "Parquet files: pip install 'shapebias[parquet]'"}


_GRAPHICS = {
    "sixel": "sixel",
    "kitty": "kitty graphics",
    "iterm2": "iTerm2's inline images",
    "halfcell": "half cells",
    "none": "nothing: paths as text",
}


def diagnose() -> dict[str, Any]:
    """Return facts about this machine and terminal, ready for JSON: versions of packages by name (None where missing),
    CUDA, the number of cores, and the terminal's answers.
    """
    import platform

    return {
        "shapebias": shapebias.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: _version(name) for name in (*_PACKAGES, *_EXTRAS)},
        "cuda": _cuda(),
        "terminal": _terminal(),
    }


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cuda() -> dict[str, Any]:
    """Return which GPUs PyTorch sees (`devices`), or why it sees none (`reason`)."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        return {"available": False, "devices": [], "reason": "PyTorch is not installed"}
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return {"available": True, "devices": devices, "reason": ""}
    built = torch.version.cuda
    reason = "this PyTorch is built without CUDA" if built is None else f"built for CUDA {built}, but no GPU was found"
    return {"available": False, "devices": [], "reason": reason}


def _terminal() -> dict[str, Any]:
    from shapebias.tui.terminal.query import is_interactive, query_terminal

    if not is_interactive():
        return {"interactive": False}
    terminal = query_terminal()
    return {
        "interactive": True,
        "name": printable(os.environ.get("TERM_PROGRAM") or os.environ.get("TERM", "")),
        "multiplexer": terminal.multiplexer,
        "graphics": str(terminal.choose("auto")),
        "sixel": terminal.sixel,
        "kitty": terminal.kitty,
        "iterm2": terminal.iterm2,
        "colours": str(terminal.colours),
        "cell": [terminal.cell_width, terminal.cell_height],
        "columns": os.get_terminal_size(sys.stdout.fileno()).columns,
        "rows": os.get_terminal_size(sys.stdout.fileno()).lines,
        "questions": [
            {
                "question": answer.question.title,
                "sent": printable(answer.question.text),
                "answer": None if answer.said is None else printable(answer.said),
                "milliseconds": None if answer.seconds is None else round(1000 * answer.seconds, 1),
            }
            for answer in terminal.conversation.answers
        ],
        "conclusions": list(terminal.reasons),
    }


def diagnosis_text(facts: dict[str, Any]) -> str:
    """Return the facts of `diagnose` in lines of text; those of what is missing say how to get it."""
    lines = [
        f"shapebias   {facts['shapebias']}, Python {facts['python']}, {facts['system']}, {facts['cores']} cores",
        *(f"{name:12}{_package_line(name, version)}" for name, version in facts["packages"].items()),
    ]
    cuda = facts["cuda"]
    lines.append(
        "CUDA        " + (", ".join(cuda["devices"]) if cuda["available"] else f"no: {cuda['reason']}; runs on the CPU")
    )
    return "\n".join([*lines, *_terminal_lines(facts["terminal"])])


def _package_line(name: str, version: str | None) -> str:
    if version is not None:
        return version
    return f"missing ({_EXTRAS[name]})" if name in _EXTRAS else f"missing: pip install {name}"


def _terminal_lines(terminal: dict[str, Any]) -> list[str]:
    if not terminal["interactive"]:
        return ["terminal    none: run `shapebias doctor` in one to see its graphics"]
    width, height = terminal["cell"]
    size = f"{terminal['columns']} x {terminal['rows']} cells of {width} x {height} px"
    lines = [f"terminal    {terminal['name']}, {size}, pictures by {_GRAPHICS[terminal['graphics']]}"]
    for question in terminal["questions"]:
        answer_text = "no answer"
        if question["answer"] is not None:
            answer_text = f"{question['answer'] or 'an empty answer'} ({question['milliseconds']} ms)"
        lines.append(f"            {question['question']:36} {answer_text}")
    lines += [f"            {conclusion}" for conclusion in terminal["conclusions"]]
    if terminal["graphics"] in ("halfcell", "none"):
        lines.append("            no graphics: try xterm -ti vt340, foot, WezTerm, kitty or iTerm2")
        if terminal["multiplexer"]:
            lines.append(f"            {terminal['multiplexer']} may hide them: try outside of it")
    return lines


@command(
    group=Group.MAINTENANCE,
    examples=(
        "shapebias doctor",
        "shapebias doctor --json",
    ),
)
def doctor(as_json: JsonOption = False) -> None:
    """Tell what this machine and this terminal can do, and how to get what is missing."""
    facts = diagnose()
    print(json.dumps(facts, indent=1) if as_json else diagnosis_text(facts))
