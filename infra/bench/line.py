"""The line as `make line` runs it, in a process of its own; started by `children.measured`.

Belongs here: running it, and reading from Dagster's event log how long each step took. Does not belong here: what is
made of the figures.
"""

import sys
from pathlib import Path

import dagster as dg
import typer

from infra.bench.children import Span, spent, tell
from infra.bench.subject import SUBJECTS, Subject, work_done
from pipelines.assembly import build_definitions
from pipelines.line import Line
from pipelines.services import prepare_environment
from resources.settings import Settings


def main(started: str, result: str, subject: str) -> None:
    """Run the line on what has landed, then tell how long it took and where.

    Args:
        started: When this process was started, seconds since 1970.
        result: File to tell it in.
        subject: One of `SUBJECTS`.
    """
    settings = Settings()
    prepare_environment(settings)
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    _run(SUBJECTS[subject])
    took = spent(float(started))
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_run_records(ascending=True)
        jobs = [span_of(r.dagster_run.job_name, r.create_timestamp.timestamp(), r.end_time) for r in runs]
        steps = [s for r in runs for s in instance.get_run_step_stats(r.dagster_run.run_id)]
    stages = sorted((span_of(s.step_key, s.start_time, s.end_time) for s in steps), key=lambda span: span.start)
    facts = {"work": work_done(SUBJECTS[subject].use_case, settings)}
    tell(Path(result), took, stages=stages, jobs=jobs, facts=facts)


def _run(subject: Subject) -> None:
    with dg.DagsterInstance.get() as instance:
        defs = build_definitions(subject.use_case)
        Line(use_case=subject.use_case, defs=defs, instance=instance, echo=typer.echo).run()


def span_of(name: str, start: float | None, end: float | None) -> Span:
    """A finished run or step by the last part of its name, such as `features` of `flight_delays__features`."""
    if start is None or end is None:
        raise RuntimeError(f"{name} has no start or no end in the event log")
    return Span(name=name.rsplit("__", maxsplit=1)[-1], start=start, end=end)


if __name__ == "__main__":
    main(*sys.argv[1:])
