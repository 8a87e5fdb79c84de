"""A code version changes when the meaning of what is called may have changed, and only then."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

import polars as pl
import pytest

from assets import code_version as module
from assets.code_files import source_module
from assets.code_version import code_version, git_commit, reached
from assets.stages.candidates import family_code_version
from assets.stages.features import features_code_version
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from tests.support.code import edit, forget, write_package

BAKE = '''"""Bakes."""

import json
import numpy as np

from bakery import shop
from bakery.oven import heat

DEGREES = 220
UNUSED = 1


def bake(loaves: int) -> int:
    """Bake them."""
    return heat(loaves) * 2 + shop.price(np.int64(1)) + DEGREES


def clean_up() -> str:
    return json.dumps({})
'''
OVEN = """from dataclasses import dataclass

import polars as pl

from bakery.tray import Tray


def heat(loaves: int) -> int:
    return Tray(loaves).size


def cool(loaves: int) -> pl.DataFrame:
    return pl.DataFrame({"loaves": [loaves]})
"""
TRAY = """class Tray:
    def __init__(self, size: int) -> None:
        self.size = size

    def wash(self) -> None:
        pass
"""
SHOP = """def price(pieces: int) -> int:
    return pieces * 3


def close() -> None:
    pass
"""
ENTRY = "bakery.bake:bake"
SHOP_IMPORT, OVEN_IMPORT = "from bakery import shop", "from bakery.oven import heat"


@pytest.fixture
def bakery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of four modules that nobody has imported."""
    modules = {"bake": BAKE, "oven": OVEN, "tray": TRAY, "shop": SHOP, "sign": "OPEN = True\n"}
    yield write_package(tmp_path, "bakery", modules, monkeypatch)
    forget()


def test_a_version_is_twelve_hex_digits_and_repeats(bakery: Path) -> None:
    first = code_version(ENTRY)
    assert len(first) == 12
    assert int(first, 16) >= 0
    forget()
    assert code_version(ENTRY) == first


def test_the_order_in_which_entries_are_named_says_nothing(bakery: Path) -> None:
    assert code_version(ENTRY, "bakery.oven:cool") == code_version("bakery.oven:cool", ENTRY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return heat", "    # a remark\n    return heat"),
        ("heat(loaves) * 2", "(heat( loaves )\n        * 2)"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ("Bake them.", "Bake them all."),
        ("\n\n\ndef", '\n\n"""What heat is: see the oven."""\n\ndef'),
        (
            "from bakery import shop\nfrom bakery.oven import heat",
            "from bakery.oven import heat\nfrom bakery import shop",
        ),
        ("UNUSED = 1", "UNUSED = 2"),
        ("json.dumps({})", "json.dumps([])"),
        ("import json\n", "import json\nimport os\n"),
        ("220", "0xDC"),
    ],
    ids=[
        *("a comment", "formatting", "empty lines", "a docstring", "a string that stands by itself"),
        *("the order of imports", "another constant", "another function", "an import nobody uses", "a spelling"),
    ],
)
def test_what_does_not_run_does_not_count(old: str, new: str, bakery: Path) -> None:
    before = code_version(ENTRY)
    edit(bakery / "bake.py", old, new)
    assert code_version(ENTRY) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* 2", "* 3"),
        ("loaves: int", "loaves: float"),
        ("heat(loaves)", "loaves"),
        ("DEGREES = 220", "DEGREES = 230"),
        ("from bakery.oven import heat", "from bakery.oven import cool as heat"),
        ("import numpy as np", "import polars as np"),
        ("def bake", "@functools.cache\ndef bake"),
        ("DEGREES = 220\n", "DEGREES = 220\nDEGREES += 1\n"),
    ],
)
def test_what_runs_counts(old: str, new: str, bakery: Path) -> None:
    before = code_version(ENTRY)
    edit(bakery / "bake.py", old, new)
    assert code_version(ENTRY) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("oven", "Tray(loaves)", "Tray(loaves + 1)"),
        ("shop", "* 3", "* 4"),
        ("tray", "        pass", "        self.size = 0"),
        ("__init__", "", "import random\nrandom.seed(1)\n"),
    ],
    ids=["a function", "a function of a module", "a method of a class that is made", "what its package does"],
)
def test_what_is_called_elsewhere_counts(name: str, old: str, new: str, bakery: Path) -> None:
    before = code_version(ENTRY)
    edit(bakery / f"{name}.py", old, new)
    assert code_version(ENTRY) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("oven", '"loaves": [loaves]', '"loaves": []'),
        ("shop", "    pass", "    return None"),
        ("sign", "True", "False"),
    ],
)
def test_what_is_not_called_does_not_count(name: str, old: str, new: str, bakery: Path) -> None:
    before = code_version(ENTRY)
    edit(bakery / f"{name}.py", old, new)
    assert code_version(ENTRY) == before


@pytest.mark.parametrize(
    "body",
    [
        "return getattr(shop, name)()",
        "return importlib.import_module('bakery.shop').close()",
        "import bakery.shop\n    return bakery.shop.close()",
        "from bakery.shop import close\n    return close()",
        "from bakery import shop as there\n    return [there]",
        "return shop.made_up()",
    ],
)
def test_what_cannot_be_told_counts_wholly(body: str, bakery: Path) -> None:
    text = f"import importlib\nfrom bakery import shop\n\n\ndef ask(name):\n    {body}\n"
    (bakery / "asking.py").write_text(text)
    before = code_version("bakery.asking:ask")
    edit(bakery / "shop.py", "    pass", "    return None")
    assert code_version("bakery.asking:ask") != before


@pytest.mark.parametrize(
    "text",
    [
        "FIRST = 1; SECOND = 2\n",
        "if TYPE_CHECKING:\n    import a\nelse: SECOND = 2\n",
        "if TYPE_CHECKING:\n    import a\nelse:\n    @id\n    def SECOND():\n        return 2\n",
        "try:\n    from a import SECOND\nexcept ImportError:\n    SECOND = 2\n",
        "ZERO, (FIRST, *SECOND) = 0, (1, 2)\n",
    ],
)
def test_a_definition_is_found_wherever_it_stands(text: str, bakery: Path) -> None:
    (bakery / "asking.py").write_text(text)
    before = code_version("bakery.asking:SECOND")
    edit(bakery / "asking.py", "2", "3")
    assert code_version("bakery.asking:SECOND") != before


def test_the_order_of_imports_within_a_function_says_nothing(bakery: Path) -> None:
    lines = ["from bakery.shop import price, close", "import json"]
    body = "def ask():\n    {}\n    {}\n    return json, price, close\n"
    (bakery / "asking.py").write_text(body.format(*lines))
    before = code_version("bakery.asking:ask")
    turned = body.format(lines[1], "from bakery.shop import close, price")
    edit(bakery / "asking.py", body.format(*lines), turned)
    assert code_version("bakery.asking:ask") == before


def test_a_star_brings_what_is_used(bakery: Path) -> None:
    (bakery / "asking.py").write_text("from bakery.shop import *\n\n\ndef ask():\n    return close()\n")
    before = code_version("bakery.asking:ask")
    edit(bakery / "shop.py", "    pass", "    return None")
    assert code_version("bakery.asking:ask") != before


def test_a_local_name_is_not_the_module_of_that_name(bakery: Path) -> None:
    (bakery / "asking.py").write_text("from bakery import shop\n\n\ndef ask(shop):\n    return shop.close()\n")
    assert reached("bakery.asking:ask").definitions.keys() == {"bakery.asking:ask"}


def test_what_is_put_on_a_list_by_its_decorator_counts_though_nobody_names_it(bakery: Path) -> None:
    text = "KNOWN = []\n\n\ndef known(f):\n    KNOWN.append(f)\n\n\n@known\ndef one():\n    return 1\n"
    (bakery / "asking.py").write_text(text)
    before = code_version("bakery.asking:KNOWN")
    edit(bakery / "asking.py", "return 1", "return 2")
    assert code_version("bakery.asking:KNOWN") != before


@pytest.mark.parametrize(
    ("header", "counts"),
    [("@dataclass\nclass Box:", False), ("class Box(BaseModel):", True), ("class Box(Base):", True)],
)
def test_types_of_fields_count_where_somebody_reads_them(header: str, counts: bool, bakery: Path) -> None:
    start = "from dataclasses import dataclass\nfrom pydantic import BaseModel\nfrom bakery.tray import Tray\n"
    (bakery / "asking.py").write_text(f"{start}\n\nclass Base:\n    pass\n\n\n{header}\n    tray: Tray\n")
    assert ("bakery.tray:Tray" in reached("bakery.asking:Box").definitions) is counts


def test_what_is_imported_for_types_only_does_not_count(bakery: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bakery.tray import Tray\n\n\n"
    (bakery / "asking.py").write_text(text + "def ask(tray: 'Tray') -> 'Tray':\n    return tray\n")
    assert reached("bakery.asking:ask").definitions.keys() == {"bakery.asking:ask"}


def test_the_releases_of_the_libraries_that_are_used_count(bakery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reached(ENTRY).libraries == {"numpy"}  # polars is used in the oven, by a function that is not called
    before, versions = code_version(ENTRY), {name: metadata.version(name) for name in ("numpy", "polars")}
    for changed, counts in (("polars", False), ("numpy", True)):
        forget()
        monkeypatch.setattr(module, "version", lambda name, c=changed: "99" if name == c else versions[name])
        assert (code_version(ENTRY) != before) is counts


def test_a_library_with_another_name_than_its_module_is_found() -> None:
    assert module._installed("sklearn") == metadata.version("scikit-learn")
    assert module._installed("dateutil") == f"python-dateutil {metadata.version('python-dateutil')}"


def test_declared_values_count_in_full() -> None:
    def of(value: object) -> str:
        return code_version(values=value)

    assert of({"a": 1}) == of({"a": 1})
    assert len({of(("wheat", 1)), of(("wheat", 2)), of(["wheat", "1"]), of({"wheat": 1})}) == 4
    assert of({"b", "a"}) == of({"a", "b"})
    long, other = [*range(100)], [*range(50), -1, *range(51, 100)]
    assert of(pl.col("x").is_in(long)) == of(pl.col("x").is_in(long)) != of(pl.col("x").is_in(other))


def test_what_a_declared_function_holds_counts() -> None:
    def times(factor: int) -> object:
        return lambda x: x * factor

    assert code_version(times(2)) == code_version(times(2)) != code_version(times(3))
    assert code_version(partial(max, 1)) == code_version(partial(max, 1)) != code_version(partial(max, 2))


def test_modules_are_read_and_not_imported(bakery: Path) -> None:
    (bakery / "bake.py").write_text("raise RuntimeError('imported')\n")
    assert code_version("bakery.bake")
    assert not [name for name in sys.modules if name.startswith("bakery")]


def test_a_module_or_name_that_does_not_exist_is_named(bakery: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'bakery\.butter' was not found"):
        code_version("bakery.butter")
    with pytest.raises(LookupError, match=r"'bakery\.bake' has no 'butter'"):
        code_version("bakery.bake:butter")


# Real modules.

ROOT = Path(__file__).parents[2]
LAYERS = ["assets/logic", "assets/stages", "assets/trainers", "pipelines", "resources"]


class _Wordy(ast.NodeTransformer):
    """A docstring in each function and class, and strings that stand by themselves."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.body = [ast.Expr(ast.Constant("Words.")), *node.body, ast.Expr(ast.Constant("More words."))]
        return node


def reformatted(text: str) -> str:
    """The same code without its layout and its comments, with other words, comments and order of its imports."""
    tree = ast.fix_missing_locations(_Wordy().visit(ast.parse(text)))
    imports = [
        s for s in tree.body if isinstance(s, ast.Import | ast.ImportFrom) and getattr(s, "module", "") != "__future__"
    ]
    others = [s for s in tree.body if s not in imports]
    return "\n\n# A remark.\n".join(ast.unparse(s) for s in [*reversed(imports), *others])


def digests(package: Path, name: str, text: str) -> dict[str, str]:
    """Digest of every definition of a module with this text."""
    (package / f"{name}.py").write_text(text, encoding="utf-8")
    forget()
    found = source_module(f"copied.{name}")
    assert found is not None
    return {key: str([t.digest for t in module._texts(found, key)]) for key in ["", *found.definitions]}


@pytest.mark.parametrize("layer", LAYERS)
def test_reformatting_real_modules_changes_no_definition(
    layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(tmp_path, "copied", {}, monkeypatch)
    chosen = sorted((ROOT / layer).rglob("*.py"))[::3]
    texts = {f"m{n}": path.read_text(encoding="utf-8") for n, path in enumerate(chosen)}
    before = {name: digests(package, name, text) for name, text in texts.items()}
    after = {name: digests(package, name, reformatted(text)) for name, text in texts.items()}
    assert before == after
    assert sum(map(len, before.values())) > 30


def test_another_literal_in_a_real_module_changes_the_definition_it_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = write_package(tmp_path, "copied", {}, monkeypatch)
    text = (ROOT / "assets/logic/point_in_time.py").read_text(encoding="utf-8")
    before, tried = digests(package, "one", text), 0
    for node in (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and type(n.value) is int):
        lines = text.splitlines(keepends=True)
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = f"{line[: node.col_offset]}987654{line[node.end_col_offset :]}"
        after = digests(package, "one", "".join(lines))
        assert len([key for key in before if after[key] != before[key]]) == 1, f"line {node.lineno}"
        tried += 1
    assert tried > 5


def test_code_that_reports_is_no_code_of_features_or_models() -> None:
    spec = FLIGHT_DELAYS.trainers[0]
    for entries in (
        ("assets.stages.features:feature_rows", "assets.stages.features:load_history"),
        ("assets.stages.candidates:train", "assets.stages.training_set:training_data"),
    ):
        modules = {key.split(":")[0] for key in reached(*entries).definitions}
        assert not [name for name in modules if name.startswith(("assets.reports", "assets.stages.contest"))]
    assert "assets.reports.plots" in {k.split(":")[0] for k in reached("assets.stages.evaluation_report").definitions}
    assert len({family_code_version(spec), features_code_version(FLIGHT_DELAYS)}) == 2


def test_each_family_is_versioned_with_the_library_that_trains_it() -> None:
    def libraries(family: str) -> set[str]:
        return reached(f"assets.trainers.{family}:TRAINER").libraries

    assert "catboost" in libraries("catboost") - libraries("neural_network")
    assert "torch" in libraries("neural_network") - libraries("catboost")
    assert "sklearn" in libraries("logistic_regression")


# The commit.


def test_the_commit_is_told_in_full_and_says_whether_files_differ_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "code_version.py"))
    assert git_commit() == "not a git checkout"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "a.txt").write_text("one")
    for command in (["init", "-q"], ["add", "a.txt"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert git_commit() == head
    (tmp_path / "a.txt").write_text("two")
    assert git_commit() == f"{head}-dirty"


def test_a_machine_without_git_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_commit() == "git is not installed"
