"""The command `throughline`: feed, deliver, line, up, run, backfill, replay, rollout, rollback, status, stop and more.

Belongs here: arguments, what is printed, exit codes. Does not belong here: the work itself, which `lines.py` and
`services.py` do. Everything heavy loads inside the command that needs it, so that `status` answers at once.
"""

import errno
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Final

import typer

from pipelines import api_keys, rollouts
from pipelines.starting import commands
from resources.errors import ThroughlineError
from resources.settings import Settings

SHIPPED: Final = "flight_delays"
"""The use case whose data ships with the project, and is fed by default."""

Names = Annotated[list[str] | None, typer.Argument(help="Use cases; all in the workspace if none is named.")]


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
app.command()(commands.new)
app.command()(commands.check)
app.command()(rollouts.rollout)
app.command()(rollouts.rollback)
app.add_typer(api_keys.app, name="key")


@app.callback()
def main() -> None:
    """A machine-learning production line: from raw files to a live, watched endpoint."""


@app.command()
def feed(
    name: Annotated[str, typer.Argument(help="Use case whose data ships with it.")] = SHIPPED,
    until: Annotated[str | None, typer.Option(help="Last day that has landed, such as 2013-09-30.")] = None,
) -> None:
    """Publish the data that ships with a use case in the landing zone, a file per day, as if it came from outside."""
    from pipelines import catalogue
    from pipelines.lines import publish_data

    settings, last = _settings(), None if until is None else _day(until)
    if (publish := catalogue.publish_hook(name)) is None:
        raise ThroughlineError(f"no data ships with {name}; put its files under {settings.landing_root}")
    publish_data(settings, name, publish, last, typer.echo)


@app.command()
def deliver(names: Names = None) -> None:
    """Bring the landing zone up to date with where the data comes from: a file, a database. `line` does it as well."""
    from pipelines.lines import deliver_data

    settings = _settings()
    for name in _chosen(names):
        if not deliver_data(settings, name, typer.echo):
            typer.echo(f"{name}: its files land under {settings.landing_root} by themselves")


@app.command()
def line(names: Names = None) -> None:
    """Run the line: take in what has landed, train, judge, and leave the endpoint live."""
    from pipelines.lines import run_lines
    from pipelines.services import check_ports

    settings, chosen = _settings(), _chosen(names)
    check_ports(settings, _endpoints(settings, chosen))
    outcome = run_lines(settings, chosen, typer.echo)
    _show_requests(settings, outcome.done)
    outcome.require()


@app.command()
def up() -> None:
    """Start Dagster's and MLflow's user interfaces."""
    from pipelines import services

    settings = _settings()
    services.up(settings, typer.echo)
    typer.echo(services.addresses(settings))


@app.command()
def run(names: Names = None) -> None:
    """Run the line, then leave the endpoints, Dagster and MLflow up."""
    from pipelines import services
    from pipelines.lines import run_lines

    settings, chosen = _settings(), _chosen(names)
    _endpoints(settings, chosen)
    services.check_ports(settings)  # before minutes of work, not after
    outcome = run_lines(settings, chosen, typer.echo)
    services.up(settings, typer.echo)
    typer.echo(f"\n{services.addresses(settings)}\n")
    _show_requests(settings, outcome.done)
    typer.echo("\n`make status` shows what runs, `make stop` ends it.")
    outcome.require()


@app.command()
def monitor() -> None:
    """Open Evidently's dashboards with the history of drift: starts its user interface and tells its address."""
    from pipelines.monitor import monitor as start

    typer.echo(start(_settings(), typer.echo))


@app.command()
def backfill(
    name: Annotated[str, typer.Argument(help="Use case.")],
    asset: Annotated[str, typer.Argument(help="A partitioned asset, such as features or drift_report.")],
    since: Annotated[str, typer.Option(help="First day, such as 2013-01-01.")],
    until: Annotated[str, typer.Option(help="Last day, included.")],
    upstream: Annotated[bool, typer.Option(help="Make what it is made from anew as well.")] = False,
    replace_scores: Annotated[bool, typer.Option(help="Let today's champion replace scores that were given.")] = False,
) -> None:
    """Make a range of partitions of one asset anew, with progress."""
    from pipelines.backfill import backfill as fill

    days = _day(since), _day(until)
    fill(_settings(), name, asset, *days, typer.echo, upstream=upstream, replace_scores=replace_scores)


@app.command()
def replay(
    first: Annotated[str, typer.Option("--from", help="First day, such as 2013-09-01.")],
    until: Annotated[str, typer.Option(help="Last day, included.")],
    name: Annotated[str, typer.Argument(help="Use case whose data ships with it.")] = SHIPPED,
    afresh: Annotated[bool, typer.Option(help="Take away a replay that is there already.")] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Play the application too: ask the endpoint, tell it.")] = False,
) -> None:
    """Play days through the real sensors, schedules and decisions, in a state folder of their own, and report."""
    from pipelines.replay.command import run_replay

    run_replay(_settings(), name, _day(first), _day(until), typer.echo, afresh=afresh, asks=ask)


@app.command()
def alive(names: Names = None) -> None:
    """Look for silence from outside Dagster, for cron or a health check: exit code 1 if anything should have run."""
    from pipelines.alive import silences

    if found := silences(_settings(), _chosen(names)):
        raise ThroughlineError("; ".join(found))
    typer.echo("Daemon, sensors, schedules and monitors are as they should be.")


@app.command()
def status() -> None:
    """Show what runs, where it answers, and which models are live."""
    from pipelines import catalogue, services
    from pipelines.programs import DAEMON
    from resources import processes

    settings, names = _settings(), catalogue.in_workspace()
    typer.echo(services.status(settings, names))
    if processes.status(DAEMON, home=settings.home).is_running:
        from pipelines.alive import silences

        for text in silences(settings, names):
            typer.echo(f"SILENT: {text}")


@app.command()
def stop() -> None:
    """Stop everything that this clone started."""
    from pipelines import services

    services.stop(_settings(), typer.echo)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ThroughlineError(f"{text!r} is not a day; give one such as 2013-09-30") from error


def _settings() -> Settings:
    from pipelines.services import prepare_environment

    settings = Settings()
    prepare_environment(settings)
    return settings


def _chosen(names: Sequence[str] | None) -> list[str]:
    """The use cases that were named, each once, or all in the workspace."""
    from pipelines import catalogue

    chosen = list(dict.fromkeys(names or catalogue.in_workspace()))
    for name in chosen:
        catalogue.declaration(name)  # refused before anything is done, not after the line of another
    return chosen


def _endpoints(settings: Settings, names: Sequence[str]) -> list[str]:
    """Names of the programs that will serve the use cases; a port is allotted to each."""
    from pipelines.programs import endpoint

    return [endpoint(settings, name).name for name in names]


def _show_requests(settings: Settings, names: Sequence[str]) -> None:
    from pipelines import catalogue
    from pipelines.example import example_request
    from resources.environments import resources_for

    resources = resources_for(settings)
    for name in names:
        url = resources["endpoint_server"].url(name)
        typer.echo(example_request(catalogue.use_case(name), resources["lake"], url))
