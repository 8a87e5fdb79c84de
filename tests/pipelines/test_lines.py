"""Several use cases one after the other: data lands before each line, and none keeps another from running."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipelines
from pipelines import lines
from pipelines.line import Line, LineError
from pipelines.lines import run_lines
from pipelines.services import prepare_environment
from resources.locks import BusyError, alone
from resources.settings import Settings
from tests.support.small_line import PREPARED

USE_CASE = """
from dataclasses import replace
from tests.support.toy_use_case import TOY
{constant} = replace(TOY, name="{name}")
"""
FEED = """
from resources.errors import ThroughlineError

def publish_default(landing, echo, until=None):
    landing.write("shipped.csv", b"some")
    echo(f"published until {until}")
    if landing.exists("interrupted"):
        raise ThroughlineError("the power failed")

def deliver(landing, echo):
    landing.write("delivered.csv", b"more")
    echo("delivered")
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A state folder, with the environment that every command prepares."""
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path / "home"))
    for name in PREPARED:
        monkeypatch.setenv(name, "")
    made = Settings()
    prepare_environment(made)
    return made


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three use cases: zebras bring data of their own, and mice do not even load."""
    folder = tmp_path / "use_cases"
    for name in ("apes", "zebras", "mice"):
        (folder / name).mkdir(parents=True)
        text = USE_CASE.format(constant=name.upper(), name=name)
        (folder / name / "use_case.py").write_text(text if name != "mice" else "MICE = 1 / 0", encoding="utf-8")
    (folder / "zebras" / "feed.py").write_text(FEED, encoding="utf-8")
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder)])
    yield folder
    for name in [n for n in sys.modules if n.startswith(("pipelines.apes", "pipelines.zebras", "pipelines.mice"))]:
        del sys.modules[name]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the use cases whose line ran; their lines do nothing else."""
    names: list[str] = []
    monkeypatch.setattr(Line, "run", lambda self: names.append(self.use_case.name))
    return names


def test_lines_run_in_the_order_asked_for_and_each_says_which_it_is(
    settings: Settings, place: Path, ran: list[str]
) -> None:
    assert place.is_dir()
    told: list[str] = []
    outcome = run_lines(settings, ["zebras", "apes"], told.append)
    outcome.require()
    assert (ran, outcome.done) == (["zebras", "apes"], ["zebras", "apes"])
    assert [t for t in told if "of 2" in t] == ["\nzebras (1 of 2)", "\napes (2 of 2)"]


@pytest.mark.usefixtures("place")
def test_a_use_case_that_fails_keeps_no_other_from_running_and_is_told_at_the_end(
    settings: Settings, ran: list[str]
) -> None:
    told: list[str] = []
    outcome = run_lines(settings, ["mice", "weather", "apes"], told.append)
    assert (ran, outcome.done) == (["apes"], ["apes"])
    assert any("mice failed:\nTraceback" in t for t in told), "a defect is told with its traceback"
    assert any(t.startswith("weather failed: there is no use case 'weather'") for t in told)
    with pytest.raises(
        LineError, match=r"^2 of 3 use cases failed\. mice: ZeroDivisionError: .*; weather: there is no"
    ):
        outcome.require()


@pytest.mark.usefixtures("place", "ran")
def test_the_error_of_a_use_case_alone_is_its_own(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError):
        run_lines(settings, ["mice"], print)


@pytest.mark.usefixtures("place", "ran")
def test_shipped_data_is_published_once_and_delivered_data_every_time(settings: Settings) -> None:
    told: list[str] = []
    shipped = Path(settings.landing_root) / "shipped.csv"
    run_lines(settings, ["zebras"], told.append)
    shipped.unlink()  # what was taken away stays away
    run_lines(settings, ["zebras"], told.append)
    assert told == ["published until None", "delivered", "delivered"]
    assert not shipped.exists()


@pytest.mark.usefixtures("place", "ran")
def test_publishing_that_was_interrupted_is_done_again(settings: Settings) -> None:
    told: list[str] = []
    interrupted = Path(settings.landing_root) / "interrupted"
    interrupted.parent.mkdir(parents=True)
    interrupted.touch()
    with pytest.raises(Exception, match="the power failed"):
        run_lines(settings, ["zebras"], told.append)
    interrupted.unlink()
    run_lines(settings, ["zebras"], told.append)
    assert told == ["published until None", "published until None", "delivered"]


@pytest.mark.usefixtures("place", "ran")
def test_nothing_is_published_into_a_landing_zone_that_others_fill(settings: Settings, tmp_path: Path) -> None:
    told: list[str] = []
    run_lines(settings.model_copy(update={"landing": str(tmp_path / "theirs")}), ["zebras"], told.append)
    assert told == ["delivered"]
    assert [p.name for p in (tmp_path / "theirs").iterdir()] == ["delivered.csv"]


def test_a_second_line_in_the_same_folder_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with (
        alone(settings.home / "run" / "line.lock", "The line"),
        pytest.raises(BusyError, match=rf"The line runs already, in process {os.getpid()}; wait for its end"),
    ):
        lines.run_lines(settings, ["flight_delays"], print)
    assert [p.name for p in settings.home.rglob("*") if p.is_file()] == ["line.lock"]
