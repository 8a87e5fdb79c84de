"""A real daemon over a month of flights: how long until a new day has its scores, and an alarm its new model.

Belongs here: starting the daemon, letting something happen, and waiting for what follows. Does not belong here: what
is made of the figures (`automation.py`).
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import dagster as dg
import polars as pl
from dagster._core.scheduler.instigation import TickStatus

from assets.contracts import PARTITION_KEY
from assets.stages.champion import LEDGER
from assets.stages.common import table_name
from assets.stages.drift_tables import WINDOWS
from infra.bench.children import ROOT, BenchError, Span, spent, tell
from infra.bench.subject import SUBJECTS, Subject
from pipelines.flight_delays.feed import publish
from pipelines.jobs import sensor_name
from pipelines.services import prepare_environment
from pipelines.upkeep import MONITORS
from resources import processes
from resources.lake import Commit, Lake
from resources.objects import ObjectStore
from resources.serving.ports import process_name
from resources.settings import Settings

DAEMON: Final = "dagster-daemon"
WORKSPACE: Final = """
load_from:
  - python_module:
      module_name: infra.bench.location
      location_name: flight_delays
      working_directory: {root}
"""
PATIENCE_S: Final = 900.0
"""Before a measurement that hangs is given up; a step takes half a minute on an idle machine."""
POLL_S: Final = 0.2
COMMIT: Final = Commit(dagster_run_id="bench", code_version="bench")


def main(started: str, result: str, subject: str) -> None:
    """Have a day land, then a drift alarm raised; tell how long it took until what follows was there.

    Args:
        started: When this process was started, seconds since 1970.
        result: File to tell it in.
        subject: One of `SUBJECTS`; its line has run in this home.
    """
    settings = Settings()
    prepare_environment(settings)
    scene = Scene(SUBJECTS[subject], settings)
    with scene.daemon():
        spans = [scene.arrival(), scene.alarm()]
    tell(Path(result), spent(float(started)), stages=spans, facts={"decision": scene.decisions()[-1]})


class Scene:
    """A home with a champion, and what happens in it."""

    def __init__(self, subject: Subject, settings: Settings) -> None:
        """Look at the home of the settings."""
        self.use_case, self.settings = subject.use_case, settings
        self.next_day = subject.until + timedelta(days=1)
        self.lake = Lake(root=settings.lake_root, storage_options=settings.storage_options)

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Dagster's daemon while it is needed; it and the endpoint are ended afterwards."""
        home = self.settings.home
        workspace = home / "bench-workspace.yaml"
        workspace.write_text(WORKSPACE.format(root=ROOT), encoding="utf-8")
        command = (sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(workspace))
        began = time.time()
        processes.start_detached(command, name=DAEMON, home=home)
        try:
            _wait("the daemon's first look at the landing zone", lambda: self._has_looked(began))
            yield
        finally:
            stop(self.use_case.name, home)

    def arrival(self) -> Span:
        """From the landing of a day to its scores; returns when it is watched as well."""
        key = self.use_case.partitions.key(self.next_day)
        publish(ObjectStore(self.settings.landing_root), since=self.next_day, until=self.next_day)
        began = time.time()
        _wait("the scores of a new day", lambda: key in self._there("predictions"))
        span = Span(name="arrival to scores", start=began, end=time.time())
        _wait("the monitors", lambda: all(key in self._there(name) for name in MONITORS))
        return span

    def alarm(self) -> Span:
        """From a drift alarm, put on record as the monitor does it, to the decision about a new model."""
        key, table, before = max(self._there(WINDOWS)), table_name(self.use_case, WINDOWS), len(self.decisions())
        rows = self.lake.scan(table, partitions=[key]).collect()
        loud = pl.col("group") == rows["group"][0]
        raised = rows.with_columns(is_drifted=loud, score=pl.when(loud).then(2.0).otherwise("score"))
        live = self._ledger()["model_version"][-1]
        raised = raised.with_columns(reference=pl.lit(live), model_version=pl.lit(live))
        self.lake.write(table, raised, partitions=[key], commit=COMMIT)
        began = time.time()
        _wait("a new decision about the champion", lambda: len(self.decisions()) > before)
        return Span(name="alarm to decision", start=began, end=time.time())

    def decisions(self) -> list[str]:
        """What was decided about models, in order."""
        return [str(decision) for decision in self._ledger()["decision"]]

    def _has_looked(self, after: float) -> bool:
        """Whether the new-data sensor has ticked, and so the code location is loaded."""
        name = sensor_name(self.use_case.name, "new_data")
        with dg.DagsterInstance.get() as instance:
            states = [s for s in instance.all_instigator_state() if s.instigator_name == name]
            ticks = [t for s in states for t in instance.get_ticks(s.instigator_origin_id, s.selector_id, limit=1)]
        return any(t.timestamp > after and t.status is not TickStatus.STARTED for t in ticks)

    def _ledger(self) -> pl.DataFrame:
        return self.lake.scan(table_name(self.use_case, LEDGER)).collect().sort("decided_at")

    def _there(self, name: str) -> set[str]:
        table = table_name(self.use_case, name)
        if self.lake.version(table) is None:
            return set()
        return set(self.lake.scan(table).select(PARTITION_KEY).unique().collect()[PARTITION_KEY])


def stop(use_case: str, home: Path) -> None:
    """End the daemon of a home and the endpoint that it started, if they run."""
    for name in (DAEMON, process_name(use_case)):
        processes.stop(name, home=home)


def _wait(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"waited {PATIENCE_S:.0f} s for {what} in vain; the daemon's log says why")
        time.sleep(POLL_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
