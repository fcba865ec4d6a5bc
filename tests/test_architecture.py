"""The layers of imports: `cli -> commands -> {precompute, tui} -> core`, floors inside core and precompute, no import
circles; and how large folders and files may be."""

import ast
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import shapebias

ROOT = Path(shapebias.__file__).parent
HEAVY = {"torch", "torchvision", "timm", "numba", "numpy", "zarr", "PIL", "matplotlib", "textual", "textual_image"}
ALLOWED = {  # the rooms that the modules of a room may import from
    "": set(),
    "core": {"core"},
    "precompute": {"", "core", "precompute"},
    "tui": {"", "core", "tui"},
    "errors": {"core"},
    "api": {"api", "core", "precompute"},
    "commands": {"", "commands", "core", "precompute", "tui"},
    "cli": {"", "commands", "core"},
    "__main__": {"cli"},
}
# From the ground up: a module imports from its own folder and from lower floors. "" is what lies in core/ itself.
CORE_FLOORS = [
    {""},
    {"shape_bias", "attribution", "uncertainty"},
    {"ood"},
    {"store"},
    {"units", "pictures"},
    {"analysis"},
    {"figures", "paper"},
    {"report"},
]
# A folder imports from no higher floor; other folders of precompute/ may use and be used by all of them.
PRECOMPUTE_FLOORS = [{"images", "models"}, {"statistics", "scanning"}, {"measures"}, {"stages"}]
MOST_MODULES = 16  # in a folder
MOST_LINES = 400  # of a file


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(ROOT.rglob("*.py"))}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text("utf-8"))


def imported(name: str, nodes: Iterable[ast.AST]) -> set[str]:
    """Return what some statements of a module import: full names, of modules where `from package import module`."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                names.add(full if full in MODULES else base)
    return names


@cache
def imports(name: str) -> set[str]:
    """Return what a module imports, anywhere in it."""
    return imported(name, ast.walk(tree(name)))


@cache
def imports_at_start(name: str) -> set[str]:
    """Return what is imported when the module is: not what functions import, or `if TYPE_CHECKING`."""
    return imported(name, _at_start(tree(name)))


def _at_start(node: ast.AST) -> Iterable[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield from [statement, *_at_start(statement)]
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from [child, *_at_start(child)]


def loaded_with(name: str) -> set[str]:
    """Return all that is imported, by whatever modules of the package, when a module is."""
    names, waiting = set[str](), [name]
    while waiting:
        new = imports_at_start(waiting.pop()) - names
        names |= new
        waiting += [module for module in new if module in MODULES]
    return names


def inside(names: Iterable[str]) -> set[str]:
    return {name for name in names if name in MODULES}


def tops(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def room(name: str) -> str:
    """Return `core` for what lies in it, `cli` for the module, and "" for the package itself."""
    return [*name.split("."), ""][1]


def in_rooms(*rooms: str) -> list[str]:
    return [name for name in MODULES if room(name) in rooms]


def folder(name: str) -> str:
    """Return the folder inside its room that a module lies in (`store` in core/), "" for those in the room itself."""
    parts = MODULES[name].relative_to(ROOT).parts
    return parts[1] if len(parts) > 2 else ""


def floors(layout: list[set[str]]) -> dict[str, int]:
    return {name: number for number, names in enumerate(layout) for name in names}


def test_the_modules_are_found() -> None:
    known = {"shapebias.cli", "shapebias.commands.info", "shapebias.core.store.reader", "shapebias.precompute.run"}
    assert known | {"shapebias.tui", "shapebias.tui.widgets.unit_table"} <= set(MODULES)
    assert {"numpy", "shapebias.core.store.schema"} <= imports("shapebias.core.store.reader")
    assert "shapebias.core.store.opening" in imports("shapebias.commands.info")
    assert "shapebias.core.store.opening" not in imports_at_start("shapebias.commands.info")
    assert "numpy" in loaded_with("shapebias.core.store.opening")


@pytest.mark.parametrize("name", list(MODULES))
def test_arrows_point_down(name: str) -> None:
    assert {room(other) for other in inside(imports(name))} <= ALLOWED[room(name)]


@pytest.mark.parametrize("name", in_rooms("core", "tui"))
def test_core_and_tui_never_load_torch(name: str) -> None:
    assert not tops(imports(name)) & {"torch", "torchvision", "timm", "numba"}


@pytest.mark.parametrize("name", in_rooms("api", "core", "precompute"))
def test_what_is_below_the_explorer_never_loads_textual(name: str) -> None:
    assert not tops(imports(name)) & {"textual", "textual_image"}


@pytest.mark.parametrize("name", in_rooms("core"))
def test_the_floors_of_core(name: str) -> None:
    floor, own = floors(CORE_FLOORS), folder(name)
    assert own in floor, f"{own} has no floor yet: give it one"
    others = {folder(other) for other in inside(imports(name)) if room(other) == "core"} - {own}
    assert {other for other in others if floor[other] >= floor[own]} == set()


@pytest.mark.parametrize("name", in_rooms("precompute"))
def test_the_floors_of_precompute(name: str) -> None:
    floor, own = floors(PRECOMPUTE_FLOORS), folder(name)
    others = {folder(other) for other in inside(imports(name)) if room(other) == "precompute"}
    assert {other for other in others & set(floor) if floor[other] > floor.get(own, len(floor))} == set()


def test_there_are_no_import_circles() -> None:
    """Imports in functions count, and those for types only."""
    graph = {name: inside(imports(name)) - {name} for name in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names a circle


@pytest.mark.parametrize("name", in_rooms("", "__main__", "cli", "commands"))
def test_the_command_line_is_light_until_a_command_runs(name: str) -> None:
    loaded = loaded_with(name)
    assert not tops(loaded) & HEAVY
    assert not {room(other) for other in inside(loaded)} & {"precompute", "tui"}


@pytest.mark.parametrize(
    "path", sorted({file.parent for file in MODULES.values()} - {ROOT / "commands"}), ids=lambda path: path.name
)
def test_folders_are_small(path: Path) -> None:
    """But commands/, which has a file for each command."""
    modules = [file for file in path.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize("name", list(MODULES))
def test_files_are_short(name: str) -> None:
    assert len(MODULES[name].read_text("utf-8").splitlines()) <= MOST_LINES


def test_only_the_writer_writes_a_store() -> None:
    writers = {"create_group", "create_array", "require_group", "open_array", "save", "save_array"}
    for name in MODULES:
        if name.startswith(("shapebias.precompute.writer", "shapebias.precompute.writing")):
            continue
        if "zarr" not in tops(imports(name)):
            continue
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in writers, f"{name} writes"
                for keyword in node.keywords:
                    if keyword.arg == "mode":
                        assert ast.literal_eval(keyword.value) == "r", f"{name} opens a store for writing"
