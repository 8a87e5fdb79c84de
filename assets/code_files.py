"""Modules as files: where one is, whose it is, and what it defines, read and never imported.

Belongs here: finding and cutting up source files. Does not belong here: what a definition says (`code_text.py`), and
which definitions belong together (`code_version.py`).
"""

import ast
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal

OURS: Final = frozenset({"assets", "pipelines", "resources"})
INSTALLED: Final = ("site-packages", "dist-packages")
Imported = tuple[str, ...]
"""What an import binds, as a dotted path: `from a.b import c` binds `("a", "b", "c")`."""
FUNCTION: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement at the top of a module, as it is written: syntax trees of all modules would take 30 MB.

    Attributes:
        decorators: The name at the beginning of each of its decorators; None for one without.
    """

    text: str
    decorators: tuple[str | None, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceModule:
    """One source file, cut up.

    Attributes:
        definitions: Statements that bind a name, by that name; more than one if it is bound anew.
        imported: Names that imports bind, and to what, more than one if it depends; those for types only are left out.
        stars: Modules of which it imports all names.
        always: Statements that run when the module is imported and are not there to define a name.
    """

    name: str
    package: str
    definitions: dict[str, list[Statement]] = field(default_factory=dict)
    imported: dict[str, list[Imported]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    always: list[Statement] = field(default_factory=list)


@cache
def owner(top: str) -> Literal["ours", "library", "python"]:
    """Whose a top-level module is: our own code, an installed library's, or Python's own."""
    if top in OURS:
        return "ours"
    if top in sys.stdlib_module_names:
        return "python"
    spec = None if top == "__main__" else importlib.util.find_spec(top)
    if spec is None:
        return "library"
    places = [*(spec.submodule_search_locations or ()), spec.origin or ""]
    return "library" if any(part in INSTALLED for place in places for part in Path(place).parts) else "ours"


def is_installed(top: str) -> bool:
    """Whether there is a top-level module of that name."""
    return top in sys.stdlib_module_names or (top != "__main__" and importlib.util.find_spec(top) is not None)


@cache
def path_of(module: str) -> Path | None:
    """The source file of a module; None if there is none. No package is imported on the way."""
    top, *rest = module.split(".")
    if top == "__main__":
        return None
    try:
        found = importlib.util.find_spec(top)
    except ValueError:  # something put it into sys.modules that did not come from a file
        return None
    name = top
    for part in rest:
        if found is None or found.submodule_search_locations is None:
            return None
        # A package that is imported already may have been given further folders.
        imported = sys.modules.get(name)
        places = list(getattr(imported, "__path__", None) or found.submodule_search_locations)
        name = f"{name}.{part}"
        found = importlib.machinery.PathFinder.find_spec(name, places)
    is_source = found is not None and found.origin is not None and found.origin.endswith(".py")
    return Path(str(found.origin)) if found is not None and is_source else None


@cache
def source_module(module: str) -> SourceModule | None:
    """A module cut up; None if there is no such source file."""
    path = path_of(module)
    if path is None:
        return None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return _cut_up(module, package, path.read_text(encoding="utf-8"))


@cache
def _cut_up(module: str, package: str, text: str) -> SourceModule:
    made, lines = SourceModule(name=module, package=package), text.split("\n")
    for node in ast.parse(text).body:
        _take_in(node, made, lines)
    return made


def imports_of(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Imported]]:
    """Names that an import binds, and to what; a star is bound as `*`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            path = tuple(alias.name.split("."))
            yield alias.asname or path[0], path if alias.asname else path[:1]
        return
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    base = (*above, *(node.module.split(".") if node.module else ()))
    for alias in node.names:
        yield alias.asname or alias.name, base if alias.name == "*" else (*base, alias.name)


def is_for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`, which never runs."""
    if not isinstance(node, ast.If):
        return False
    named = node.test
    return (named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", None)) == "TYPE_CHECKING"


def is_words(node: ast.AST) -> bool:
    """Whether it is a string that stands by itself: a docstring, or one that describes the constant above it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def root_of(node: ast.AST) -> str | None:
    """The name at the beginning of `name.attribute(...)[...]`, or None."""
    while not isinstance(node, ast.Name):
        inner = getattr(node, "func", None) or getattr(node, "value", None)
        if not isinstance(inner, ast.AST):
            return None
        node = inner
    return node.id


def _take_in(node: ast.stmt, made: SourceModule, lines: Sequence[str]) -> None:
    """Bind what one statement at the top of a module binds."""
    if is_words(node):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        _import(node, made)
    elif isinstance(node, ast.If) and is_for_types(node):
        for other in node.orelse:
            _take_in(other, made, lines)
    elif (names := _bound(node)) is not None:
        statement = _statement(node, lines)
        for name in names:
            made.definitions.setdefault(name, []).append(statement)
    else:
        statement = _statement(node, lines)
        made.always.append(statement)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                _import(inner, made)
            for name in _bound(inner) or ():
                made.definitions.setdefault(name, []).append(statement)


def _statement(node: ast.stmt, lines: Sequence[str]) -> Statement:
    """A statement from where it begins to the end of its last line, with what else stands there."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first, inset = min([node.lineno, *(d.lineno for d in decorators)]) - 1, node.col_offset
    head = lines[first].encode()[inset:].decode()
    rest = [line[inset:] if not line[:inset].strip() else line for line in lines[first + 1 : node.end_lineno]]
    return Statement("\n".join([head, *rest]), tuple(root_of(d) for d in decorators))


def _import(node: ast.Import | ast.ImportFrom, made: SourceModule) -> None:
    for name, path in imports_of(node, made.package):
        if name == "*":
            made.stars.append(".".join(path))
        elif path not in (paths := made.imported.setdefault(name, [])):
            paths.append(path)


def _bound(node: ast.AST) -> Sequence[str] | None:
    """Names that a statement is there to bind; None if it does something else."""
    if isinstance(node, (*FUNCTION, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        names = [name for target in node.targets for name in _names(target)]
        return names if all(_is_plain(target) for target in node.targets) else None
    if isinstance(node, ast.AnnAssign):
        return _names(node.target) if _is_plain(node.target) else None
    return None


def _is_plain(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(_is_plain(part) for part in target.elts)
    return isinstance(target, ast.Name | ast.Starred)


def _names(target: ast.AST) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
