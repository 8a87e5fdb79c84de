"""The shape of the tree: who may import whom, what loads when, how long things get."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LAYERS = {"resources": 0, "assets": 1, "pipelines": 2}
HEAVY = {"torch", "catboost", "mlflow", "evidently", "great_expectations", "shap", "optuna", "sklearn", "skops"}
HEAVY |= {"matplotlib", "pandas", "boto3", "dagster_aws", "fastexcel", "pyarrow"}
STORES = {"deltalake", "mlflow", "boto3", "dagster_aws", "sqlalchemy"}
RUN_BY_OTHERS = {"assets.trainers.mlflow_model": "models-from-code: MLflow executes the file, nothing may import it"}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
PURE = "assets.logic"
PURE_MAY_IMPORT_FROM_RESOURCES = {"resources.errors"}
MODULE_LINES = 250
FUNCTION_LINES = 45
TOO_LONG_WITH_REASON: dict[str, str] = {}
"""`module` or `module:function` and why it may be longer. Empty, and meant to stay so."""


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    line: int
    is_lazy: bool
    is_for_types: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"

    @property
    def library(self) -> str:
        return self.imported.split(".")[0]


def modules(root: Path) -> dict[str, Path]:
    """Module name to file, of the three packages under `root`."""
    found = {}
    for path in sorted(p for layer in LAYERS for p in (root / layer).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> list[Import]:
    known = modules(root)
    return [i for name, path in known.items() for i in _imports_of(name, path, known)]


def _imports_of(name: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    def walk(node: ast.AST, is_lazy: bool, is_for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                for target in _targets(child, known):
                    yield Import(name, target, child.lineno, is_lazy, is_for_types)
            inside = isinstance(child, (*FUNCTION, ast.Lambda))
            types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from walk(child, is_lazy or inside, is_for_types or types)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False, False)


def _targets(node: ast.Import | ast.ImportFrom, known: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = "." * node.level + (node.module or "")
    # `from assets.logic import splits` imports the module assets.logic.splits, `from x import name` the module x.
    return sorted({f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names})


def arrows_that_point_back(root: Path) -> list[str]:
    layer = {i: LAYERS.get(i.library) for i in imports(root)}
    return [str(i) for i, to in layer.items() if to is not None and to > LAYERS[i.importer.split(".")[0]]]


def relative_or_foreign(root: Path) -> list[str]:
    """Imports that dodge the other rules: relative ones, and those of tests and infra."""
    return [str(i) for i in imports(root) if i.imported.startswith(".") or i.library in {"tests", "infra"}]


def circles(root: Path) -> list[str]:
    """Modules that import themselves through others. An import inside a function counts: it only hides a circle."""
    known = modules(root)
    edges: dict[str, set[str]] = {name: set() for name in known}
    for i in imports(root):
        if i.imported in known and not i.is_for_types:
            edges[i.importer].add(i.imported)

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        stack = [*edges[start]]
        while stack:
            if (at := stack.pop()) not in seen:
                seen.add(at)
                stack.extend(edges[at])
        return seen

    return [name for name in edges if name in reach(name)]


def impure_logic(root: Path) -> list[str]:
    found = []
    for i in imports(root):
        is_impure = i.library in STORES or i.library.startswith("dagster")
        is_impure |= i.library == "resources" and i.imported not in PURE_MAY_IMPORT_FROM_RESOURCES
        if i.importer.startswith(PURE) and is_impure:
            found.append(str(i))
    return found


def heavy_at_the_top(root: Path) -> list[str]:
    at_the_top = [i for i in imports(root) if i.library in HEAVY and not i.is_lazy and not i.is_for_types]
    return [str(i) for i in at_the_top if i.importer not in RUN_BY_OTHERS]


def use_cases_that_meet(root: Path) -> list[str]:
    """Imports from one use case's folder into another's."""
    folders = [p.parent.name for p in (root / "pipelines").glob("*/use_case.py")]

    def owner(module: str) -> str | None:
        parts = module.split(".")
        return parts[1] if len(parts) > 1 and parts[0] == "pipelines" and parts[1] in folders else None

    pairs = [(i, owner(i.importer), owner(i.imported)) for i in imports(root)]
    return [str(i) for i, mine, theirs in pairs if mine and theirs and mine != theirs]


def inits_with_content(root: Path) -> list[str]:
    return [name for name, path in modules(root).items() if path.name == "__init__.py" and path.stat().st_size]


def use_case_words(root: Path) -> list[str]:
    """Lines outside `pipelines/` that speak of a use case. Requests may be in flight."""
    word = re.compile(r"(?<!in)(?<!in[ _-])flight", re.IGNORECASE)
    found = []
    for path in sorted(p for layer in ("assets", "resources") for p in (root / layer).rglob("*")):
        if path.suffix in {".py", ".html", ".j2", ".jinja", ".css", ".js"}:
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            found += [f"{path.relative_to(root)}:{n} {line.strip()}" for n, line in lines if word.search(line)]
    return found


def postponed_annotations_with_dagster(root: Path) -> list[str]:
    """A `Config` class inside a factory does not resolve when annotations are text."""
    sources = {n: p.read_text(encoding="utf-8") for n, p in modules(root).items()}
    return [n for n, s in sources.items() if "from __future__ import annotations" in s and "import dagster" in s]


def long_modules(root: Path) -> list[str]:
    lengths = {n: len(p.read_text(encoding="utf-8").splitlines()) for n, p in modules(root).items()}
    return _over(lengths, MODULE_LINES)


def long_functions(root: Path) -> list[str]:
    trees = {n: ast.parse(p.read_text(encoding="utf-8")) for n, p in modules(root).items()}
    functions = [(n, f) for n, tree in trees.items() for f in ast.walk(tree) if isinstance(f, FUNCTION)]
    return _over({f"{n}:{f.name} (line {f.lineno})": _own_lines(f) for n, f in functions}, FUNCTION_LINES)


def _over(lengths: dict[str, int], most: int) -> list[str]:
    over = {what: n for what, n in lengths.items() if n > most and what.split(" ")[0] not in TOO_LONG_WITH_REASON}
    return [f"{what} has {n} lines" for what, n in over.items()]


def _own_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and without functions inside it, which count for themselves."""
    spans = [n for n in ast.walk(node) if isinstance(n, FUNCTION) and n is not node]
    inner = {line for n in spans for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        inner |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(set(range(node.lineno, (node.end_lineno or node.lineno) + 1)) - inner)


RULES = {
    "layers point one way": (arrows_that_point_back, {"resources/a.py": "from assets import b", "assets/b.py": ""}),
    "a type-only import points the same way": (
        arrows_that_point_back,
        {"resources/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pipelines.x"},
    ),
    "imports are absolute": (relative_or_foreign, {"assets/a.py": "from .b import x", "assets/b.py": "x = 1"}),
    "nothing imports the tests": (relative_or_foreign, {"assets/a.py": "import tests.helpers"}),
    "there are no circles": (circles, {"assets/a.py": "import assets.b", "assets/b.py": "from assets import a"}),
    "a circle inside a function is one": (
        circles,
        {"assets/a.py": "import assets.b", "assets/b.py": "def f():\n    import assets.a"},
    ),
    "logic knows no Dagster": (impure_logic, {"assets/logic/a.py": "import dagster as dg"}),
    "logic knows no store": (impure_logic, {"assets/logic/a.py": "def f():\n    import deltalake"}),
    "logic knows no resource": (impure_logic, {"assets/logic/a.py": "from resources.lake import Lake"}),
    "heavy libraries load where they are used": (heavy_at_the_top, {"assets/a.py": "class A:\n    import torch.nn"}),
    "use cases do not know each other": (
        use_cases_that_meet,
        {"pipelines/a/use_case.py": "import pipelines.b.use_case", "pipelines/b/use_case.py": ""},
    ),
    "init files are empty": (inits_with_content, {"assets/__init__.py": "x = 1"}),
    "shared code names no use case": (use_case_words, {"assets/a.py": "FLIGHTS = 1"}),
    "annotations beside Dagster are real": (
        postponed_annotations_with_dagster,
        {"assets/a.py": "from __future__ import annotations\nimport dagster as dg"},
    ),
    "modules stay short": (long_modules, {"assets/a.py": "x = 1\n" * (MODULE_LINES + 1)}),
    "functions stay short": (long_functions, {"assets/a.py": "def f():\n" + "    x = 1\n" * FUNCTION_LINES}),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_tree_keeps_the_rule_that(rule: str) -> None:
    check, _ = RULES[rule]
    assert check(ROOT) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_planted_breach_is_found_of_the_rule_that(rule: str, tmp_path: Path) -> None:
    check, files = RULES[rule]
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert check(tmp_path) != []


def test_what_is_allowed_is_not_reported(tmp_path: Path) -> None:
    allowed = (
        "from typing import TYPE_CHECKING\nfrom resources.errors import E\nif TYPE_CHECKING:\n    import torch\n"
        'def f():\n    """' + "long\n" * FUNCTION_LINES + '"""\n    import sklearn\n'
    )
    path = tmp_path / "assets" / "logic" / "a.py"
    path.parent.mkdir(parents=True)
    path.write_text(allowed, encoding="utf-8")
    assert {rule: found for rule, (check, _) in RULES.items() if (found := check(tmp_path))} == {}


def test_nothing_imports_what_others_run() -> None:
    assert [str(i) for i in imports(ROOT) if i.imported in RUN_BY_OTHERS] == []


def test_every_module_opens_by_saying_what_belongs_in_it() -> None:
    silent = [
        n for n, p in modules(ROOT).items() if p.stat().st_size and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert silent == []


def test_every_code_location_of_the_workspace_loads_without_a_heavy_library() -> None:
    entries = [e["python_module"] for e in yaml.safe_load((ROOT / "workspace.yaml").read_text("utf-8"))["load_from"]]
    locations = [f"import {e['module_name']} as location; location.{e.get('attribute', 'defs')}" for e in entries]
    # pandas and boto3 are left to the rule above: Dagster itself imports them when they are there.
    heavy = sorted(HEAVY - {"pandas", "boto3"})
    code = "; ".join([*locations, "import sys", f"print(sorted(set({heavy!r}) & sys.modules.keys()))"])
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (loaded.stdout.strip(), loaded.returncode) == ("[]", 0), loaded.stderr
