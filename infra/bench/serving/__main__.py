"""`make bench-serving`: our endpoint against what else serves a model in Python, with the same trees and rows.

Belongs here: arguments, and the order of things. Does not belong here: how servers are run (`running.py`) and what is
made of the figures (`figures.py`).
"""

import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from infra.bench.children import BenchError
from infra.bench.machine import Machine
from infra.bench.serving.contenders import OURS, TITLES, Makers
from infra.bench.serving.figures import ServingReport, conditions
from infra.bench.serving.limit import microseconds_per_row
from infra.bench.serving.load import require_wrk
from infra.bench.serving.model import expected, saved
from infra.bench.serving.running import Turns, in_turns, kept_bytes, running
from pipelines.cli import OneSentence
from resources.settings import Settings

app = OneSentence(add_completion=False, pretty_exceptions_enable=False)
CONNECTIONS: Final = (1, 16, 64)


class Server(StrEnum):
    """What can be measured by itself: the keys of `TITLES`."""

    THROUGHLINE = OURS
    BARE = "bare"
    LITSERVE = "litserve"
    BENTOML = "bentoml"
    MLFLOW = "mlflow"


@app.command()
def main(
    only: Annotated[list[Server] | None, typer.Option(help="Measure this one; may be given more than once.")] = None,
    connections: Annotated[
        list[int] | None, typer.Option(min=1, help="Open at once; 1, 16 and 64 if not given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often the servers take turns.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Of load per server, number of connections and turn.")] = 6,
    serve_args: Annotated[str, typer.Option(help="Further arguments of our server, as one text.")] = "",
) -> None:
    """Measure answers per second, latency, memory and processor time of the servers, in turns."""
    require_wrk()
    # Servers are in sessions of their own: they must be ended also when this process is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    settings, began, machine, names = Settings(), datetime.now(UTC), Machine.here(), [*dict.fromkeys(only or TITLES)]
    typer.echo(str(machine))
    with tempfile.TemporaryDirectory(prefix="throughline-bench-") as folder:
        room = Path(folder)
        typer.echo("Fitting the model that all of them serve")
        makers = Makers(
            room=room,
            model=saved(room / "model"),
            environments=settings.bench_home / "environments",
            serve_arguments=tuple(shlex.split(serve_args)),
            echo=typer.echo,
        )
        load = Turns(connections=tuple(connections or CONNECTIONS), count=rounds, seconds=seconds)
        report = measured(makers, [str(name) for name in names], load, began, machine)
    typer.echo(f"\n{report.to_markdown()}\n\n{report.write(settings.bench_home)}")


def measured(makers: Makers, names: Sequence[str], load: Turns, began: datetime, machine: Machine) -> ServingReport:
    """Start the servers, have them asked in turns, end them.

    Raises:
        BenchError: If a server does not start, answers wrongly or fails, or ours kept nothing of what it answered.
    """
    asked = expected(makers.model)
    makers.build(names)
    with ExitStack() as stack:
        servers = []
        for name in names:
            typer.echo(f"Starting {TITLES[name]}")
            servers.append(stack.enter_context(running(makers.make(name), asked, makers.room)))
        before = kept_bytes(makers.state)
        samples, limits = in_turns(servers, load, lambda: microseconds_per_row(makers.model, asked.rows), typer.echo)
        answers = sum(sample.requests for sample in samples if sample.name == OURS)
        kept = kept_bytes(makers.state) - before
    if OURS in names and kept < answers:
        raise BenchError(f"our endpoint kept {kept} bytes of {answers} answers: its log was not on")
    per_answer = kept / answers if answers else None
    return ServingReport(
        taken_at=began,
        machine=machine,
        samples=samples,
        limits=limits,
        logged_bytes=per_answer,
        conditions=conditions(load, samples, per_answer),
    )


if __name__ == "__main__":
    app()
