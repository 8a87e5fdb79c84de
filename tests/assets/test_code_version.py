"""A code version changes when the meaning of the code may have changed, and only then."""

import subprocess
import sys
from pathlib import Path

import pytest

from assets import code_version as module
from assets.code_version import code_version, git_commit

BAKE = '''"""Bakes."""

from bakery.oven import heat


def bake(loaves: int) -> int:
    """Bake them."""
    return heat(loaves) * 2
'''


@pytest.fixture
def bakery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two modules, of which one imports the other, and which nobody has imported."""
    package = tmp_path / "bakery"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "bake.py").write_text(BAKE)
    (package / "oven.py").write_text("def heat(loaves: int) -> int:\n    return loaves\n")
    (package / "shop.py").write_text("OPEN = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.split(".")[0] == "bakery"]:  # the bakery of another test
        monkeypatch.delitem(sys.modules, name)
    return package


def version(*modules: str, **named: object) -> str:
    """As a new process would tell it."""
    module._tree.cache_clear()
    return code_version(*modules, **named)  # type: ignore[arg-type]


def test_a_version_is_twelve_hex_digits_and_repeats(bakery: Path) -> None:
    first = version("bakery.bake")
    assert len(first) == 12
    assert int(first, 16) >= 0
    assert version("bakery.bake") == first


def test_the_order_in_which_modules_are_named_says_nothing(bakery: Path) -> None:
    assert version("bakery.bake", "bakery.oven") == version("bakery.oven", "bakery.bake")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return heat", "    # a remark\n    return heat"),
        ("heat(loaves) * 2", "(heat( loaves )\n        * 2)"),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ("Bake them.", "Bake them all."),
        ("\n\n\ndef", '\n\n"""What heat is: see the oven."""\n\ndef'),
    ],
    ids=["a comment", "formatting", "empty lines", "a docstring", "a string that stands by itself"],
)
def test_what_does_not_run_does_not_count(old: str, new: str, bakery: Path) -> None:
    before = version("bakery.bake")
    (bakery / "bake.py").write_text(BAKE.replace(old, new, 1))
    assert version("bakery.bake") == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("* 2", "* 3"), ("loaves: int", "loaves: float"), ("def bake", "def make"), ("heat(loaves)", "loaves")],
)
def test_what_runs_counts(old: str, new: str, bakery: Path) -> None:
    before = version("bakery.bake")
    (bakery / "bake.py").write_text(BAKE.replace(old, new, 1))
    assert version("bakery.bake") != before


def test_a_module_that_is_imported_from_within_counts_and_others_do_not(bakery: Path) -> None:
    alone, followed = version("bakery.bake"), version("bakery.bake", within=("bakery",))
    (bakery / "oven.py").write_text("def heat(loaves: int) -> int:\n    return loaves + 1\n")
    assert version("bakery.bake") == alone
    assert version("bakery.bake", within=("bakery",)) != followed
    followed = version("bakery.bake", within=("bakery",))
    (bakery / "shop.py").write_text("OPEN = False\n")
    assert version("bakery.bake", within=("bakery",)) == followed


def test_declared_values_count(bakery: Path) -> None:
    assert version("bakery.bake", values=("wheat", 1)) != version("bakery.bake", values=("wheat", 2))


def test_modules_are_read_and_not_imported(bakery: Path) -> None:
    (bakery / "bake.py").write_text("raise RuntimeError('imported')\n")
    assert version("bakery.bake", within=("bakery",))
    assert not [name for name in sys.modules if name.startswith("bakery.")]


def test_a_module_that_does_not_exist_is_named(bakery: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'bakery\.butter' was not found"):
        version("bakery.butter")


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
