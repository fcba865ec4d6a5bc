"""Docstrings, comments, help texts, pages and names are in plain words.

Everything here reads source text and its syntax tree: nothing is imported.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("shapebias", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py"))
PACKAGE = [path for path in SOURCES if path.is_relative_to(ROOT / "shapebias")]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

# The first words that functions' docstrings may have: what a function does, as an order.
VERBS = frozenset(
    """
    Add Append Ask Begin Bring Build Call Change Check Choose Close Collect Combine Compare Compute Configure
    Connect Convert Copy Count Create Cut Decode Define Delete Deliver Describe Do Draw Encode End Explain Export
    Fetch Fill Find Fit Follow Forget Free Give Go Halve Hand Handle Ignore Initialise Insert Inspect Keep Leave Let
    List Load Look Make Mark Mask Measure Merge Move Normalise Note Open Paint Parse Pass Place Prepare Print Put
    Raise Rank Read Receive Recompute Record Redraw Reduce Refuse Remove Rename Replace Request Reset Resize Resolve
    Restore Return Reverse Round Run Sample Save Score Scroll Search See Select Send Set Show Skip Sort Split Start
    Stop Store Sum Switch Take Tell Test Toggle Train Turn Unlock Update Upload Wait Walk Write Yield
    """.split()  # noqa: SIM905
)
# Methods that a framework calls and documents: Textual's, the standard library's, PyTorch's.
OVERRIDES = frozenset(
    """
    append backward clear compose cost disable_input encode end extend forward paint add render render_label
    render_line start_application_mode stop_application_mode write
    """.split()  # noqa: SIM905
)
# Names of variables that do not name the thing.
VAGUE = frozenset({"each", "found", "shown", "place", "wish"})
# What has to be read twice, in docstrings, comments, help texts and pages.
_ITEM = "bar|byte|character|class|column|file|line|panel|path|point|row|sentence"
_GROUP = "class|column|concept|count|figure|image|layer|line|map|method|metric|model|network|norm|score|store|tile|unit"
BANNED = (re.compile(r"\bno numbers?\b(?! of)"), re.compile(rf"\ba (?:{_ITEM}) an? (?:{_GROUP})\b"))
BANNED_STARTS = re.compile(r"(?:Of|How|What|When|Where|Who)\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@cache
def source_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(source_of(path))


def definitions(path: Path) -> Iterator[tuple[str, Definition, ast.ClassDef | None]]:
    """Yield the classes, functions and methods of a file with their names and the classes that they are in."""

    def visit(node: ast.AST, prefix: str, owner: ast.ClassDef | None) -> Iterator[tuple[str, Definition, Any]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Definition):
                name = f"{prefix}{child.name}"
                yield f"{path.relative_to(ROOT)}:{child.lineno} {name}", child, owner
                if isinstance(child, ast.ClassDef):
                    yield from visit(child, f"{name}.", child)
            elif isinstance(child, ast.If | ast.Try):
                yield from visit(child, prefix, owner)

    return visit(tree(path), "", None)


def decorators(function: Function) -> set[str]:
    return {ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in function.decorator_list}


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split(" ")[-1].split("."))


def public_functions() -> Iterator[tuple[str, Function, ast.ClassDef | None]]:
    for path in PACKAGE:
        for name, node, owner in definitions(path):
            if isinstance(node, Function) and is_public(name) and not decorators(node) & {"overload", "setter"}:
                yield name, node, owner


@cache
def classes_by_name() -> dict[str, list[ast.ClassDef]]:
    classes = defaultdict(list)
    for path in PACKAGE:
        for _, node, _ in definitions(path):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(node)
    return classes


def is_inherited(function: str, owner: ast.ClassDef | None) -> bool:
    """Return whether a base class documents a method of this name."""
    bases = [] if owner is None else [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in owner.bases]
    for base in (known for name in bases for known in classes_by_name().get(name, [])):
        methods = [node for node in base.body if isinstance(node, Function) and node.name == function]
        if any(map(ast.get_docstring, methods)) or is_inherited(function, base):
            return True
    return False


def own_raises(function: Function) -> Iterator[ast.Raise]:
    """Yield the `raise` statements of a function, without those of functions in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise):
            yield node
        if not isinstance(node, Function | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def test_whatever_is_public_has_a_docstring() -> None:
    lacking = [
        name
        for name, node, owner in public_functions()
        if ast.get_docstring(node) is None
        and not node.name.startswith("on_")
        and node.name not in OVERRIDES
        and not is_inherited(node.name, owner)
    ]
    for path in PACKAGE:
        nodes = [(name, node) for name, node, _ in definitions(path) if isinstance(node, ast.ClassDef)]
        lacking += [name for name, node in nodes if is_public(name) and ast.get_docstring(node) is None]
        lacking += [] if ast.get_docstring(tree(path)) or not tree(path).body else [str(path)]
    assert lacking == []


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    properties = {"property", "cached_property"}
    documented = (
        (name, node, ast.get_docstring(node))
        for name, node, _ in public_functions()
        if not decorators(node) & properties
    )
    others = [
        f"{name}: {text.splitlines()[0]}"
        for name, _, text in documented
        if text is not None and re.split(r"\W", text)[0] not in VERBS
    ]
    assert others == []


def test_docstrings_begin_with_a_sentence() -> None:
    wrong = []
    for path in [*SOURCES, *TESTS]:
        documented = [(str(path.relative_to(ROOT)), ast.get_docstring(tree(path)))]
        documented += [(name, ast.get_docstring(node)) for name, node, _ in definitions(path)]
        for name, text in documented:
            first = "" if text is None else text.partition("\n\n")[0]
            if text is not None and (not first.rstrip().endswith((".", ":")) or BANNED_STARTS.match(text)):
                wrong.append(f"{name}: {first}")
    assert wrong == []


def test_docstrings_name_the_errors_that_functions_raise() -> None:
    unsaid = [
        name
        for name, node, _ in public_functions()
        if "command" not in decorators(node)
        and "Raise" not in (ast.get_docstring(node) or "Raise")
        and any(statement.exc is not None for statement in own_raises(node))
    ]
    assert unsaid == []


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments and all strings of a file, docstrings, help and messages among them, with their lines."""
    if path.suffix == ".md":
        yield 1, source_of(path)
        return
    for token in tokenize.generate_tokens(io.StringIO(source_of(path)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_text_has_to_be_read_twice() -> None:
    riddles = [
        f"{path.relative_to(ROOT)}:{line + text[: match.start()].count(chr(10))}: {match[0]}"
        for path in [*SOURCES, *TESTS, *PAGES]
        if any(banned.search(source_of(path)) for banned in BANNED)
        for line, text in texts(path)
        for banned in BANNED
        for match in banned.finditer(text)
    ]
    assert riddles == []


def test_pages_begin_with_their_purpose_and_a_command() -> None:
    """A sentence comes first, and a command within the first 20 lines of every page of docs/."""
    command = re.compile(r"^    (?:\w+=\S+ )*(?:shapebias|python|make|pip) ", re.MULTILINE)
    wrong = []
    for page in (path for path in PAGES if path.parent.name == "docs"):
        title, _, text = source_of(page).partition("\n\n")
        start = "\n".join(text.splitlines()[:20])
        if not title.startswith("# ") or not re.match(r"[A-Z`]", text) or not command.search(start):
            wrong.append(page.name)
    assert wrong == []


def test_variables_name_the_thing() -> None:
    vague = []
    for path in (path for path in [*SOURCES, *TESTS] if any(name in source_of(path) for name in VAGUE)):
        for node in ast.walk(tree(path)):
            names = {
                ast.Name: lambda node: node.id if isinstance(node.ctx, ast.Store) else "",
                ast.arg: lambda node: node.arg,
                ast.FunctionDef: lambda node: node.name,
            }
            name = names.get(type(node), lambda _: "")(node)
            if name in VAGUE:
                vague.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert vague == []


def test_no_two_classes_share_a_name() -> None:
    """Python's public classes alone are named like those of `core` that they show: Store, Unit, UnitTable."""
    paths = defaultdict(list)
    for path in [*SOURCES, *TESTS]:
        for name, node, owner in definitions(path):
            if isinstance(node, ast.ClassDef) and owner is None:
                paths[node.name].append(name)
    public = set(re.findall(r"import (\w+) as", source_of(ROOT / "shapebias/__init__.pyi")))
    shared = {
        name: [definition for definition in places if not (name in public and definition.startswith("shapebias/api/"))]
        for name, places in paths.items()
    }
    assert {name: places for name, places in shared.items() if len(places) > 1} == {}
