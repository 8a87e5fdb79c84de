"""The command `throughline` as a person types it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import EXAMPLE, MODEL, UNTIL, _request, app
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from resources.errors import ThroughlineError
from resources.settings import Settings


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
        (["line"], {"THROUGHLINE_LANDING": "{home}/empty"}, "{home}/empty"),
    ],
    ids=["no such day", "a day without data", "a port that is no number", "nothing has landed"],
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


def test_an_interrupted_feed_is_published_again_and_a_finished_one_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path))
    monkeypatch.setattr("pipelines.cli.UNTIL", "2013-01-02")
    monkeypatch.setattr("pipelines.line.run_line", lambda *_: told.append("line"))
    monkeypatch.setattr("pipelines.services.check_ports", lambda *_: None)
    for _ in range(2):
        with pytest.raises(SystemExit, match="0"):
            app(["line"])
        taken_away = tmp_path / "landing" / "flights" / "flights_2013-01-01.csv.gz"
        taken_away.unlink(missing_ok=True)
    assert told == ["line", "line"]
    assert not taken_away.exists()
    (tmp_path / "fed-until").unlink()
    with pytest.raises(SystemExit, match="0"):
        app(["line"])
    assert taken_away.exists()


def test_the_example_request_asks_what_the_use_case_needs(tmp_path: Path) -> None:
    command = shlex.split(_request(Settings(home=tmp_path)).splitlines()[-1])
    asked = {item["name"]: item["data"][0] for item in json.loads(command[-1])["inputs"]}
    assert asked == EXAMPLE
    assert set(FLIGHT_DELAYS.inputs) - set(FLIGHT_DELAYS.optional_inputs) <= asked.keys() <= set(FLIGHT_DELAYS.inputs)
    assert any(f"/v2/models/{MODEL}/infer" in word for word in command)


def test_the_task_file_and_the_command_feed_up_to_the_same_day() -> None:
    makefile = Path(__file__).parents[2].joinpath("Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^UNTIL \?= (\S+)$", makefile, re.MULTILINE) == [UNTIL]


def test_the_error_family_has_one_root() -> None:
    from pipelines.flight_delays.feed import FeedError
    from pipelines.services import ServiceError

    assert issubclass(FeedError, ThroughlineError)
    assert issubclass(ServiceError, ThroughlineError)
