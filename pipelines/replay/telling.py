"""What a replay says while it runs, and at its end.

Belongs here: lines of text. Does not belong here: the page (`page.py`).
"""

from collections.abc import Iterator

from assets.logic.metrics import task_metrics
from pipelines.jobs import job_name
from pipelines.replay.contenders import CONTENDERS, LIVE, TITLES
from pipelines.replay.report import Day, Report, answer_of
from pipelines.replay.scores import Gap, Period
from pipelines.replay.world import World


def day_line(world: World, day: Day) -> str:
    """What happened on a day, in one line."""
    record = day.record
    training = job_name(world.use_case.name, "train")
    trained = sum(run["job"] == training for run in record["runs"])
    parts = [
        counted(len(record["files"]), "file"),
        counted(len(record["runs"]), "run"),
        *([f"{counted(len(day.alarms), 'alarm')} ({_monitors(day)})"] if day.alarms else []),
        *(f"decided: {answer_of(decision)}" for decision in day.decisions),
        *([counted(trained, "training")] if trained else []),
        *(f"{p['decision']} {p['model_version']}" for p in day.promotions),
        *(f"FAILED {fault}" for fault in day.faults),
        *([f"asked {record['asked']:,}, told {record['told']:,}"] if record.get("asked") else []),
        f"live {record['live']}",
        f"{record['seconds']['all']:.1f} s",
    ]
    return f"{day.name}  {', '.join(parts)}"


def summary(report: Report) -> list[str]:
    """The months and the whole as a table, and what the live model gained or lost."""
    loss, rank = report.metrics
    metrics = task_metrics(report.use_case.task).metrics
    widths = [max(len(TITLES[who]), 17) for who in CONTENDERS]
    head = "  ".join(f"{TITLES[who]:>{width}}" for who, width in zip(CONTENDERS, widths, strict=True))
    lines = [f"{metrics[loss].name} / {metrics[rank].name}", f"{'':8}  {head}"]
    for period in [*report.months, *([report.whole] if report.whole else [])]:
        cells = [f"{_number(period, who, loss)} / {_number(period, who, rank)}" for who in CONTENDERS]
        shown = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{period.name:8}  {shown}")
    return [*lines, *gains(report)]


def gains(report: Report) -> Iterator[str]:
    """What the policy gained or lost against the others, in sentences."""
    if report.whole is None:
        yield "No row with a label was scored, so nothing can be compared."
        return
    loss = report.metrics[0]
    spoken = task_metrics(report.use_case.task).deciding.name
    for who in CONTENDERS:
        if who != LIVE:
            yield f"Against {AGAINST[who]}: {gained(report.whole.gaps[who][loss], spoken)}."


AGAINST = {"never": "never retraining", "monthly": "retraining every month"}


def gained(gap: Gap, loss: str) -> str:
    """A difference of losses as a gain or a loss of the live model."""
    if gap.value is None:
        return f"not known ({gap.reason})"
    if gap.value == 0:
        return "the same answers throughout"
    word = "gained" if gap.value < 0 else "lost"
    if gap.low is None or gap.high is None:
        return f"{word} {abs(gap.value):.4f} {loss} a row ({gap.reason or 'its interval is not bounded'})"
    ends = sorted((-gap.low, -gap.high) if gap.value < 0 else (gap.low, gap.high))
    sure = "" if gap.low > 0 or gap.high < 0 else ", which may be chance"
    return f"{word} {abs(gap.value):.4f} {loss} a row (95% interval {ends[0]:.4f} to {ends[1]:.4f}{sure})"


def counted(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _number(period: Period, who: str, metric: str) -> str:
    value = period.scores[who][metric]
    return "-" if value is None else f"{value:.4f}"


def _monitors(day: Day) -> str:
    return ", ".join(sorted({str(alarm["monitor"]) for alarm in day.alarms}))
