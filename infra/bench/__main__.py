"""`make bench`: measure the line on this machine; prints a table and keeps it as JSON under `var/bench`.

Belongs here: arguments, and what is printed. Does not belong here: what is measured (`bench.py`).
"""

import tempfile
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.bench.automation import AutomationBench
from infra.bench.bench import Bench
from infra.bench.machine import Machine
from infra.bench.report import Report, StageFigure
from infra.bench.subject import DEFAULT, QUICK
from pipelines.cli import OneSentence
from resources.settings import Settings

app = OneSentence(add_completion=False, pretty_exceptions_enable=False)


class Part(StrEnum):
    """What can be measured by itself."""

    LOCATION = "location"
    LINE = "line"
    RATIO = "ratio"
    RATES = "rates"
    AUTOMATION = "automation"


@app.command()
def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="A month, one family, no search: does the bench work?")
    ] = False,
    only: Annotated[list[Part] | None, typer.Option(help="Measure this only; may be given more than once.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often line and plain script take turns.")] = 2,
) -> None:
    """Measure load time, stages, memory and rates, the line against a plain script, and how it runs itself."""
    settings, began, machine = Settings(), datetime.now(UTC), Machine.here()
    subject, parts = QUICK if quick else DEFAULT, set(only or Part)
    typer.echo(str(machine))
    with tempfile.TemporaryDirectory(prefix="throughline-bench-") as room:
        bench = Bench(room=Path(room), subject=subject.name, until=subject.until, echo=typer.echo)
        stages: list[StageFigure] = []
        if Part.LOCATION in parts:
            bench.location()
        if parts - {Part.LOCATION, Part.AUTOMATION}:
            bench.feed()
        if Part.RATIO in parts:
            stages = bench.line(rounds, against_plain=True)
        elif Part.LINE in parts:
            stages = bench.line(1, against_plain=False)
        if Part.RATES in parts:
            bench.rates()
        found = AutomationBench(bench=bench).run(quick=quick) if Part.AUTOMATION in parts else []
    report = Report(
        taken_at=began,
        subject=subject.name,
        days=(subject.until - subject.use_case.partitions.start).days + 1,
        machine=machine,
        figures=bench.figures,
        stages=stages,
        detections=found,
    )
    typer.echo(f"\n{report.to_markdown()}\n\n{report.write(settings.bench_home)}")


if __name__ == "__main__":
    app()
