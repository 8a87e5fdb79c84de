"""The sensor of a use case that looks for silence, and how people are told of it.

Belongs here: when silence is looked for from within Dagster. Does not belong here: finding it (`silence.py`), and
asking from outside (`alive.py`), which alone can notice the end of the daemon.

A code location that does not load has no sensor that could tell of it, so each one looks after the others as well.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
import yaml

from assets.contracts import UseCase
from pipelines import silence
from pipelines.silence import Silence
from resources.clock import Clock
from resources.notifier import Notice, Notifier, NotifierError

WORKSPACE: Final = Path(__file__).parents[1] / "workspace.yaml"
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
        name=_sensor_of(use_case.name),
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
        about = [(use_case.name, s) for s in found] + [*silent_neighbours(context.instance, use_case.name, now, since)]
        context.update_cursor(Awake(since=since, last=now).cursor())
        link = f"{notifier.dagster_url}/automation"
        told = tell(notifier, [notice_of(s, whose, clock.now(), link) for whose, s in about])
        return dg.SkipReason("; ".join([*(s.text for _, s in about), *told]) or "nothing is silent")

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


def silent_neighbours(
    instance: dg.DagsterInstance, name: str, now: datetime, since: datetime
) -> Iterator[tuple[str, Silence]]:
    """Other code locations of the workspace whose own look-out ticked once and has gone quiet, by name."""
    entries = yaml.safe_load(WORKSPACE.read_text(encoding="utf-8"))["load_from"]
    places = [place for entry in entries for place in entry.values() if isinstance(place, dict)]
    others = [place["location_name"] for place in places if place.get("location_name") not in (None, name)]
    known = {state.name for state in instance.all_instigator_state()}
    for other in others:
        beat = silence.Beat(name=_sensor_of(other), is_on=True, interval=INTERVAL)
        for silent in silence.silent_beats(instance, [beat] if beat.name in known else [], now, since):
            if silent.about.startswith("silent/"):
                text = f"{silent.text}: nobody looks after {other}, and its code location may not load"
                yield other, Silence(about=f"location/{other}", text=text)


def _sensor_of(name: str) -> str:
    return f"{name}_silence_sensor"


def _slept(since: datetime, now: datetime) -> Silence:
    text = f"nothing was watched from {since:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC: Dagster's daemon was down"
    return Silence(about=f"break/{since.isoformat()}", text=text, severity="warning")


def _fresh(repository: dg.RepositoryDefinition) -> list[dg.AssetKey]:
    graph = repository.asset_graph
    return [key for key in graph.materializable_asset_keys if graph.get(key).freshness_policy is not None]


def notice_of(silent: Silence, use_case: str, at: datetime, link: str | None) -> Notice:
    """A silence as people are told of it."""
    return Notice(
        key=f"{use_case}/silence/{silent.about}",
        title=TITLES[silent.about.partition("/")[0]],
        text=silent.text[:1].upper() + silent.text[1:] + ".",
        severity=silent.severity,
        use_case=use_case,
        link=link,
        at=at,
    )


def tell(notifier: Notifier, notices: Iterable[Notice]) -> list[str]:
    """Why people could not be told, if they could not; the notices are kept."""
    fault = []
    for notice in notices:
        try:
            notifier.notify(notice)
        except NotifierError as error:
            fault = [str(error)]
    return fault
