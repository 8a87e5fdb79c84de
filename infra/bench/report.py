"""Figures with their budgets, as a table for people and JSON for programs.

Belongs here: what a figure is and how it is shown. Does not belong here: how it was taken.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final, Literal

from infra.bench.machine import Machine
from resources.objects import ObjectStore

Verdict = Literal["within", "over"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What DESIGN.md, section 8, allows at most, for two cores."""

    most: float
    what: str


BUDGETS: Final = {
    "code_location_seconds": Budget(most=3.0, what="code location: load"),
    "code_location_mb": Budget(most=200.0, what="code location: memory"),
    "ingest_seconds": Budget(most=60.0, what="all daily partitions, raw to features, one backfill run"),
    "train_seconds": Budget(most=300.0, what="training set to live endpoint, default search"),
    "line_over_plain": Budget(most=1.15, what="line against a plain script calling the same functions"),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured quantity.

    Attributes:
        name: Key in the JSON; the one of its budget if it has one.
        title: What a person reads.
        unit: Of all values.
        values: One per repetition, in order of time.
    """

    name: str
    title: str
    unit: str
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def budget(self) -> float | None:
        """At most this much; None if nobody has set a limit."""
        return BUDGETS[self.name].most if self.name in BUDGETS else None

    @property
    def verdict(self) -> Verdict | None:
        """Whether the median keeps the budget; None without one."""
        return None if self.budget is None else "within" if self.value <= self.budget else "over"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "value": self.value,
            "values": list(self.values),
            "budget": self.budget,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, kw_only=True)
class StageFigure:
    """One stage of the line; None where it was not measured.

    Attributes:
        stage: Name of the asset, or what happens outside of all of them.
        seconds: In the line, median of the repetitions.
        peak_mb: Largest resident memory of the process while it ran, 10^6 bytes; what earlier stages left is in it.
        plain_seconds: The same work in the plain script, median of the repetitions.
    """

    stage: str
    seconds: float
    peak_mb: float | None = None
    plain_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class DetectionFigure:
    """How soon one of the monitors' rules finds a fault.

    Attributes:
        fault: What was planted.
        rule: Which rule looked for it.
        tries: Made-up worlds in which it was looked for, for a window at most.
        days: Days until the first alarm, of each world in which there was one.
        first: What raised the first alarms, the most frequent first.
    """

    fault: str
    rule: str
    tries: int
    days: tuple[int, ...]
    first: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of worlds in which it was found."""
        return len(self.days) / self.tries if self.tries else 0.0

    def days_for(self, share: float) -> int | None:
        """Days within which it was found in this share of all worlds; None if it was not."""
        place = math.ceil(share * self.tries) - 1
        return sorted(self.days)[place] if 0 <= place < len(self.days) else None


@dataclass(frozen=True, kw_only=True)
class Report:
    """All figures of one bench.

    Attributes:
        taken_at: When it began (UTC).
        subject: What was measured, one of `subject.SUBJECTS`.
        days: Number of days that had landed.
        detections: How soon faults are found; none if that was not measured.
    """

    taken_at: datetime
    subject: str
    days: int
    machine: Machine
    figures: Sequence[Figure]
    stages: Sequence[StageFigure]
    detections: Sequence[DetectionFigure] = ()

    def to_markdown(self) -> str:
        """Tables that can be read in a terminal and pasted into a README."""
        head = f"{self.taken_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {self.days} days ({self.subject})"
        lines = [head, str(self.machine), *([busy(self.machine)] if self.machine.is_busy else [])]
        lines += [] if self.subject == "default" else ["NOTE: budgets are for the default run; this one is too small."]
        if self.figures:
            lines += ["", *table(["what", "measured", "budget", "verdict"], [_figure(f) for f in self.figures])]
        if self.stages:
            columns = ["stage", "seconds", "peak MB", "plain script, seconds"]
            lines += ["", *table(columns, [_stage(s) for s in self.stages])]
        if self.detections:
            columns = ["fault", "found by", "within a window", "median days", "9 in 10 within", "first alarm"]
            lines += ["", *table(columns, [_detection(d) for d in self.detections])]
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "taken_at": self.taken_at.isoformat(),
            "subject": self.subject,
            "days": self.days,
            "machine": self.machine.to_json(),
            "figures": [figure.to_json() for figure in self.figures],
            "stages": [vars(stage) for stage in self.stages],
            "detections": [vars(detection) for detection in self.detections],
        }

    def write(self, folder: Path) -> Path:
        """Keep it under its time and as `latest.json`; returns the former."""
        store, content = ObjectStore(str(folder)), json.dumps(self.to_json(), indent=2, allow_nan=False).encode()
        name = f"{self.taken_at.astimezone(UTC):%Y-%m-%dT%H-%M-%SZ}.json"
        for path in (name, "latest.json"):
            store.write(path, content)
        return folder / name


def busy(machine: Machine) -> str:
    """What to say of figures that were taken while others competed for the cores."""
    return (
        f"WARNING: the machine was busy (load {machine.load:.2f} on {machine.cores} cores); seconds are too high, and "
        "verdicts on them mean nothing. Repeat on an idle machine."
    )


def _figure(figure: Figure) -> list[str]:
    budget = "" if figure.budget is None else _number(figure.budget, figure.unit)
    return [figure.title, _number(figure.value, figure.unit), budget, figure.verdict or ""]


def _stage(stage: StageFigure) -> list[str]:
    peak = "" if stage.peak_mb is None else f"{stage.peak_mb:,.0f}"
    plain = "" if stage.plain_seconds is None else f"{stage.plain_seconds:.2f}"
    return [stage.stage, f"{stage.seconds:.2f}", peak, plain]


def _detection(found: DetectionFigure) -> list[str]:
    days = [found.days_for(share) for share in (0.5, 0.9)]
    told = ["" if day is None else str(day) for day in days]
    return [found.fault, found.rule, f"{found.share:.0%}", *told, found.first[0] if found.first else ""]


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 1000 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown, padded so that it reads as it stands; numbers are flush right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return "| " + " | ".join([first, *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(head), line(rule), *(line(row) for row in rows)]
