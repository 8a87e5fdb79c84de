"""Real sensors and the real schedule before the one decision: what waits, what is stale, ticks that die, clocks."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines import retraining_claims, sensors
from resources.lake import Lake
from tests.support.retraining import DAY, DRIFT, HOUR, NOW, judged
from tests.support.ticks import MONITORING, NEW_DATA, Ticks, ticks

ROOT = Path(__file__).parents[2]
MINUTE = timedelta(minutes=1)
HALF_PAST = NOW + 30 * MINUTE
"""When the schedule asks about age."""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Ticks]:
    """None begins between a quarter past six and nine; the champion has been too old for ten days."""
    with ticks(tmp_path, every=20 * DAY, quiet_hours=(time(6, 15), time(9)), cool_down=3 * DAY) as made:
        yield made


def asked(line: Ticks, *instants: datetime) -> list[dg.RunRequest]:
    """What the monitoring sensor asks for then, and at half past six the schedule, which comes first."""
    found = []
    for at in instants:
        found += [line.fire(at)] if at.time() == HALF_PAST.time() else []
        found.append(line.tick(MONITORING, at))
    return [request for request in found if isinstance(request, dg.RunRequest)]


# Age, which nobody asks about but once a day


def test_age_that_waits_for_the_end_of_quiet_hours_makes_one_retraining_right_after_them(line: Ticks) -> None:
    over = NOW + 3 * HOUR
    requests = asked(line, NOW, HALF_PAST, NOW + HOUR, over - MINUTE, over, over + MINUTE)
    assert line.about("age") == [("wait", HALF_PAST), ("retrain", over)]
    assert [request.tags["throughline/trigger"] for request in requests] == ["age"]
    line.trained(requests[0])
    judged(line.lake, NOW + 4 * HOUR)
    assert asked(line, NOW + 5 * HOUR, HALF_PAST + DAY, over + DAY, HALF_PAST + 4 * DAY, over + 4 * DAY) == []
    assert len(line.about("age")) == 2


def test_age_that_waits_for_the_end_of_the_cool_down_is_taken_up_on_the_minute(line: Ticks) -> None:
    line.trained(line.ask(DRIFT, at=NOW - 2 * DAY + 8 * HOUR).run_request)
    over = NOW + DAY + 8 * HOUR
    requests = asked(line, HALF_PAST, NOW + 3 * HOUR, HALF_PAST + DAY, over - MINUTE, over, over + MINUTE)
    assert line.about("age") == [("wait", HALF_PAST), ("retrain", over)]
    assert len(requests) == 1


@pytest.mark.parametrize("is_schedule_first", [True, False])
def test_age_that_waited_is_answered_once_whoever_comes_first(line: Ticks, is_schedule_first: bool) -> None:
    line.fire(HALF_PAST)
    over = NOW + 3 * HOUR
    turns = [lambda: line.fire(over), lambda: line.tick(MONITORING, over)]
    found = [turn() for turn in (turns if is_schedule_first else reversed(turns))]
    assert [isinstance(request, dg.RunRequest) for request in found] == [True, False]
    assert line.about("age") == [("wait", HALF_PAST), ("retrain", over)]


def test_age_that_waits_for_a_training_is_answered_when_that_has_succeeded(line: Ticks) -> None:
    run = line.started()
    line.fire(NOW - 6 * HOUR)
    line.tick(MONITORING, NOW - 5 * HOUR)
    line.instance.report_run_canceled(run)
    judged(line.lake, NOW - 4 * HOUR)
    line.tick(MONITORING, NOW - 3 * HOUR)
    line.tick(MONITORING, NOW - 2 * HOUR)
    assert line.about("age") == [("wait", NOW - 6 * HOUR), ("no", NOW - 3 * HOUR)]


def test_the_monitoring_sensor_leaves_age_to_its_schedule_until_it_waits(line: Ticks) -> None:
    assert asked(line, NOW, NOW + 4 * HOUR) == []
    assert line.about("age") == []


# Evidence that is stale


def test_stale_evidence_starts_nothing_and_is_on_record_once_until_the_monitor_looks_again(line: Ticks) -> None:
    at = NOW + 4 * HOUR
    line.drifted(at - 3 * DAY)
    assert asked(line, at, at + MINUTE, at + HOUR) == []
    assert line.about("drift") == [("no", at)]
    [reasons] = [row["reasons"] for row in line.ledger().iter_rows(named=True) if "drift" in row["triggers"]]
    assert "No decision is taken on drift" in reasons[0]
    assert "older than 2 days" in reasons[0]
    line.drifted(at + 2 * HOUR)
    assert len(asked(line, at + 3 * HOUR, at + 4 * HOUR)) == 1
    assert line.about("drift") == [("no", at), ("retrain", at + 3 * HOUR)]


# Ticks that die between deciding and returning


@pytest.fixture
def untrained(tmp_path: Path) -> Iterator[Ticks]:
    """A line whose first training led to no model, with days enough for another."""
    lake = Lake(root=str(tmp_path / "lake"))
    judged(lake, NOW - 30 * DAY, decision="rejected", model_version=None, tested_through=date(2020, 1, 1))
    with ticks(tmp_path) as made:
        made.labelled(date(2020, 1, 2), 28)
        yield made


def raising(line: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sensors.consider

    def considers_and_raises(*args: object, **named: object) -> None:
        real(*args, **named)  # type: ignore[arg-type]
        raise ConnectionError("the lake went away")

    with monkeypatch.context() as patch:
        patch.setattr(sensors, "consider", considers_and_raises)
        with pytest.raises(ConnectionError):
            line.tick(NEW_DATA, NOW)


def killed(line: Ticks, _: pytest.MonkeyPatch) -> None:
    code = (
        "import os; from pathlib import Path; from pipelines import sensors\n"
        "from tests.support.ticks import NEW_DATA, NOW, ticks\n"
        "real = sensors.consider\n"
        "sensors.consider = lambda *args, **named: (real(*args, **named), os._exit(9))\n"
        f"with ticks(Path({str(line.folder)!r})) as line: line.tick(NEW_DATA, NOW)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 9


@pytest.mark.parametrize("die", [raising, killed])
def test_a_new_data_tick_that_dies_before_it_returns_its_training_is_made_good_once(
    untrained: Ticks, monkeypatch: pytest.MonkeyPatch, die: Callable[[Ticks, pytest.MonkeyPatch], None]
) -> None:
    die(untrained, monkeypatch)
    assert untrained.about("new_data") == [("retrain", NOW)]
    assert "is about to begin" in str(untrained.tick(NEW_DATA, NOW + MINUTE))
    monkeypatch.setattr(retraining_claims, "LAUNCHED_WITHIN", timedelta(0))
    request = untrained.tick(NEW_DATA, NOW + 3 * MINUTE)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == untrained.ledger()["decision_id"][0]
    untrained.started(request.tags)
    assert not isinstance(untrained.tick(NEW_DATA, NOW + 4 * MINUTE), dg.RunRequest)
    assert untrained.about("new_data") == [("retrain", NOW)]


# Clocks that jump and return


def test_a_clock_that_was_ahead_for_a_while_doubles_nothing_and_loses_nothing(line: Ticks) -> None:
    over, ahead = NOW + 3 * HOUR, HALF_PAST + 300 * DAY
    assert asked(line, NOW, HALF_PAST) == []
    assert asked(line, ahead, ahead + HOUR) == []
    assert len(asked(line, HALF_PAST + HOUR, over, over + MINUTE, HALF_PAST + DAY, over + DAY)) == 1
    assert [row for row in line.about("age") if row[0] == "retrain"] == [("retrain", over)]


def test_a_clock_that_was_back_for_a_while_shortens_no_cool_down(line: Ticks) -> None:
    began = NOW + 4 * HOUR
    over, back = began + 3 * DAY, began - 300 * DAY
    line.drifted(began)
    [request] = asked(line, began)
    line.trained(request)
    assert asked(line, back, back + HOUR) == []
    assert "which the clock has not reached yet" in str(line.ledger()["reasons"].to_list())
    assert len(asked(line, began + HOUR, HALF_PAST + DAY, over - MINUTE, over, over + MINUTE)) == 1
    assert [at for answer, at in line.about("age") if answer == "retrain"] == [over]
