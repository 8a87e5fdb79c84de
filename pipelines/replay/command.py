"""`throughline replay`: a replay from its first day to its last, in a folder of its own.

Belongs here: what comes before the days and after them. Does not belong here: the days (`days.py`).

The replay lies under `replay/<use case>` of the state folder and touches nothing else of it. It goes on where the last
one stopped, whatever stopped it, and with a later last day; one that began on another day is refused unless it is to be
taken away (`afresh`).
"""

from datetime import date
from pathlib import Path

from pipelines import catalogue
from pipelines.progress import Echo
from pipelines.replay import page
from pipelines.replay.application import own_endpoint, served
from pipelines.replay.days import come_up, happen
from pipelines.replay.folder import ReplayError, ReplayFolder
from pipelines.replay.launching import end_open_runs
from pipelines.replay.outside import Outside, all_files
from pipelines.replay.report import Report, day_of_record, gather, keep
from pipelines.replay.telling import day_line, summary
from pipelines.replay.world import World, opened_instance, over_own_state, settings_of
from pipelines.services import prepare_environment
from resources.locks import alone
from resources.settings import Settings


def run_replay(
    settings: Settings, name: str, first: date, last: date, echo: Echo, *, afresh: bool = False, asks: bool = False
) -> None:
    """Replay the days from `first` to `last` of a use case, and write the report.

    Args:
        settings: Of the user.
        name: The use case.
        first: First day; the line has taken in everything before it.
        last: Last day.
        echo: Where lines go.
        afresh: Take away a replay that is there already.
        asks: Have an application play along: the endpoint is live, and is asked and told.

    Raises:
        ReplayError: If it cannot begin or go on, or if a run or a tick failed.
        BusyError: If a replay of this use case runs already.
        ThroughlineError: If the line does not come up.
    """
    use_case = catalogue.use_case(name)
    refuse_outside(use_case.partitions.start, use_case.partitions.end, first, last)
    folder = ReplayFolder(settings.home / "replay" / name)
    with alone(settings.home / "run" / f"replay_{name}.lock", "The replay"):
        folder.begin(name, first, afresh=afresh)
        store = all_files(settings, use_case, folder, last)
        own = settings_of(folder)
        prepare_environment(own)  # before the definitions are loaded: they read the environment
        endpoint = own_endpoint(own, folder) if asks else None
        defs = over_own_state(catalogue.definitions(name), own, folder, endpoint)
        with opened_instance(own) as instance:
            outside = Outside(use_case=use_case, store=store, landing=Path(own.landing_root))
            declared_at = name if asks else None
            world = World(
                use_case=use_case, defs=defs, instance=instance, folder=folder, outside=outside, declared_at=declared_at
            )
            report = replay(world, last, echo)
    if report.faults:
        raise ReplayError(f"{len(report.faults)} runs or ticks failed; the first: {report.faults[0]}")


def replay(world: World, last: date, echo: Echo) -> Report:
    """Replay what is missing up to `last`, tell of every day, and write the report.

    Raises:
        ReplayError, LineError: As for `run_replay`.
    """
    for run_id in end_open_runs(world):
        echo(f"The process of Dagster run {run_id} was killed; its work is taken up again")
    with served(world):
        come_up(world, echo)
        while (day := world.folder.next_day()) <= last:
            echo(day_line(world, day_of_record(world, happen(world, day))))
    report = gather(world)
    places = keep(report, world.folder.root / "report", page.render(report))
    for line in summary(report):
        echo(line)
    echo(f"The report: {places['html']}")
    return report


def refuse_outside(start: date, end: date | None, first: date, last: date) -> None:
    """Refuse days that cannot be replayed.

    Raises:
        ReplayError: If the last day lies before the first, or there is nothing before the first.
    """
    if last < first:
        raise ReplayError(f"a replay from {first} cannot end before, on {last}")
    if first <= start:
        raise ReplayError(
            f"nothing lies before {first}: the data begin on {start}, and a model is needed to begin with"
        )
    if end is not None and last > end:
        raise ReplayError(f"the data end on {end}, before {last}")
