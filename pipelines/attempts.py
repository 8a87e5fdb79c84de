"""What upkeep has tried, read off Dagster's runs: whether work is worth another try, and when.

Belongs here: counting tries, giving up, pausing. Does not belong here: what is due (`upkeep.py`).

Runs bear real time, whatever the clock of a replay says, and so real time is what they are measured by here.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import takewhile
from typing import Final

import dagster as dg

from pipelines.backlog import RANGE

WORK: Final = "throughline/work"
"""Tag of a run: what exactly it was to do, so that the same is tried again a few times only."""
ALONE: Final = "throughline/alone"
"""Tag of a run; of those with the same value one runs at a time (`infra/dagster/dagster.yaml`)."""
ATTEMPTS: Final = 3
"""Runs of exactly the same work. A store that hiccups is asked again inside a run already; what fails three runs needs
a person, another file or other code, and then it is other work."""
AGAIN_AFTER_S: Final = 24 * 3600
"""What was given up is tried once more each day: an outage that has passed need not wait for a person."""
IN_A_ROW: Final = 8
"""Failures before a pause: finding one bad partition among 60 takes as many."""
FIRST_PAUSE_S: Final = 60.0
LONGEST_PAUSE_S: Final = 3600.0
"""Each failure doubles the pause, up to this: an hour without a store is then a dozen failed runs, not hundreds."""
LOOKED_AT: Final = 500
"""Newest runs that are looked at, so that a tick stays short whatever the history."""
FINISHED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run of upkeep.

    Attributes:
        run_id: Dagster's.
        what: Names its work.
        keys: First and last partition.
        ended_at: In seconds since 1970.
    """

    run_id: str
    what: str
    keys: tuple[str, str]
    is_success: bool
    ended_at: float


@dataclass(frozen=True)
class Attempts:
    """The runs of one purpose that came to their end, the newest first.

    Attributes:
        alone: Value of their tag `ALONE`.
    """

    instance: dg.DagsterInstance
    alone: str

    def key(self, what: str, keys: Sequence[str]) -> str:
        """Run key of the next try: Dagster starts no two runs under one key, and the same work may come up again.

        Until another run has come to its end it is the same, whoever asks.
        """
        after = self._runs[0].run_id[:8] if self._runs else "first"
        return f"{what}/{after}/{self.tried(what, keys) + 1}"

    def tried(self, what: str, keys: Sequence[str]) -> int:
        """How often exactly this was tried since anything else was made of all these partitions.

        What was made differently in between, and then as before, as when an edit of the code is taken back, is new.
        """
        return len(self._tries(what, keys))

    def is_worth_it(self, what: str, keys: Sequence[str]) -> bool:
        """Whether to try this (again)."""
        tries = self._tries(what, keys)
        return len(tries) < ATTEMPTS or time.time() - tries[0].ended_at > AGAIN_AFTER_S

    def has_failed(self, what: str) -> bool:
        """Whether the last try of this came to a bad end."""
        return next((not run.is_success for run in self._runs if run.what == what), False)

    def pause_until(self) -> datetime | None:
        """When the next run may begin, after many failures in a row (UTC); None for now."""
        failures = list(takewhile(lambda run: not run.is_success, self._runs))
        if len(failures) < IN_A_ROW:
            return None
        pause = min(FIRST_PAUSE_S * 2.0 ** (len(failures) - IN_A_ROW), LONGEST_PAUSE_S)
        until = failures[0].ended_at + pause
        return datetime.fromtimestamp(until, UTC) if until > time.time() else None

    def _tries(self, what: str, keys: Sequence[str]) -> list[Run]:
        def is_before(run: Run) -> bool:
            return run.is_success and run.what != what and run.keys[0] <= keys[0] and keys[-1] <= run.keys[1]

        return [run for run in takewhile(lambda run: not is_before(run), self._runs) if run.what == what]

    @cached_property
    def _runs(self) -> list[Run]:
        filters = dg.RunsFilter(tags={ALONE: self.alone}, statuses=list(FINISHED))
        records = self.instance.get_run_records(filters=filters, limit=LOOKED_AT)
        return [
            Run(
                run_id=record.dagster_run.run_id,
                what=record.dagster_run.tags.get(WORK, ""),
                keys=_range(record.dagster_run.tags),
                is_success=record.dagster_run.is_success,
                ended_at=record.end_time or record.create_timestamp.timestamp(),
            )
            for record in records
        ]


def _range(tags: Mapping[str, str]) -> tuple[str, str]:
    return tags.get(RANGE[0], ""), tags.get(RANGE[1], "")
