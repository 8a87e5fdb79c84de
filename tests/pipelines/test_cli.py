"""The command `throughline` as a person types it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import catalogue, lines
from pipelines.cli import SHIPPED, app
from pipelines.flight_delays.feed import UNTIL
from pipelines.lines import Outcome
from resources.errors import ThroughlineError


def throughline(home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("THROUGHLINE_")}
    return subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import app; app()", *arguments],
        env={**own, "THROUGHLINE_HOME": str(home), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_feed_publishes_up_to_the_day_asked_for_and_tells_how_far_it_is(tmp_path: Path) -> None:
    done = throughline(tmp_path, "feed", "--until", "2013-01-03")
    assert done.returncode == 0, done.stderr
    assert "8 of 8 files" in done.stdout
    days = sorted(p.name for p in (tmp_path / "landing" / "flights").iterdir())
    assert days == [f"flights_2013-01-0{d}.csv.gz" for d in (1, 2, 3)]


@pytest.mark.parametrize(
    ("arguments", "env", "names"),
    [
        (["feed", "--until", "2013-02-30"], {}, "2013-02-30"),
        (["feed", "--until", "2012-12-31"], {}, "2012-12-31"),
        (["status"], {"THROUGHLINE_ENDPOINT_PORT": "many"}, "THROUGHLINE_ENDPOINT_PORT"),
        (["line", "flight_delays"], {"THROUGHLINE_LANDING": "{home}/empty"}, "{home}/empty"),
        (["line", "flight_delay"], {}, "there is no use case 'flight_delay'; did you mean 'flight_delays'?"),
        (["feed", "delays_of_flights"], {}, "there is no use case 'delays_of_flights'"),
    ],
    ids=[
        "no such day",
        "a day without data",
        "a port that is no number",
        "nothing has landed",
        "no such use case",
        "no such feed",
    ],
)
def test_an_expected_error_is_one_sentence(
    arguments: list[str], env: dict[str, str], names: str, tmp_path: Path
) -> None:
    home = str(tmp_path)
    done = throughline(tmp_path, *arguments, **{k: v.format(home=home) for k, v in env.items()})
    assert done.returncode == 1
    assert done.stderr.startswith("throughline: "), done.stderr
    assert done.stderr.count("\n") == 1
    assert names.format(home=home) in done.stderr


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    monkeypatch.setattr("pipelines.services.status", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app(["status"])


def test_a_full_disk_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device", "lake/part-0")

    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    monkeypatch.setattr("pipelines.services.status", full)
    with pytest.raises(SystemExit, match="1"):
        app(["status"])
    assert capsys.readouterr().err.startswith("throughline: the disk is full while writing lake/part-0; ")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app([*arguments])
    return int(ended.value.code or 0)


class Lines:
    """Stands in for the lines, which take minutes: notes what is asked for."""

    def __init__(self, failing: tuple[str, ...] = ()) -> None:
        self.asked: list[list[str]] = []
        self.failing = failing

    def __call__(self, _: object, names: list[str], __: object) -> Outcome:
        self.asked.append(names)
        failed = {name: "it rains" for name in names if name in self.failing}
        return Outcome(done=[name for name in names if name not in failed], failed=failed)


@pytest.fixture
def three_use_cases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Three names in the workspace, a state folder, and no ports or requests to be shown."""
    known = ["flight_delays", "zebras", "apes"]
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    monkeypatch.setattr("pipelines.catalogue.in_workspace", lambda: known)
    monkeypatch.setattr("pipelines.catalogue.declaration", lambda name: tmp_path / name)
    monkeypatch.setattr("pipelines.services.check_ports", lambda *_: None)
    monkeypatch.setattr("pipelines.services.up", lambda *_: None)
    monkeypatch.setattr("pipelines.cli._show_requests", lambda *_: None)
    return known


@pytest.mark.parametrize("command", ["line", "run"])
def test_all_use_cases_of_the_workspace_are_run_unless_some_are_named(
    command: str, three_use_cases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Lines()
    monkeypatch.setattr(lines, "run_lines", told)
    assert (run(command), run(command, "apes"), run(command, "apes", "zebras", "apes")) == (0, 0, 0)
    assert told.asked == [three_use_cases, ["apes"], ["apes", "zebras"]]


@pytest.mark.parametrize("command", ["line", "run"])
@pytest.mark.usefixtures("three_use_cases")
def test_a_use_case_that_failed_is_told_at_the_end_with_exit_code_1(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lines, "run_lines", Lines(failing=("zebras",)))
    assert run(command) == 1
    assert capsys.readouterr().err == "throughline: 1 of 3 use cases failed. zebras: it rains\n"


def test_the_task_file_and_the_command_feed_up_to_the_same_day() -> None:
    makefile = Path(__file__).parents[2].joinpath("Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^UNTIL \?= (\S+)$", makefile, re.MULTILINE) == [str(UNTIL)]


def test_the_use_case_whose_data_ships_is_in_the_catalogue_and_can_be_fed() -> None:
    assert SHIPPED in catalogue.in_workspace()
    assert catalogue.publish_hook(SHIPPED) is not None


def test_the_error_family_has_one_root() -> None:
    from pipelines.flight_delays.feed import FeedError
    from pipelines.services import ServiceError

    assert issubclass(FeedError, ThroughlineError)
    assert issubclass(ServiceError, ThroughlineError)
