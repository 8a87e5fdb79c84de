"""From somebody's own table to a live endpoint, by the commands a person types, in a copy of this repository.

One `throughline new` per table, then one `throughline line` over all of them; the tests only look. Nothing that was
written is touched.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.tables import TABLES, Table

ROOT = Path(__file__).parents[1]
COMMAND = "from pipelines.cli import app; app()"


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A copy of the repository, with its own state folder and ports."""

    root: Path

    def run(self, *arguments: str) -> str:
        done = self.tried(*arguments)
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def tried(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # As `throughline` does it, but with the packages of the copy: the folder a program starts in comes first.
        command = [sys.executable, "-c", COMMAND, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self._environment, capture_output=True, text=True, check=False
        )

    @property
    def _environment(self) -> dict[str, str]:
        ports = json.loads((self.root / "ports.json").read_text(encoding="utf-8"))
        return {**os.environ, **ports, "THROUGHLINE_HOME": str(self.root / "var"), "PYTHONPATH": str(self.root)}


@dataclass(frozen=True, kw_only=True)
class Story:
    """What was said on the way from the tables to their endpoints."""

    clone: Clone
    begun: dict[str, str]
    line: str

    def request(self, name: str) -> tuple[str, bytes]:
        """Address and body of the request that the line printed for a use case."""
        asked = [line for line in self.line.splitlines() if line.strip().startswith("curl ")]
        words = shlex.split(next(line for line in asked if f"/v2/models/{name}/infer" in line))
        return words[1], words[words.index("--data") + 1].encode()

    def answer(self, name: str) -> dict[str, Any]:
        url, body = self.request(name)
        question = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(question, timeout=30) as response:
            answered: dict[str, Any] = json.loads(response.read())
        return answered


def tracked() -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "pipelines", "assets", "resources"]
    files = subprocess.run(
        [*listed, "infra", "workspace.yaml", "pyproject.toml"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in files.stdout.splitlines() if (ROOT / name).is_file()]


def free_ports(count: int) -> list[int]:
    """So many free ports in a row, below those that the system hands out: they stay free until they are used."""
    for first in range(20_000 + os.getpid() % 1_000 * 10, 32_000, count):
        ports = list(range(first, first + count))
        if all(is_free(port) for port in ports):
            return ports
    raise OSError(f"no {count} free ports in a row below 32,000")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    root = tmp_path_factory.mktemp("clone")
    for name in tracked():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((ROOT / name).read_bytes())
    *endpoints, dagster, mlflow = free_ports(len(TABLES) + 2)
    ports = {"ENDPOINT": endpoints[0], "DAGSTER": dagster, "MLFLOW": mlflow}
    (root / "ports.json").write_text(json.dumps({f"THROUGHLINE_{n}_PORT": str(p) for n, p in ports.items()}))
    made = Clone(root=root)
    yield made
    made.run("stop")


def begin(clone: Clone, table: Table) -> Sequence[str]:
    path = clone.root / "files" / table.file
    path.parent.mkdir(exist_ok=True)
    table.write(path)
    return ("new", table.name, "--from", str(path), "--target", table.target, "--ahead", table.ahead, "--yes")


@pytest.fixture(scope="module")
def story(clone: Clone) -> Story:
    tables = [make() for make in TABLES.values()]
    begun = {table.name: clone.run(*begin(clone, table)) for table in tables}
    return Story(clone=clone, begun=begun, line=clone.run("line", *begun))


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_the_planted_leak_is_named(make: Any, story: Story) -> None:
    table = make()
    warned = story.begun[table.name].partition("LEAK WARNING")[2].splitlines()[1:]
    assert warned[0].strip().startswith(f"{table.leak}:")


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_the_endpoint_answers_the_request_that_was_printed(make: Any, story: Story) -> None:
    outputs = {
        "binary": {"probability"},
        "multiclass": {"probability", "class"},
        "regression": {"prediction", "lower", "upper"},
        "count": {"prediction", "lower", "upper"},
    }
    table = make()
    answer = story.answer(table.name)
    assert answer["model_name"] == table.name
    assert {tensor["name"] for tensor in answer["outputs"]} == outputs[table.task]


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_the_leak_is_not_among_what_the_model_sees(make: Any, story: Story) -> None:
    table = make()
    report = story.clone.root / "var" / "reports" / table.name / "evaluation_report" / "latest.json"
    features = json.loads(report.read_text(encoding="utf-8"))["explanation"]["mean_absolute_contribution"]
    assert not [name for name in features if name == table.leak]


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_naive_prediction_is_beaten(make: Any, story: Story) -> None:
    table = make()
    report = story.clone.root / "var" / "reports" / table.name / "evaluation_report" / "latest.json"
    assert json.loads(report.read_text(encoding="utf-8"))["decision"]["promoted"]


def test_the_classes_that_come_later_are_answered_as_others(story: Story) -> None:
    table = next(t for t in (make() for make in TABLES.values()) if t.task == "multiclass")
    tensor = next(t for t in story.answer(table.name)["outputs"] if t["name"] == "probability")
    assert tensor["parameters"]["classes"][-1] == "(other)"
    assert sum(tensor["data"]) == pytest.approx(1.0)


def test_every_use_case_is_a_code_location_of_its_own(story: Story) -> None:
    entries = yaml.safe_load((story.clone.root / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    assert {*story.begun} <= {entry["python_module"]["location_name"] for entry in entries}


def test_nothing_but_yaml_and_a_test_was_written_for_a_use_case(story: Story) -> None:
    written = {p.name for name in story.begun for p in (story.clone.root / "pipelines" / name).iterdir()}
    assert written - {"__pycache__"} == {"use_case.yaml"}
