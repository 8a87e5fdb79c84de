"""What a definition says: a digest of its syntax tree without words and layout, and the names it uses.

Belongs here: one statement at a time. Does not belong here: what the names stand for (`code_version.py`).

The form is our own, not that of `ast.dump`, which differs between versions of Python.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assets.code_files import FUNCTION, Imported, Statement, imports_of, is_for_types, is_words, root_of

SILENT: Final = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields of syntax trees that say nothing, or only how something is written."""
LOADERS: Final = frozenset({"import_module", "__import__"})
IMPORTS: Final = (ast.Import, ast.ImportFrom)
DEFINING: Final = (*FUNCTION, ast.ClassDef)
WITH_NAMES: Final = (*FUNCTION, ast.Lambda)
NARROWER: Final = (*DEFINING, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
"""What has names of its own inside a function."""
ARGUMENTS: Final = tuple((field, ast.arguments) for field in ast.arguments._fields)
READ: Final = frozenset([("body", ast.ClassDef), *(("args", kind) for kind in FUNCTION), *ARGUMENTS])
"""Where annotations can be read: fields of a class and arguments, not local variables."""
IsQuiet = Callable[[str], bool]
"""Whether what stands behind a name leaves annotations alone: a base class or a decorator of Python's own."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """One statement.

    Attributes:
        digest: Of its syntax tree.
        uses: Names that it reads when it runs, with the attributes that follow: `a.b(c)` uses `("a", "b")`, `("c",)`.
        imports: What it imports itself, by name.
        loads: Modules that it loads by their name.
    """

    digest: str
    uses: frozenset[Imported]
    imports: tuple[tuple[str, Imported], ...]
    loads: tuple[str, ...]


def text_of(statement: Statement, package: str, is_quiet: IsQuiet) -> Text:
    """Digest and names of one statement of a module in `package`.

    Annotations count as they are written, but what they name counts only where something reads them: in classes that
    have a base or a decorator of others (as pydantic's have), and in functions that have such a decorator.
    """
    writer = _Writer(package, is_quiet)
    for node in _in_order(ast.parse(statement.text).body):
        writer.node(node, runs=True)
    return Text(
        digest=hashlib.sha256("".join(writer.out).encode()).hexdigest(),
        uses=frozenset(writer.uses),
        imports=tuple(sorted(set(writer.imports))),
        loads=tuple(sorted(set(writer.loads))),
    )


class _Writer:
    def __init__(self, package: str, is_quiet: IsQuiet) -> None:
        self.package, self.is_quiet = package, is_quiet
        self.local: frozenset[str] = frozenset()
        self.out: list[str] = []
        self.uses: set[Imported] = set()
        self.imports: list[tuple[str, Imported]] = []
        self.loads: list[str] = []

    def node(self, node: Any, runs: bool, reads_fields: bool = False) -> None:
        """Write a node of a syntax tree.

        `runs` says whether names in it are read, `reads_fields` whether those of annotations right below it are.
        """
        if isinstance(node, ast.Name | ast.Attribute) and (path := _path(node)) is not None:
            if runs and path[0] not in self.local and not isinstance(node.ctx, ast.Store):
                self.uses.add(path)
            self.out.append(f"<{'.'.join(path)}>")
            return
        kind = type(node)
        if kind in DEFINING:
            reads_fields = not self._is_plain(node)
        elif kind in IMPORTS:
            self.imports += imports_of(node, self.package)
        elif kind is ast.Call:
            self._loaded(node)
        self.out.append(f"({kind.__name__}")
        for field in node._fields:
            value = getattr(node, field, None)
            if value is None or value == [] or field in SILENT:
                continue
            is_read = runs
            if field in ("annotation", "returns"):
                is_read = runs and reads_fields
            elif kind is ast.If and field == "body" and is_for_types(node):
                is_read = False
            around = self.local
            if field == "body" and kind in WITH_NAMES:
                self.local |= _local_names(node)
            self.out.append(f" {field}=")
            self._value(value, is_read, reads_fields and (field, kind) in READ)
            self.local = around
        self.out.append(")")

    def _value(self, value: Any, runs: bool, reads_fields: bool) -> None:
        if isinstance(value, ast.AST):
            self.node(value, runs, reads_fields)
        elif isinstance(value, list):
            self.out.append("[")
            for part in _in_order(value) if isinstance(value[0], ast.stmt) else value:
                self._value(part, runs, reads_fields)
                self.out.append(",")
            self.out.append("]")
        else:
            self.out.append(repr(value))

    def _is_plain(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
        """Whether nobody reads the annotations in it: neither a decorator nor a base class of others."""
        around: list[ast.expr] = list(node.decorator_list)
        if isinstance(node, ast.ClassDef):
            around += [*node.bases, *(word.value for word in node.keywords)]
        return all((root := root_of(part)) is not None and self.is_quiet(root) for part in around)

    def _loaded(self, node: ast.Call) -> None:
        named = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if named in LOADERS and node.args and isinstance(first := node.args[0], ast.Constant):
            self.loads.append(str(first.value))


def _local_names(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """Names that mean something of its own inside a function: arguments, and what it binds in its own body."""
    found = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    shared: set[str] = set()
    waiting: list[ast.AST] = list(function.body) if isinstance(function.body, list) else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Global | ast.Nonlocal):
            shared |= set(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif not isinstance(node, NARROWER):
            waiting += ast.iter_child_nodes(node)
    return found - shared


def _path(node: ast.expr) -> Imported | None:
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


def _in_order(statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements without strings that stand by themselves, neighbouring imports split up and sorted."""
    imports: list[ast.stmt] = []
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports += _split(statement)
        elif not is_words(statement):
            yield from sorted(imports, key=ast.dump)
            imports = []
            yield statement
    yield from sorted(imports, key=ast.dump)


def _split(node: ast.Import | ast.ImportFrom) -> Iterator[ast.stmt]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield ast.Import(names=[alias])
        else:
            yield ast.ImportFrom(module=node.module, names=[alias], level=node.level)
