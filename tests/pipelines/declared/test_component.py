"""A declaration as a Dagster component: `dg` lists, scaffolds and checks it in a project of its own."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[3]
TYPE = "pipelines.declared.component.UseCaseComponent"
PROJECT = """
    [project]
    name = "mine"
    version = "0"

    [tool.dg]
    directory_type = "project"

    [tool.dg.project]
    root_module = "mine"
    code_location_target_module = "mine.definitions"
    registry_modules = ["pipelines.declared.component"]
"""
DEFINITIONS = """
    from pathlib import Path

    import dagster as dg

    @dg.definitions
    def defs():
        return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dg") / "mine"
    (folder / "mine" / "defs").mkdir(parents=True)
    for module in ("mine/__init__.py", "mine/defs/__init__.py"):
        (folder / module).touch()
    (folder / "pyproject.toml").write_text(dedent(PROJECT))
    (folder / "mine" / "definitions.py").write_text(dedent(DEFINITIONS))
    fields = ("--source", "orders.csv", "--target", "late", "--time", "at")
    scaffolded = dg(folder, "scaffold", "defs", TYPE, "shop", *fields)
    assert scaffolded.returncode == 0, scaffolded.stderr + scaffolded.stdout
    return folder


def dg(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {
        **os.environ,
        "PYTHONPATH": f"{folder}:{ROOT}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(Path(sys.executable).parents[1]),
        "THROUGHLINE_HOME": str(folder / "var"),
        "DG_CLI_CONFIG": str(folder / "dg.toml"),
        "COLUMNS": "400",
    }
    return subprocess.run(["dg", *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_dg_lists_the_component(project: Path) -> None:
    listed = dg(project, "list", "components")
    assert TYPE in listed.stdout, listed.stderr


def test_dg_scaffolds_a_declaration_that_works(project: Path) -> None:
    assert (project / "mine" / "defs" / "shop" / "use_case.yaml").read_text() == (
        "source:\n  uri: orders.csv\ntime:\n  column: at\ntarget:\n  column: late\n  task: binary\n"
    )
    checked = dg(project, "check", "yaml")
    assert checked.returncode == 0, checked.stderr + checked.stdout
    listed = dg(project, "list", "defs", "--json")
    assert '"shop/features"' in listed.stdout, listed.stderr + listed.stdout


def test_dg_tells_a_mistake_by_file_line_and_field(project: Path) -> None:
    path = project / "mine" / "defs" / "shop" / "use_case.yaml"
    good = path.read_text()
    path.write_text(good.replace("binary", "binery"))
    try:
        checked = dg(project, "check", "defs")
    finally:
        path.write_text(good)
    assert checked.returncode != 0
    assert "use_case.yaml:7 field target.task: is 'binery'; did you mean 'binary'?" in checked.stderr + checked.stdout
