"""Evidence for a retraining: what the lake and Dagster's events say, read cheaply enough for a sensor.

Belongs here: gathering the evidence of new data and of age, and which evidence there is. Does not belong here: what
follows from it (`assets/logic/retraining.py`), the monitors (`evidence_monitors.py`), and whether code changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg
import polars as pl

from assets.contracts import LABEL_KNOWN_AT, UseCase
from assets.logic.retraining_times import shown, spoken
from assets.logic.retraining_values import Evidence, Missing
from assets.stages.champion import LEDGER
from assets.stages.common import day_of, table_name
from assets.stages.evidence_monitors import drift_evidence, performance_evidence
from resources.lake import Lake

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class LastTraining:
    """The last training that came to a judgement, whatever that was.

    Attributes:
        judged_at: When its models were judged (UTC).
        tested_through: Last day of its test window; None if that is not on record.
        champion: The version that has been live since; None if none was ever good enough.
        live_since: When that version was promoted (UTC).
    """

    judged_at: datetime
    tested_through: date | None
    champion: str | None
    live_since: datetime


def gather(use_case: UseCase, lake: Lake, instance: dg.DagsterInstance, now: datetime) -> list[Evidence | Missing]:
    """All evidence but that of changed code, at most one per trigger.

    Before the first training there is only new data; before the first model that is good enough, no monitor.

    Raises:
        LakeError: If the lake is out of reach.
    """
    last = last_training(use_case, lake)
    found = [new_data_evidence(use_case, lake, last, now), age_evidence(use_case, last, now)]
    if last is not None and last.champion is not None:
        live = (last.champion, last.live_since)
        found.append(drift_evidence(use_case, lake, instance, *live, now))
        found.append(performance_evidence(use_case, lake, instance, *live, now))
    return [evidence for evidence in found if evidence is not None]


def last_training(use_case: UseCase, lake: Lake) -> LastTraining | None:
    """The last row of the promotion ledger, and since when its champion is live; None without a ledger."""
    table = table_name(use_case, LEDGER)
    if lake.version(table) is None:
        return None
    rows = lake.scan(table).collect().sort("decided_at", maintain_order=True)
    if rows.is_empty():
        return None
    row = rows.row(-1, named=True)
    is_live = pl.col("model_version").eq_missing(pl.lit(row["model_version"], pl.String))
    promotions = rows.filter((pl.col("decision") == "promoted") & is_live)
    return LastTraining(
        judged_at=row["decided_at"],
        tested_through=row.get("tested_through"),
        champion=row["model_version"],
        live_since=promotions["decided_at"][-1] if len(promotions) else row["decided_at"],
    )


def new_data_evidence(use_case: UseCase, lake: Lake, last: LastTraining | None, now: datetime) -> Evidence | Missing:
    """Whether enough days with labels have come since the last training, or are there for a first one.

    It counts from the last training that was judged, not from the champion's: else a champion that wins again and
    again would be challenged with hardly a new day. With every further `new_days` it is a new event, so that a training
    that failed is not the last one.
    """
    policy, split = use_case.automation.retraining, use_case.split
    if last is not None and last.tested_through is None:
        why = "The promotion ledger does not say through which day the last training was tested; the next one will."
        return Missing(trigger="new_data", id=f"new_data/unknown/{last.judged_at:%Y-%m-%dT%H:%M:%S}", why=why)
    after = None if last is None else last.tested_through
    days = labelled_days(use_case, lake, after, now)
    if after is None:
        # A first training takes validation, gap and test off what is there, and trains on no less than `new_days`.
        needed = (split.validation + split.gap + split.test) // ONE_DAY
        count = (days[-1] - days[0]).days + 1 - needed if days else 0
        why = f"No model was ever trained, and {max(count, 0)} days with labels are there to train on"
    else:
        count = len(days)
        why = f"{count} days with labels have come since {after}, the last day of the last training"
    return Evidence(
        trigger="new_data",
        id=f"new_data/{after or 'first'}/{max(count, 0) // policy.new_days}",
        fired=count >= policy.new_days,
        why=f"{why}; {policy.new_days} ask for one.",
        observed_at=now,
        link=f"/assets/{use_case.name}/features",
        facts={"days": max(count, 0), "new_days": policy.new_days, **({"newest": str(days[-1])} if days else {})},
    )


def labelled_days(use_case: UseCase, lake: Lake, after: date | None, now: datetime) -> Sequence[date]:
    """Local days after a day (None: all) of which a label is known by now, in order; no other partition is opened."""
    table, partitions = table_name(use_case, "features"), use_case.partitions
    keys = [key for key in lake.partitions(table) if after is None or partitions.last_day(key) > after]
    if not keys:
        return []
    is_known = pl.col(use_case.target.name).is_not_null() & (pl.col(LABEL_KNOWN_AT) <= now).fill_null(True)
    rows = lake.scan(table, partitions=keys).filter(is_known).select(day=day_of(use_case)).unique().collect()
    return sorted(day for day in rows["day"] if after is None or day > after)


def age_evidence(use_case: UseCase, last: LastTraining | None, now: datetime) -> Evidence | None:
    """Whether the last training is longer ago than the policy allows; None if age is no reason, or none ever was."""
    every = use_case.automation.retraining.every
    if every is None or last is None:
        return None
    age = max(now - last.judged_at, timedelta(0))  # a clock that was set back makes nothing younger than new
    times = age // every
    return Evidence(
        trigger="age",
        id=f"age/{last.judged_at:%Y-%m-%dT%H:%M:%S}/{times}",
        fired=times >= 1,
        why=f"The last training was judged at {shown(last.judged_at)}, {age // ONE_DAY} days ago; one is due every "
        f"{spoken(every)}.",
        observed_at=now,
        link=f"/assets/{use_case.name}/champion",
        facts={"days": age // ONE_DAY, "every_days": every // ONE_DAY},
    )
