"""What a replay comes to: its days with what the line put on record about them, and the scores of the contenders.

Belongs here: gathering it, and keeping it as JSON and CSV. Does not belong here: how it looks (`page.py`), and the
words that are printed (`telling.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from assets.contracts import UseCase
from pipelines.jobs import job_name
from pipelines.replay.contenders import CONTENDERS, answers_between
from pipelines.replay.findings import alarms_of, decisions_between, promotions_between
from pipelines.replay.folder import About
from pipelines.replay.monthly import initial_family
from pipelines.replay.scores import WHOLE, Period, measure, shown_metrics
from pipelines.replay.ticking import idle
from pipelines.replay.world import LEFT_OUT, World
from resources.objects import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day of a replay.

    Attributes:
        record: What `days.happen` put on record.
        scores: Of the day's own rows, by contender and metric.
    """

    name: str
    record: Mapping[str, Any]
    alarms: Sequence[Mapping[str, Any]]
    decisions: Sequence[Mapping[str, Any]]
    promotions: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Mapping[str, float | None]]
    rows: int

    @property
    def faults(self) -> list[str]:
        """What went wrong: ticks and runs that failed."""
        ticks = [f"{fault['by']}: {fault['why']}" for fault in self.record["faults"]]
        return ticks + [f"{run['job']}: {run['why']}" for run in self.record["runs"] if run["why"]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A replay so far.

    Attributes:
        months: Scores by month, in order.
        whole: Scores of all days; None while no row with a label was scored.
        unscored: Rows with a label that the line never scored.
        idle: Sensors and schedules that were not evaluated, and why.
        left_out: Stages that were left out.
    """

    use_case: UseCase
    about: About
    family: str
    days: Sequence[Day]
    months: Sequence[Period]
    whole: Period | None
    unscored: int
    idle: Mapping[str, str]
    left_out: frozenset[str] = LEFT_OUT

    @property
    def metrics(self) -> tuple[str, str]:
        """The loss that decides, and the score that ranks."""
        return shown_metrics(self.use_case.task)

    @property
    def trainings(self) -> int:
        """Retrainings that came to their end or failed."""
        job = job_name(self.use_case.name, "train")
        return sum(run["job"] == job for day in self.days for run in day.record["runs"])

    @property
    def faults(self) -> list[str]:
        """What went wrong, with the day on which it did."""
        return [f"{day.name} {fault}" for day in self.days for fault in day.faults]


def gather(world: World) -> Report:
    """What the replay comes to so far, from its journal and from what the line has in its tables."""
    use_case, about, records = world.use_case, world.folder.about(), world.folder.days()
    periods: dict[str, Period] = {}
    unscored = 0
    if records:
        first, last = date.fromisoformat(records[0]["day"]), date.fromisoformat(records[-1]["day"])
        answers = answers_between(world, first, last)
        if answers is not None:
            found = measure(use_case.task, answers.label, answers.day, answers.predictions, seed=use_case.seed)
            periods, unscored = {period.name: period for period in found}, answers.unscored
    return Report(
        use_case=use_case,
        about=about,
        family=initial_family(world),
        days=[day_of_record(world, record, periods.get(record["day"])) for record in records],
        months=[period for name, period in periods.items() if len(name) == len("2013-09")],
        whole=periods.get(WHOLE),
        unscored=unscored,
        idle=idle(world),
        left_out=world.left_out,
    )


def day_of_record(world: World, record: Mapping[str, Any], period: Period | None = None) -> Day:
    """A day with what the line put on record about it.

    Alarms are those about the partitions that arrived on it; decisions and promotions those that fell until the next
    delivery.
    """
    use_case, lake = world.use_case, world.lake
    span = datetime.fromisoformat(record["delivered_at"]), datetime.fromisoformat(record["until"])
    return Day(
        name=record["day"],
        record=record,
        alarms=alarms_of(use_case, lake, record["partitions"]),
        decisions=decisions_between(use_case, lake, *span),
        promotions=promotions_between(use_case, lake, *span),
        scores={} if period is None else period.scores,
        rows=0 if period is None else period.rows,
    )


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain JSON values; what could not be measured is null."""
    content = {
        "use_case": report.use_case.name,
        "first": str(report.about.first),
        "days": [
            {
                **day.record,
                "rows": day.rows,
                "alarms": day.alarms,
                "decisions": day.decisions,
                "promotions": day.promotions,
                "scores": day.scores,
            }
            for day in report.days
        ],
        "months": [asdict(month) for month in report.months],
        "whole": None if report.whole is None else asdict(report.whole),
        "initial_version": f"{report.about.use_case}/{report.about.initial}",
        "initial_family": report.family,
        "trainings": report.trainings,
        "unscored_rows": report.unscored,
        "faults": report.faults,
        "not_evaluated": dict(report.idle),
        "stages_left_out": sorted(report.left_out),
    }
    plain: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return plain


def to_csv(report: Report) -> str:
    """A line for each day."""
    return pl.DataFrame([_line(report, day) for day in report.days], infer_schema_length=None).write_csv()


def keep(report: Report, folder: Path, page: str) -> dict[str, str]:
    """Write the report under a folder as HTML, JSON and CSV; where each is, by its ending."""
    store = ObjectStore(str(folder))
    files = {
        "html": page.encode(),
        "json": json.dumps(to_json(report), indent=1).encode(),
        "csv": to_csv(report).encode(),
    }
    for ending, data in files.items():
        store.write(f"replay.{ending}", data)
    return {ending: store.uri(f"replay.{ending}") for ending in files}


def _line(report: Report, day: Day) -> dict[str, object]:
    measured = {
        f"{metric}_{who}": day.scores.get(who, {}).get(metric) for metric in report.metrics for who in CONTENDERS
    }
    return {
        "day": day.name,
        "files": len(day.record["files"]),
        "bytes": day.record["bytes"],
        "runs": len(day.record["runs"]),
        "alarms": "; ".join(f"{alarm['monitor']}: {alarm['what']}" for alarm in day.alarms),
        "decisions": "; ".join(answer_of(decision) for decision in day.decisions),
        "promotions": "; ".join(f"{p['decision']} {p['model_version']}" for p in day.promotions),
        "faults": "; ".join(day.faults),
        "live": day.record["live"],
        "labelled_rows": day.rows,
        **measured,
        "seconds": round(day.record["seconds"]["all"], 2),
    }


def answer_of(decision: Mapping[str, Any]) -> str:
    """A decision in a few words: what was asked by whom, and the answer."""
    triggers = ", ".join(str(t).replace("_", " ") for t in decision.get("triggers") or ()) or "nothing"
    return f"{decision.get('answer', 'decided')} ({triggers})"
