"""What is to be done next so that all that has landed is taken in, scored and watched: at most one run at a time.

Belongs here: reading that off the landing zone, the lake and Dagster's runs. Nothing is remembered between two calls,
so nothing can be forgotten, whatever restarts. Does not belong here: what is due to be taken in (`backlog.py`), and the
sensor that asks (`sensors.py`).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Literal

import dagster as dg
import polars as pl

from assets.contracts import UseCase
from assets.stages.champion import LEDGER
from assets.stages.common import table_name
from pipelines.attempts import ALONE, FINISHED, WORK, Attempts
from pipelines.backlog import PLAN, RANGE, Backlog
from pipelines.code_changes import path_versions
from pipelines.jobs import job_name
from resources.lake import Lake
from resources.lake_log import row_counts

Purpose = Literal["ingest", "score", "monitor"]
PURPOSES: Final[tuple[Purpose, ...]] = ("ingest", "score", "monitor")
MONITORS: Final = ("drift_windows", "performance_windows")
"""Lake tables with a row for every partition that was watched."""
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
        spans = " ".join(f"{first}/{last}" for first, last in ((self.first, self.last), *self.planned))
        return dg.RunRequest(
            run_key=self.key,
            job_name=job_name(use_case.name, self.purpose),
            tags={
                **dict(zip(RANGE, (self.first, self.last), strict=True)),
                WORK: self.what,
                ALONE: f"{use_case.name}/{self.purpose}",
                **({PLAN: spans} if self.purpose == "ingest" else {}),
            },
        )


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The next run, if there is one, and else why there is none.

    Attributes:
        given_up: Partitions that are due and were tried in vain, by purpose; see `attempts.py`.
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
    _known: dict[Purpose, Attempts] = field(default_factory=dict, init=False, repr=False, compare=False)

    def outlook(self) -> Outlook:
        """What to run next: taking in comes before scoring, scoring before watching."""
        if running := self._running():
            return Outlook(work=None, why_not=f"run {running.run_id[:8]} of {running.job_name} is not finished")
        given_up: dict[Purpose, list[str]] = {}
        for purpose in PURPOSES:
            due = self.due(purpose)
            if hopeless := self._hopeless(purpose, due):
                given_up[purpose] = sorted(hopeless)
            if work := self._next(purpose, sorted(set(due) - hopeless)):
                if (until := self._attempts(purpose).pause_until()) is not None:
                    why_not = f"many runs to {purpose} failed in a row; the next one begins at {until:%H:%M:%S} UTC"
                    return Outlook(work=None, why_not=why_not, given_up=given_up)
                return Outlook(work=work, given_up=given_up)
        return Outlook(work=None, given_up=given_up)

    def due(self, purpose: Purpose) -> list[str]:
        """Partitions that wait for a purpose, in order."""
        if purpose == "score":
            return score_due(self.use_case, self._lake)
        if purpose == "monitor":
            return monitor_due(self.use_case, self._lake)
        landing, arrived = self.backlog.landing_now(self.now), self.backlog.arrived()
        # What cannot be taken in changes nothing for those that look back on it.
        hopeless = self._hopeless(purpose, self.backlog.changed() - landing)
        due = {*self.backlog.due(landing | hopeless), *hopeless, *(self.stale & arrived)}
        return sorted(due - landing)

    def given_up(self, purpose: Purpose) -> set[str]:
        """Partitions that wait for a purpose, and that it was tried for in vain."""
        return self._hopeless(purpose, self.due(purpose))

    def _hopeless(self, purpose: Purpose, keys: Iterable[str]) -> set[str]:
        """Those of some partitions that were tried by themselves, in vain, as often as is worth it."""
        return {k for k in keys if not self._attempts(purpose).is_worth_it(self._name(purpose, [k]), [k])}

    def _next(self, purpose: Purpose, due: Sequence[str]) -> Work | None:
        """The first work of a purpose; none if nothing is due."""
        ranges = self.backlog.runs(due) if purpose == "ingest" else self.use_case.partitions.ranges(due)
        if not ranges:
            return None
        return replace(self._first(purpose, *ranges[0]), planned=tuple(ranges[1:]))

    def _first(self, purpose: Purpose, first: str, last: str) -> Work:
        """The range as one work, or, if that was tried, its first half, so that one bad partition holds up no other."""
        keys = self.use_case.partitions.between(first, last)
        what = self._name(purpose, keys)
        attempts = self._attempts(purpose)
        if len(keys) > 1 and attempts.tried(what, keys):
            return self._first(purpose, first, keys[len(keys) // 2 - 1])
        return Work(purpose=purpose, key=attempts.key(what, keys), what=what, first=first, last=last)

    def _name(self, purpose: Purpose, keys: Sequence[str]) -> str:
        """Names the work by all it depends on: partitions, the files that landed for them, code, the champion."""
        if purpose == "ingest":
            stale, by_hand = sorted(self.stale.intersection(keys)), self.backlog.by_hand(keys)
            code = sorted(self._code.items()) if stale else None
            facts: object = (self.backlog.fingerprints(keys), stale, code, by_hand)
        else:
            facts = (self._champion, [(key, self._rows.get(key)) for key in keys])
        return hashlib.sha256(repr((purpose, list(keys), facts)).encode()).hexdigest()[:16]

    def _attempts(self, purpose: Purpose) -> Attempts:
        if purpose not in self._known:
            self._known[purpose] = Attempts(self.backlog.instance, f"{self.use_case.name}/{purpose}")
        return self._known[purpose]

    @cached_property
    def _code(self) -> Mapping[str, str]:
        return path_versions(self.use_case)

    @cached_property
    def _champion(self) -> str | None:
        return champion_of(self.use_case, self._lake)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return _rows(self._lake, table_name(self.use_case, "features"))

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
