"""Which code made an asset, as a short text that changes when the code's meaning may have changed.

Belongs here: turning modules and values into a code version. Does not belong here: reacting to a changed one.
"""

import ast
import hashlib
import importlib.util
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path


def code_version(*modules: str, within: Sequence[str] = (), values: object = None) -> str:
    """First 12 hex digits of a sha256 over the syntax trees of modules and the text of `values`.

    Comments, docstrings and formatting do not count, everything else does. The modules are read, not imported, so that
    a code location stays light.

    Args:
        modules: Names of importable modules, such as `assets.logic.point_in_time`.
        within: Packages whose modules count too if one of `modules` imports them, directly or through one another.
        values: Declared settings that belong to the meaning; anything whose `repr` is stable between processes.

    Raises:
        ModuleNotFoundError: If a module does not exist.
    """
    digest = hashlib.sha256()
    for module in sorted(_reached(modules, tuple(within))):
        digest.update(ast.dump(_tree(module)).encode())
    digest.update(repr(values).encode())
    return digest.hexdigest()[:12]


def version_of(function: Callable[..., object], *modules: str, values: object = None) -> str:
    """Code version of what `function` makes: its own package, the shared logic it calls, and `modules`.

    A function that is a value (a frozen dataclass with `__call__`, as a declared use case has) counts with its `repr`;
    modules that it names in an attribute `modules` count as well.

    Args:
        function: Declared by a use case.
        modules: Further modules, such as the stage that calls it.
        values: Declared settings that belong to the meaning.

    Raises:
        ModuleNotFoundError: If a module does not exist.
    """
    own = [function.__module__, *getattr(function, "modules", ())]
    packages = [module.rpartition(".")[0] or module for module in own]
    said = repr(function) if is_dataclass(function) else None
    return code_version(*modules, *own, within=(*packages, "assets.logic"), values=(said, values))


def name_of(function: Callable[..., object]) -> str:
    """How a person calls a function: its path, or that of its class if it is a value."""
    named = type(function) if is_dataclass(function) else function
    return f"{named.__module__}.{getattr(named, '__qualname__', named)}"


def git_commit() -> str:
    """The commit that is checked out, with `-dirty` if tracked files differ from it; says so where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except FileNotFoundError:
        return "git is not installed"
    return found.stdout.strip() or "not a git checkout"


def _reached(modules: Sequence[str], within: tuple[str, ...]) -> set[str]:
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            named = [name for name in _imports(module) if any(f"{name}.".startswith(f"{p}.") for p in within)]
            # Only now: looking for a submodule imports its package, which here are ours and empty, elsewhere is torch.
            waiting += [name for name in named if _is_module(name)]
    return reached


def _imports(module: str) -> Iterator[str]:
    """Names that may be modules: of `from package import name` both the package and `package.name`."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, not a package: the name is something inside it
        return False


class _WithoutWords(ast.NodeTransformer):
    """Drops strings that stand by themselves: docstrings, and those that describe the constant above them."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


@cache
def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"module {module!r} was not found, so its code version cannot be told")
    tree: ast.Module = _WithoutWords().visit(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    return tree
