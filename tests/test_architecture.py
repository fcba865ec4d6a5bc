"""Who may import whom: `cli -> {precompute, tui} -> core`, each heavy package in its room, no import circles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import shapebias

ROOT = Path(shapebias.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def imports(name: str, at_start_only: bool = False) -> set[str]:
    """What a module imports, anywhere in it: full names, of submodules where `from package import submodule` is one."""
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    found: set[str] = set()
    for node in _at_start(tree) if at_start_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
                parts = package[: len(package) - node.level + 1]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in MODULES else base)
    return found


def _at_start(tree: ast.AST) -> list[ast.AST]:
    """The statements that run when the module is imported: not those in functions or under `if TYPE_CHECKING`."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            found += [each for branch in node.orelse for each in [branch, *_at_start(branch)]]
            continue
        found += [node, *_at_start(node)]
    return found


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def in_room(*rooms: str) -> list[str]:
    return [name for name in MODULES if room(name) in rooms]


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_the_modules_are_found() -> None:
    assert {"shapebias.cli", "shapebias.core.store.reader", "shapebias.precompute.run", "shapebias.tui"} <= set(MODULES)


@pytest.mark.parametrize("name", in_room("core", "tui"))
def test_core_and_tui_never_load_torch(name: str) -> None:
    assert not tops(imports(name)) & {"torch", "torchvision", "timm", "numba"}
    assert not {each for each in imports(name) if each.startswith("shapebias.precompute")}


@pytest.mark.parametrize("name", in_room("core", "precompute"))
def test_core_and_precompute_never_load_textual(name: str) -> None:
    assert not tops(imports(name)) & {"textual", "textual_image"}
    assert not {each for each in imports(name) if each.startswith("shapebias.tui")}


@pytest.mark.parametrize("name", list(MODULES))
def test_arrows_point_down(name: str) -> None:
    allowed = {
        "core": {"core"},
        "precompute": {"core", "precompute"},
        "tui": {"core", "tui"},
        "cli": {"cli", "core", "precompute", "tui", "doctor"},
        "doctor": {"core", "precompute", "tui"},
        "__main__": {"cli"},
        "": set(),
    }
    rooms = {room(each) for each in imports(name) if each.startswith("shapebias.")}
    assert rooms <= allowed.get(room(name), {"core"}), f"{name} imports from {rooms}"


@pytest.mark.parametrize("name", ["shapebias", "shapebias.__main__", *in_room("cli", "doctor")])
def test_the_command_line_is_light_until_a_command_runs(name: str) -> None:
    loaded = imports(name, at_start_only=True)
    assert not tops(loaded) & {"torch", "torchvision", "textual", "zarr", "numpy", "numba"}
    assert not {each for each in loaded if each.startswith(("shapebias.precompute", "shapebias.tui"))}


def test_there_are_no_import_circles() -> None:
    """Lazy imports count too; only `if TYPE_CHECKING` may point back."""
    graph = {}
    for name in MODULES:
        tree = ast.parse(MODULES[name].read_text("utf-8"))
        typing_only: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                typing_only |= {each.module or "" for each in ast.walk(node) if isinstance(each, ast.ImportFrom)}
        graph[name] = {each for each in imports(name) if each in MODULES and each != name} - typing_only
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_only_the_writer_writes_a_store() -> None:
    writers = {"create_group", "create_array", "require_group", "open_array", "save", "save_array"}
    for name in MODULES:
        if name == "shapebias.precompute.writer" or "zarr" not in tops(imports(name)):
            continue
        for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in writers, f"{name} writes"
                for keyword in node.keywords:
                    if keyword.arg == "mode":
                        assert ast.literal_eval(keyword.value) == "r", f"{name} opens a store for writing"
