"""The command `throughline`: feed, line, up, run, status, stop.

Belongs here: arguments, what is printed, exit codes. Does not belong here: the work itself, which `feed.py`, `line.py`
and `services.py` do. Everything heavy loads inside the command that needs it, so that `status` answers at once.
"""

import errno
import json
import time
from datetime import date
from pathlib import Path
from typing import Annotated, Final

import typer

from resources.errors import ThroughlineError
from resources.settings import Settings

MODEL: Final = "flight_delays"
UNTIL: Final = "2013-08-31"
"""Last day that is fed by default: the last four months of the year stay for later arrivals."""
EXAMPLE: Final[dict[str, str | int]] = {
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "destination": "SFO",
    "scheduled_departure": "2013-08-31T22:00:00Z",
}
"""An evening flight of the last day of the default feed: what its caller knows two hours before departure."""


class OneSentence(typer.Typer):
    """Ends an expected error with one sentence on stderr and exit code 1; a defect of ours keeps its traceback."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Run the command that the arguments name."""
        try:
            return super().__call__(*args, **kwargs)
        except ThroughlineError as error:
            sentence = str(error)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            where = f" while writing {error.filename}" if error.filename else ""
            sentence = f"the disk is full{where}; free some space and run the command again"
        typer.echo(f"throughline: {sentence}", err=True)
        raise SystemExit(1)


app = OneSentence(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """A machine-learning production line: from raw files to a live, watched endpoint."""


@app.command()
def feed(
    until: Annotated[str, typer.Option(help="Last local service date that has landed, such as 2013-08-31.")] = UNTIL,
) -> None:
    """Publish the airline's and the weather service's files in the landing zone, one per day."""
    _publish(_settings(), _day(until))


@app.command()
def line() -> None:
    """Run the line: take in what has landed, train, judge, and leave the endpoint live."""
    from pipelines.programs import ENDPOINT
    from pipelines.services import check_ports

    settings = _settings()
    check_ports(settings, [ENDPOINT])
    _line(settings)
    typer.echo(_request(settings))


@app.command()
def up() -> None:
    """Start Dagster's and MLflow's user interfaces."""
    from pipelines import services

    settings = _settings()
    services.up(settings, typer.echo)
    typer.echo(services.addresses(settings))


@app.command()
def run() -> None:
    """Run the line, then leave the endpoint, Dagster and MLflow up."""
    from pipelines import services

    settings = _settings()
    services.check_ports(settings)  # before minutes of work, not after
    _line(settings)
    services.up(settings, typer.echo)
    typer.echo(f"\n{services.addresses(settings)}\n")
    typer.echo(_request(settings))
    typer.echo("\n`make status` shows what runs, `make stop` ends it.")


@app.command()
def status() -> None:
    """Show what runs, where it answers, and which model is live."""
    from pipelines import services

    typer.echo(services.status(_settings(), MODEL))


@app.command()
def stop() -> None:
    """Stop everything that this clone started."""
    from pipelines import services

    services.stop(_settings(), typer.echo)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ThroughlineError(f"{text!r} is not a day; give one such as {UNTIL}") from error


def _settings() -> Settings:
    from pipelines.services import prepare_environment

    settings = Settings()
    prepare_environment(settings)
    return settings


def _line(settings: Settings) -> None:
    from pipelines.line import run_line

    if settings.landing is None and not _fed(settings).is_file():
        # Once only, and never into a landing zone that others fill: a file taken away or changed there stays so.
        _publish(settings, _day(UNTIL))
    run_line(settings, typer.echo)


def _publish(settings: Settings, until: date) -> None:
    from pipelines.flight_delays.feed import publish
    from resources.objects import ObjectStore

    began = time.monotonic()
    typer.echo(f"Publishing the feed up to {until} in {settings.landing_root}")

    def progress(done: int, total: int, path: str) -> None:
        if done % 50 == 0 or done == total:
            typer.echo(f"  {done} of {total} files, {time.monotonic() - began:.1f} s, {path}")

    published = publish(ObjectStore(settings.landing_root), until, progress=progress)
    _fed(settings).write_text(f"{until}\n", encoding="utf-8")
    typer.echo(f"{len(published.written)} files written, {len(published.unchanged)} were there already")


def _fed(settings: Settings) -> Path:
    """Mark of a feed that was published to its end; a feed that was interrupted is published again."""
    return settings.home / "fed-until"


def _request(settings: Settings) -> str:
    """A request that can be pasted into a shell: the question of EXAMPLE in the Open Inference Protocol."""
    inputs = [
        {"name": name, "shape": [1], "datatype": "INT64" if isinstance(value, int) else "BYTES", "data": [value]}
        for name, value in EXAMPLE.items()
    ]
    url = f"http://127.0.0.1:{settings.endpoint_port}/v2/models/{MODEL}/infer"
    header = "--header 'Content-Type: application/json'"
    return f"Ask the endpoint:\n  curl {url} {header} --data '{json.dumps({'inputs': inputs})}'"
