"""What the monitors of drift and performance found last, as evidence for a retraining.

Belongs here: reading their newest verdict, and since when it stands. Does not belong here: monitoring
(`drift_report.py`, `performance_report.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import dagster as dg
import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.logic.retraining_values import Evidence, Missing
from assets.stages.common import asset_key, table_name
from resources.lake import Lake

JUDGED_AT: Final = "judged_at"
"""Metadata of a monitor's materialisation: when it judged, as ISO text, by the clock of the line."""
ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a monitor says of one partition.

    Attributes:
        model: The model version that it judged.
        is_alarm: None if it could not judge.
        why: What it found, or why it could not judge, as a full sentence.
    """

    partition: str
    model: str
    is_alarm: bool | None
    why: str
    facts: Mapping[str, str | float | int] = field(default_factory=dict)


def drift_evidence(
    use_case: UseCase, lake: Lake, instance: dg.DagsterInstance, champion: str, live_since: datetime, now: datetime
) -> Evidence | Missing:
    """Whether a group of columns has drifted from the champion's reference in the newest window.

    An alarm that lasts is one event, named by the day on which it began, and again after each full window: from then on
    it is about other days.
    """
    monitor = _Monitor(use_case, lake, instance, "drift", "drift_windows", use_case.automation.drift.window, _drifted)
    return monitor.evidence(champion, live_since, now)


def performance_evidence(
    use_case: UseCase, lake: Lake, instance: dg.DagsterInstance, champion: str, live_since: datetime, now: datetime
) -> Evidence | Missing:
    """Whether the champion's scores are out of control on the newest judged day; events as of `drift_evidence`."""
    window = use_case.automation.performance.window
    monitor = _Monitor(use_case, lake, instance, "performance", "performance_windows", window, _out_of_control)
    return monitor.evidence(champion, live_since, now)


@dataclass(frozen=True)
class _Monitor:
    """A monitor's table, and how its rows of one partition read as a verdict."""

    use_case: UseCase
    lake: Lake
    instance: dg.DagsterInstance
    trigger: Literal["drift", "performance"]
    table: str
    window: timedelta
    verdict: Callable[[pl.DataFrame], Verdict]

    def evidence(self, champion: str, live_since: datetime, now: datetime) -> Evidence | Missing:
        """The newest verdict, if there is one and its time is known."""
        grace = self.use_case.automation.retraining.stale_after
        keys = sorted(self.lake.partitions(self._table))
        newest = self._verdicts(keys[-1:])[0] if keys else None
        judged_at = self._judged_at(newest.partition) if newest else None
        if newest is None or judged_at is None or newest.is_alarm is None:
            why = newest.why if newest and judged_at else f"No {self.trigger}_report of a scored day is on record."
            if now - live_since > grace:
                # Once for each time that it goes missing; what was never there has no beginning.
                since = f"/{self._since(keys, lambda v: v.is_alarm is None)}" if newest and judged_at else ""
                return Missing(trigger=self.trigger, id=f"{self.trigger}/missing/{champion}{since}", why=why)
            return Evidence(
                trigger=self.trigger, id=f"{self.trigger}/none/{champion}", fired=False, why=why, observed_at=now
            )
        fired = newest.is_alarm and newest.model == champion
        other = "" if newest.model == champion else f" That is about {newest.model}, and {champion} is live."
        began = self._began(keys, newest) if fired else newest.partition
        return Evidence(
            trigger=self.trigger,
            id=f"{self.trigger}/{began}/{newest.model}",
            fired=fired,
            why=newest.why + other,
            observed_at=judged_at,
            link=f"/assets/{self.use_case.name}/{self.trigger}_report?partition={newest.partition}",
            facts={"partition": newest.partition, "since": began, **newest.facts},
        )

    def _began(self, keys: Sequence[str], newest: Verdict) -> str:
        """First partition of the alarm that stands, or of its last full window."""
        start = date.fromisoformat(self._since(keys, lambda v: bool(v.is_alarm) and v.model == newest.model))
        past = (date.fromisoformat(newest.partition) - start) // self.window
        return self.use_case.partitions.key(start + past * self.window)

    def _since(self, keys: Sequence[str], holds: Callable[[Verdict], bool]) -> str:
        """First of the partitions, none left out between them, that end with the last and that something holds of."""
        read = min(2 * self.use_case.partitions.reach(self.window // ONE_DAY), len(keys))
        while not (first := self._first_of_run(keys[-read:], holds)) and read < len(keys):
            read = min(2 * read, len(keys))  # it began before what was read
        return keys[-read:][first]

    def _first_of_run(self, keys: Sequence[str], holds: Callable[[Verdict], bool]) -> int:
        verdicts = self._verdicts(keys)
        first = len(keys) - 1
        while first and holds(verdicts[first - 1]):
            if self.use_case.partitions.following(keys[first - 1]) != keys[first]:
                break
            first -= 1
        return first

    def _verdicts(self, keys: Sequence[str]) -> list[Verdict]:
        rows = self.lake.scan(self._table, partitions=keys).collect().partition_by(PARTITION_KEY, as_dict=True)
        return [self.verdict(rows[(key,)]) for key in keys]

    def _judged_at(self, partition: str) -> datetime | None:
        """When the newest verdict was reached; None if no materialisation of it is on record."""
        asset = asset_key(self.use_case, f"{self.trigger}_report")
        records = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
        found = self.instance.fetch_materializations(records, limit=1).records
        if not found:
            return None
        told = found[0].asset_materialization.metadata.get(JUDGED_AT) if found[0].asset_materialization else None
        if told is None:
            return datetime.fromtimestamp(found[0].timestamp, UTC)
        return datetime.fromisoformat(str(told.value)).astimezone(UTC)

    @property
    def _table(self) -> str:
        return table_name(self.use_case, self.table)


def _drifted(groups: pl.DataFrame) -> Verdict:
    """The verdict of one partition of `drift_windows`, a row per group of columns."""
    row = groups.sort(pl.col("score").fill_nan(None), descending=True, nulls_last=True).row(0, named=True)
    drifted = groups.filter("is_drifted").sort("group")
    is_judged = len(drifted) > 0 or groups["score"].null_count() < len(groups)
    if not is_judged:
        why = f"Drift of {row['partition_key']} was not judged: {row['note'] or 'no group has a score'}."
    elif drifted.is_empty():
        why = f"No group of columns drifted in the days to {row['window_end']}."
    else:
        names = ", ".join(drifted["group"])
        most = f", {row['worst_column']} the most" if row["worst_column"] else ""
        times = "" if row["score"] is None else f" ({row['score']:.2f} times the limit)"
        why = f"These groups of columns drifted in the days to {row['window_end']}: {names}{most}{times}."
    return Verdict(
        partition=row["partition_key"],
        model=row["reference"] or row["model_version"] or "unknown",
        is_alarm=len(drifted) > 0 if is_judged else None,
        why=why,
        facts=dict(drifted.select("group", pl.col("score").fill_null(1.0)).iter_rows()),
    )


def _out_of_control(rows: pl.DataFrame) -> Verdict:
    """The verdict of one partition of `performance_windows`, one row."""
    row = rows.row(0, named=True)
    is_judged = row["is_out_of_control"] is not None
    charts = ", ".join(row["chart_alarms"] or [])
    if not is_judged:
        why = f"Performance in the days to {row['window_end']} was not judged: {row['note'] or 'no reason was given'}."
    elif row["is_out_of_control"]:
        why = f"The scores are out of control at the end of the days to {row['window_end']}: {charts}."
    else:
        why = f"The scores are in control at the end of the days to {row['window_end']}."
    numbers = {name: row[name] for name in ("loss", "baseline_loss", "expected_loss") if row[name] is not None}
    return Verdict(
        partition=row["partition_key"],
        model=row["model_version"] or "unknown",
        is_alarm=row["is_out_of_control"],
        why=why,
        facts={**numbers, **({"charts": charts} if charts else {})},
    )
