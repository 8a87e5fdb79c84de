"""Nobody presses a button: real days of flights land beside a real daemon, which takes them in, scores, watches them.

Each fixture goes one step further and notes what it found, so that the tests only look.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import dagster as dg
import pytest

from assets.contracts import PARTITION_KEY
from pipelines.attempts import WORK
from pipelines.flight_delays.feed import publish
from pipelines.upkeep import MONITORS, PURPOSES
from resources.objects import ObjectStore
from tests.support import few_days
from tests.support.automated import Automated
from tests.support.few_days import LAST, days_between
from tests.support.waiting import eventually

PATIENCE = 900
"""Seconds, before a test that hangs is ended; a step takes 30 on an idle machine."""
FIVE_MORE = days_between("2013-02-08", "2013-02-12")
TWO_MORE = days_between("2013-02-13", "2013-02-14")


@dataclass(frozen=True)
class State:
    """What one moment looked like: runs, and rows by table and day."""

    runs: list[dg.DagsterRun]
    rows: dict[str, dict[str, int]]

    def made(self, purpose: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS) -> list[tuple[str, str]]:
        """Ranges of the daemon's runs of a purpose."""
        tags = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        found = [r for r in self.runs if WORK in r.tags and r.job_name.endswith(f"_{purpose}_job")]
        return [(r.tags[tags[0]], r.tags[tags[1]]) for r in found if r.status is status]


def note(automated: Automated) -> State:
    rows = {}
    for name in ("features", "predictions", *MONITORS):
        frame = automated.home.lake.scan(automated.home.table(name)).group_by(PARTITION_KEY).len().collect()
        rows[name] = dict(frame.iter_rows())
    return State(runs=automated.runs(), rows=rows)


def land(automated: Automated, days: list[str]) -> None:
    publish(
        ObjectStore(str(automated.home.landing)), since=date.fromisoformat(days[0]), until=date.fromisoformat(days[-1])
    )


def is_watched(automated: Automated, day: str) -> bool:
    lake, home = automated.home.lake, automated.home
    return all(day in lake.partitions(home.table(name)) for name in MONITORS) and not open_runs(automated)


def open_runs(automated: Automated) -> list[dg.DagsterRun]:
    return [run for run in automated.runs() if not run.is_finished]


@pytest.fixture(scope="module")
def automated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Automated]:
    """A champion, five weeks of days that are all scored and watched, and a daemon that finds nothing left to do."""
    room = tmp_path_factory.getbasetemp()
    home = few_days.trained(room).home.copy(tmp_path_factory.mktemp("automated") / "var", with_landing=True)
    automated = Automated(home=home)
    automated.prepare()
    automated.catch_up()
    assert is_watched(automated, LAST)
    automated.start()
    try:
        yield automated
    finally:
        automated.stop()


@pytest.fixture(scope="module")
def arrived(automated: Automated) -> State:
    """Five days landed at once."""
    land(automated, FIVE_MORE)
    assert eventually(lambda: is_watched(automated, FIVE_MORE[-1]), PATIENCE, pause=3)
    return note(automated)


@pytest.fixture(scope="module")
def killed(automated: Automated, arrived: State) -> State:
    """Two more landed; the daemon, its code server and the run were killed meanwhile, and the daemon started again."""
    land(automated, TWO_MORE)
    assert eventually(lambda: any(r.status is dg.DagsterRunStatus.STARTED for r in automated.runs()), PATIENCE, pause=1)
    automated.kill()
    automated.start()
    assert eventually(lambda: is_watched(automated, TWO_MORE[-1]), PATIENCE, pause=3)
    return note(automated)


def test_days_that_land_at_once_are_taken_in_scored_and_watched_in_one_run_each(arrived: State) -> None:
    assert {
        purpose: arrived.made(purpose).count((FIVE_MORE[0], FIVE_MORE[-1])) for purpose in PURPOSES
    } == dict.fromkeys(PURPOSES, 1)


def test_every_row_is_scored_once(killed: State) -> None:
    days = FIVE_MORE + TWO_MORE
    assert {d: killed.rows["predictions"][d] for d in days} == {d: killed.rows["features"][d] for d in days}


def test_a_run_that_was_killed_is_on_record_as_failed(killed: State) -> None:
    assert killed.made("ingest", dg.DagsterRunStatus.FAILURE) == [(TWO_MORE[0], TWO_MORE[-1])]


def test_after_a_kill_every_day_is_taken_in_once_more_and_no_other_is_touched(arrived: State, killed: State) -> None:
    before, after = (Counter(d for span in s.made("ingest") for d in days_between(*span)) for s in (arrived, killed))
    assert after - before == Counter(TWO_MORE)
