"""What is to be done next so that all that has landed is taken in, scored and watched: at most one run at a time.

Belongs here: reading that off the landing zone, the lake and Dagster's runs. Nothing is remembered between two calls,
so nothing can be forgotten, whatever restarts. Does not belong here: what is due to be taken in (`backlog.py`), and the
sensor that asks (`sensors.py`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

import dagster as dg
import polars as pl

from assets.contracts import UseCase
from assets.stages.champion import LEDGER
from assets.stages.common import table_name
from pipelines.backlog import PLAN, RANGE, Backlog
from pipelines.jobs import job_name
from resources.lake import Lake
from resources.lake_log import row_counts

Purpose = Literal["ingest", "score", "monitor"]
PURPOSES: Final[tuple[Purpose, ...]] = ("ingest", "score", "monitor")
MONITORS: Final = ("drift_windows", "performance_windows")
"""Lake tables with a row for every partition that was watched."""
WORK: Final = "throughline/work"
"""Tag of a run: what exactly it was to do, so that the same is tried again a few times only."""
ALONE: Final = "throughline/alone"
"""Tag of a run; of those with the same value one runs at a time (`infra/dagster/dagster.yaml`)."""
ATTEMPTS: Final = 3
"""Runs of exactly the same work. A store that hiccups is asked again inside a run already; what fails three runs needs
a person, another file or other code, and then it is other work."""
FINISHED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
OPEN: Final = tuple(status for status in dg.DagsterRunStatus if status not in FINISHED)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A run to request: its job, its range of partitions, and what names it.

    Attributes:
        key: Names the work and the attempt; Dagster runs each key once.
        what: Names the work.
        first: First partition.
        last: Last partition.
        planned: Ranges that are to be taken in after this one.
    """

    purpose: Purpose
    key: str
    what: str
    first: str
    last: str
    planned: tuple[tuple[str, str], ...] = ()

    def request(self, use_case: UseCase) -> dg.RunRequest:
        """The same as Dagster takes it."""
        spans = " ".join(f"{first}/{last}" for first, last in self.planned)
        return dg.RunRequest(
            run_key=self.key,
            job_name=job_name(use_case.name, self.purpose),
            tags={
                **dict(zip(RANGE, (self.first, self.last), strict=True)),
                WORK: self.what,
                ALONE: f"{use_case.name}/{self.purpose}",
                **({PLAN: spans} if spans else {}),
            },
        )


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The next run, if there is one, and else why there is none.

    Attributes:
        given_up: Partitions that are due and were tried `ATTEMPTS` times in vain, by purpose.
    """

    work: Work | None
    why_not: str = ""
    given_up: dict[Purpose, list[str]] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """True if nothing is due and nothing runs; what was given up does not count as due."""
        return self.work is None and not self.why_not


@dataclass(kw_only=True)
class Upkeep:
    """The upkeep of one use case, as its landing zone, lake and runs stand now."""

    use_case: UseCase
    backlog: Backlog
    now: datetime
    """The present (UTC)."""
    stale: frozenset[str] = frozenset()
    """Partitions that other code than today's has made."""

    def outlook(self) -> Outlook:
        """What to run next: taking in comes before scoring, scoring before watching."""
        if running := self._running():
            return Outlook(work=None, why_not=f"run {running.run_id[:8]} of {running.job_name} is not finished")
        given_up: dict[Purpose, list[str]] = {}
        for purpose in PURPOSES:
            work, hopeless = self._next(purpose)
            if hopeless:
                given_up[purpose] = hopeless
            if work is not None:
                return Outlook(work=work, given_up=given_up)
        return Outlook(work=None, given_up=given_up)

    def due(self, purpose: Purpose) -> list[str]:
        """Partitions that wait for a purpose, in order."""
        if purpose == "ingest":
            due = {*self.backlog.due(), *(self.stale & self.backlog.arrived())}
            return sorted(due - self.backlog.landing_now(self.now))
        return score_due(self.use_case, self._lake) if purpose == "score" else monitor_due(self.use_case, self._lake)

    def _next(self, purpose: Purpose) -> tuple[Work | None, list[str]]:
        """The first work of a purpose that is worth another try, and the partitions that are not."""
        due = self.due(purpose)
        ranges = self.backlog.runs(due) if purpose == "ingest" else self.use_case.partitions.ranges(due)
        hopeless: list[str] = []
        for number, (first, last) in enumerate(ranges):
            for work in self._tries(purpose, first, last):
                if work.key:
                    return Work(**{**vars(work), "planned": tuple(ranges[number + 1 :])}), hopeless
                hopeless.append(work.first)
        return None, hopeless

    def _tries(self, purpose: Purpose, first: str, last: str) -> Iterator[Work]:
        """The range as one work, or, if that was tried, its halves, so that one bad partition holds up no other.

        A single partition that was tried too often comes without a key.
        """
        keys = self.use_case.partitions.between(first, last)
        what = self._name(purpose, keys)
        tried = self._tried(what)
        if len(keys) > 1 and tried:
            middle = len(keys) // 2
            yield from self._tries(purpose, first, keys[middle - 1])
            yield from self._tries(purpose, keys[middle], last)
        else:
            key = f"{what}/{tried + 1}" if tried < ATTEMPTS else ""
            yield Work(purpose=purpose, key=key, what=what, first=first, last=last)

    def _name(self, purpose: Purpose, keys: Sequence[str]) -> str:
        """Names the work by all it depends on: partitions, the files that landed for them, code, the champion."""
        if purpose == "ingest":
            facts: object = (self.backlog.fingerprints(keys), sorted(self.stale.intersection(keys)))
        else:
            rows = _rows(self._lake, table_name(self.use_case, "features"))
            facts = (champion_of(self.use_case, self._lake), [(key, rows.get(key)) for key in keys])
        return hashlib.sha256(repr((purpose, list(keys), facts)).encode()).hexdigest()[:16]

    def _tried(self, what: str) -> int:
        filters = dg.RunsFilter(tags={WORK: what}, statuses=list(FINISHED))
        return self.backlog.instance.get_runs_count(filters)

    def _running(self) -> dg.DagsterRun | None:
        """A run that is not finished and makes what upkeep makes, whoever started it."""
        jobs = {job_name(self.use_case.name, purpose) for purpose in PURPOSES}
        for run in self.backlog.instance.get_runs(filters=dg.RunsFilter(statuses=list(OPEN))):
            chosen = run.asset_selection or frozenset()
            if run.job_name in jobs or chosen & self.backlog.assets:
                return run
        return None

    @property
    def _lake(self) -> Lake:
        return self.backlog.lake


def score_due(use_case: UseCase, lake: Lake) -> list[str]:
    """Partitions with features and without scores of the same rows, in order; none before the first champion.

    Scores are a record of what was said: a partition whose rows are still the same keeps them, whatever became of its
    features or of the champion since. What came before the first partition ever scored, or before the last test window
    if none was, is history that no one asked about.
    """
    if champion_of(use_case, lake) is None:
        return []
    features, scored = (_rows(lake, table_name(use_case, name)) for name in ("features", "predictions"))
    if not features:
        return []
    partitions = use_case.partitions
    window = partitions.key(partitions.last_day(max(features)) - use_case.split.test + timedelta(days=1))
    first = min([*scored, window])
    return sorted(key for key, rows in features.items() if key >= first and scored.get(key) != rows)


def monitor_due(use_case: UseCase, lake: Lake) -> list[str]:
    """Partitions with scores that were not watched yet, in order."""
    scored = lake.partitions(table_name(use_case, "predictions"))
    drift, performance = (lake.partitions(table_name(use_case, name)) for name in MONITORS)
    return sorted(scored - (drift & performance))


def champion_of(use_case: UseCase, lake: Lake) -> str | None:
    """The exact version that is champion, by the promotion ledger; None before the first promotion.

    MLflow knows as well, but takes longer to load than a tick may take.
    """
    ledger = table_name(use_case, LEDGER)
    if lake.version(ledger) is None:
        return None
    promoted = lake.scan(ledger).filter(pl.col("decision") == "promoted").sort("decided_at").tail(1)
    found = promoted.select("model_version").collect()["model_version"]
    return None if found.is_empty() else str(found[0])


def _rows(lake: Lake, table: str) -> dict[str, int]:
    """Rows by partition."""
    return {str(key): rows for key, rows in row_counts(lake, table).items()}
