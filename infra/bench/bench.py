"""What is measured, in which order, and which figures come of it.

Belongs here: the measurements, each in fresh processes over one throw-away state folder. Does not belong here: their
budgets and how they are shown (`report.py`).
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from infra.bench.children import MB, ROOT, BenchError, Measured, Span, measured, watched
from infra.bench.report import Figure, StageFigure
from resources import processes
from resources.serving.ports import process_name

Echo = Callable[[str], None]

LOADS: Final = 5
"""Fresh processes in which the code location is loaded."""
LOCATION: Final = """
import time
begin = time.perf_counter()
import pipelines.flight_delays.definitions
seconds = time.perf_counter() - begin
import psutil
print(seconds, psutil.Process().memory_info().rss)
"""
ENDPOINT: Final = process_name("flight_delays")
JOBS: Final = {"ingest_seconds": "ingest", "train_seconds": "train"}
THEIRS: Final = ("THROUGHLINE_", "DAGSTER_HOME", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL")
"""Variables that would lead a measured process to somebody's state."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One bench over one throw-away folder.

    Attributes:
        room: That folder.
        subject: Name of what is measured, one of `subject.SUBJECTS`.
        until: Last day that lands.
        echo: Where progress is told.
        figures: What was measured so far.
    """

    room: Path
    subject: str
    until: date
    echo: Echo
    figures: list[Figure] = field(default_factory=list)

    def location(self) -> None:
        """Load the code location in fresh processes."""
        self.echo(f"Loading the code location, {LOADS} times")
        told = [self._loaded() for _ in range(LOADS)]
        self.add("code_location_seconds", "code location: load", "s", [seconds for seconds, _ in told])
        self.add("code_location_mb", "code location: memory", "MB", [resident / MB for _, resident in told])

    def feed(self) -> None:
        """Have the files land, once for all that follows."""
        self.echo(f"Publishing the feed up to {self.until}")
        begin = time.monotonic()
        self.publish(self.until, self.env("feed"))
        self.add("feed_seconds", "feed: the airline's files, published", "s", [time.monotonic() - begin])

    def publish(self, until: date, env: Mapping[str, str]) -> None:
        """Have the files up to a day land in the landing zone of an environment."""
        code = "from pipelines.cli import app; app()"
        command = [sys.executable, "-c", code, "feed", "--until", str(until)]
        watched(subprocess.Popen(command, cwd=ROOT, env=dict(env)), "the feed")  # noqa: S603  # ours

    def line(self, rounds: int, *, against_plain: bool) -> list[StageFigure]:
        """Run the line, and the plain script as often, changing which goes first; the stages of the line.

        Raises:
            BenchError: If a run fails, or the two did not do the same work.
        """
        runs: dict[str, list[Measured]] = {"line": [], "plain": []}
        for number in range(rounds):
            pair = ["line", "plain"] if against_plain else ["line"]
            for kind in pair if number % 2 == 0 else reversed(pair):
                title = "The line, as `make line` runs it" if kind == "line" else "The same as a plain script"
                self.echo(f"\n{title}, {number + 1} of {rounds}")
                runs[kind].append(self._run(kind, number))
                self.echo(f"{runs[kind][-1].told.seconds:.1f} s")
        self._line_figures(runs["line"])
        if against_plain:
            self._ratios(runs["line"], runs["plain"])
        return stage_figures(runs["line"], runs["plain"])

    def rates(self) -> None:
        """Rows per second of cleaning and of features, on a lake that another measurement left or that is made now."""
        homes = [home for home in sorted(self.room.iterdir()) if (home / "lake").is_dir()]
        if not homes:
            self.echo("\nTaking the files in, as a plain script")
            measured("infra.bench.plain", self.subject, "ingest", env=self.env("rates"))
        self.echo("\nCleaning and features, in memory")
        told = measured("infra.bench.rates", self.subject, env=self.env(homes[0].name if homes else "rates")).told
        for name, title in {"cleaning": "rows cleaned", "features": "rows of features made"}.items():
            rows, seconds = told.facts[name]["rows"], told.facts[name]["seconds"]
            self.add(f"{name}_rows_per_second", f"{title}, in memory", "rows/s", [rows / s for s in seconds])

    def _run(self, kind: str, number: int) -> Measured:
        home = f"{kind}-{number}"
        try:
            run = measured(f"infra.bench.{kind}", self.subject, env=self.env(home))
            pid = processes.status(ENDPOINT, home=self.room / home).pid
            if kind == "line" and number == 0 and pid is not None:
                self.add("endpoint_mb", "endpoint: memory", "MB", [psutil.Process(pid).memory_info().rss / MB])
            return run
        finally:
            processes.stop(ENDPOINT, home=self.room / home)

    def _line_figures(self, runs: Sequence[Measured]) -> None:
        for name, purpose in JOBS.items():
            title = {"ingest": "raw to features, one backfill run", "train": "training set to live endpoint"}[purpose]
            self.add(name, title, "s", [sum(j.seconds for j in r.told.jobs if purpose in j.name) for r in runs])
        self.add("line_seconds", "the whole line", "s", [r.told.seconds for r in runs])
        self.add("line_cpu_seconds", "the whole line, processor time", "s", [r.told.cpu_seconds for r in runs])
        self.add("line_mb", "the whole line, peak memory", "MB", [r.peak_mb() or 0.0 for r in runs])

    def _ratios(self, lines: Sequence[Measured], plains: Sequence[Measured]) -> None:
        works = [run.told.facts["work"] for run in (*lines, *plains)]
        if differing := [work for work in works if work != works[0]]:
            raise BenchError(f"the line and the plain script did not do the same: {works[0]} and {differing[0]}")
        pairs = [(line.told, plain.told) for line, plain in zip(lines, plains, strict=True)]
        self.add("plain_seconds", "the plain script", "s", [p.seconds for _, p in pairs])
        self.add("line_over_plain", "line / plain script", "x", [a.seconds / p.seconds for a, p in pairs])
        cpu = [a.cpu_seconds / p.cpu_seconds for a, p in pairs]
        self.add("line_over_plain_cpu", "line / plain script, processor time", "x", cpu)

    def _loaded(self) -> tuple[float, float]:
        command = [sys.executable, "-c", LOCATION]
        done = subprocess.run(  # noqa: S603  # ours
            command, cwd=ROOT, env=self.env("location"), stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            raise BenchError("the code location does not load; the lines above say why")
        seconds, resident = done.stdout.split()
        return float(seconds), float(resident)

    def add(self, name: str, title: str, unit: str, values: Sequence[float]) -> None:
        """Keep a figure."""
        self.figures.append(Figure(name=name, title=title, unit=unit, values=tuple(values)))

    def env(self, home: str) -> Mapping[str, str]:
        """A state folder and ports of its own, and the files that all runs share."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(THEIRS)}
        ports = {f"THROUGHLINE_{name}_PORT": str(free_port()) for name in ("ENDPOINT", "DAGSTER", "MLFLOW")}
        landing = {"THROUGHLINE_LANDING": str(self.room / "landing")}
        return {**own, **ports, **landing, "THROUGHLINE_HOME": str(self.room / home)}


def stage_figures(lines: Sequence[Measured], plains: Sequence[Measured]) -> list[StageFigure]:
    """Medians by stage, in the order of the line, and what is left over when all stages are taken away."""
    names = dict.fromkeys(span.name for run in lines for span in run.told.stages)
    stages = [
        StageFigure(
            stage=name,
            seconds=median(_seconds(lines, name)),
            peak_mb=max((mb for run in lines for s in _named(run, name) if (mb := run.peak_mb(s))), default=None),
            plain_seconds=median(_seconds(plains, name)) if plains else None,
        )
        for name in names
    ]
    outside = StageFigure(
        stage="outside of these: start, imports, planning, records",
        seconds=median(_outside(run) for run in lines),
        plain_seconds=median(_outside(run) for run in plains) if plains else None,
    )
    return [*stages, outside]


def _named(run: Measured, name: str) -> list[Span]:
    return [span for span in run.told.stages if span.name == name]


def _seconds(runs: Sequence[Measured], name: str) -> list[float]:
    return [sum(span.seconds for span in _named(run, name)) for run in runs]


def _outside(run: Measured) -> float:
    return run.told.seconds - sum(span.seconds for span in run.told.stages)


def free_port() -> int:
    """A port that nothing on loopback holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
