"""Who asks whether all is as it should be: a sensor of each use case, and a command from outside.

Belongs here: when silence is looked for, and whom it is told. Does not belong here: finding it (`silence.py`).

The sensor runs in Dagster's daemon, and cannot notice the end of that: `throughline alive`, started by cron or asked by
a health check, can.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from assets.contracts import UseCase
from pipelines import silence
from pipelines.silence import Silence
from resources.clock import Clock
from resources.environments import resources_for
from resources.notifier import Notice, Notifier, NotifierError
from resources.processes import status
from resources.settings import Settings

INTERVAL: Final = timedelta(minutes=5)
BREAK: Final = silence.INTERVALS * INTERVAL
"""Between two ticks of the sensor; after a longer one, the machine slept or the daemon was down."""
TITLES: Final = {
    silence.DAEMON: "Dagster's daemon is silent",
    "location": "a code location does not load",
    "off": "switched off",
    "failed": "a tick failed",
    "silent": "a tick is missing",
    "monitor": "a monitor is silent",
    "stale": "no new data",
    "break": "there was a break",
}
"""Of a notice, by the first word of what it is about."""


@dataclass(frozen=True, kw_only=True)
class Awake:
    """What the sensor remembers: since when it has ticked without a break, and when it did so last (UTC)."""

    since: datetime
    last: datetime

    @classmethod
    def of(cls, cursor: str | None) -> "Awake | None":
        """The same from a cursor."""
        return None if cursor is None else cls(**{k: datetime.fromisoformat(v) for k, v in json.loads(cursor).items()})

    def cursor(self) -> str:
        """The same as a cursor."""
        return json.dumps({"since": self.since.isoformat(), "last": self.last.isoformat()})


def build_silence_sensor(use_case: UseCase) -> dg.SensorDefinition:
    """The sensor that looks for silence in its use case; on by default."""

    @dg.sensor(
        name=f"{use_case.name}_silence_sensor",
        minimum_interval_seconds=int(INTERVAL.total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people of sensors and schedules that are off or quiet, and of monitors without results.",
    )
    def quiet(context: dg.SensorEvaluationContext, notifier: Notifier, clock: Clock) -> dg.SkipReason:
        now, before = datetime.now(UTC), Awake.of(context.cursor)
        awake = before is not None and now - before.last <= BREAK
        since = before.since if before is not None and awake else now
        found = [] if before is None or awake else [_slept(before.last, now)]
        if (repository := context.repository_def) is None:
            raise dg.DagsterInvariantViolationError(f"{context.sensor_name} was called without its code location")
        found += [*silent_in(context.instance, use_case, repository, now, since)]
        found += silence.stale_assets(context.instance, _fresh(repository))
        context.update_cursor(Awake(since=since, last=now).cursor())
        link = f"{notifier.dagster_url}/automation"
        told = _tell(notifier, [_notice(s, use_case.name, clock.now(), link) for s in found])
        return dg.SkipReason("; ".join([*(s.text for s in found), *told]) or "nothing is silent")

    return quiet


def silent_in(
    instance: dg.DagsterInstance, use_case: UseCase, repository: dg.RepositoryDefinition, now: datetime, since: datetime
) -> list[Silence]:
    """All silence of a use case, and of the daemon that it needs."""
    daemons = silence.silent_daemons(instance, now)
    if any(silent.about == silence.DAEMON for silent in daemons):
        return daemons  # everything else follows from it
    beats = silence.silent_beats(instance, silence.beats_of(repository), now, since)
    known = repository.assets_defs_by_key
    return [*daemons, *beats, *silence.silent_monitors(instance, use_case, known, now)]


def silences(settings: Settings, names: Sequence[str]) -> list[str]:
    """What is silent now, a sentence each; people are told of it as well, unless they were within a day.

    To be called from outside the daemon, in an environment that is prepared (`services.prepare_environment`).

    Args:
        settings: Which state folder.
        names: Use cases; loading one takes a second or two.
    """
    now, found = datetime.now(UTC), dict[str, tuple[Silence, str]]()
    with dg.DagsterInstance.get() as instance:
        for silent in silence.silent_daemons(instance, now):
            found[silent.about] = silent, "all use cases"
        for name in names if silence.DAEMON not in found else ():
            for silent in _silent_location(settings, name, instance, now):
                found.setdefault(silent.about, (silent, name))
    notifier: Notifier = resources_for(settings)["notifier"]
    notices = [_notice(silent, whose, now, None) for silent, whose in found.values()]
    return [silent.text for silent, _ in found.values()] + _tell(notifier, notices)


def _silent_location(settings: Settings, name: str, instance: dg.DagsterInstance, now: datetime) -> list[Silence]:
    from pipelines import catalogue

    try:
        use_case, repository = catalogue.use_case(name), catalogue.definitions(name).get_repository_def()
    except Exception as error:  # noqa: BLE001  # the edge: whatever keeps it from loading keeps its sensors from ticking
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return [Silence(about=f"location/{name}", text=f"the code location {name} does not load: {why}")]
    return silent_in(instance, use_case, repository, now, _daemon_up_since(settings))


def _slept(since: datetime, now: datetime) -> Silence:
    text = f"nothing was watched from {since:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC: Dagster's daemon was down"
    return Silence(about=f"break/{since.isoformat()}", text=text, severity="warning")


def _fresh(repository: dg.RepositoryDefinition) -> list[dg.AssetKey]:
    graph = repository.asset_graph
    return [key for key in graph.materializable_asset_keys if graph.get(key).freshness_policy is not None]


def _daemon_up_since(settings: Settings) -> datetime:
    """When the daemon of this state folder was started; the beginning of time where that is not known."""
    import psutil

    pid = status("dagster-daemon", home=settings.home).pid
    return datetime.fromtimestamp(psutil.Process(pid).create_time() if pid is not None else 0.0, UTC)


def _notice(silent: Silence, use_case: str, at: datetime, link: str | None) -> Notice:
    return Notice(
        key=f"{use_case}/silence/{silent.about}",
        title=TITLES[silent.about.partition("/")[0]],
        text=silent.text[:1].upper() + silent.text[1:] + ".",
        severity=silent.severity,
        use_case=use_case,
        link=link,
        at=at,
    )


def _tell(notifier: Notifier, notices: Iterable[Notice]) -> list[str]:
    """Why people could not be told, if they could not; the notices are kept."""
    fault = []
    for notice in notices:
        try:
            notifier.notify(notice)
        except NotifierError as error:
            fault = [str(error)]
    return fault
