"""Whether all is as it should be, asked from outside Dagster: by cron, a health check, or `throughline alive`.

Belongs here: that question. Does not belong here: the sensor that asks it from within (`watchman.py`), which cannot
notice the end of the daemon it runs in, and finding silence (`silence.py`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import psutil

from pipelines import catalogue, silence
from pipelines.silence import Silence
from pipelines.watchman import notice_of, silent_in, tell
from resources.environments import resources_for
from resources.notifier import Notifier
from resources.processes import status
from resources.settings import Settings

PAGES: Final = {silence.DAEMON: "/deployment/daemons", "location": "/deployment/locations"}
"""Of Dagster's user interface, by the first word of what a silence is about; sensors and schedules have another."""


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
    notices = [notice_of(silent, whose, now, _link(notifier, silent, whose)) for silent, whose in found.values()]
    return [silent.text for silent, _ in found.values()] + tell(notifier, notices)


def _link(notifier: Notifier, silent: Silence, use_case: str) -> str:
    """Where Dagster's user interface shows what is silent."""
    kind, _, name = silent.about.partition("/")
    if kind == "monitor":
        return notifier.asset_link(dg.AssetKey([use_case, name]))
    return f"{notifier.dagster_url}{PAGES.get(kind, '/automation')}"


def _silent_location(settings: Settings, name: str, instance: dg.DagsterInstance, now: datetime) -> list[Silence]:
    try:
        use_case, repository = catalogue.use_case(name), catalogue.definitions(name).get_repository_def()
    except Exception as error:  # noqa: BLE001  # the edge: whatever keeps it from loading keeps its sensors from ticking
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return [Silence(about=f"location/{name}", text=f"the code location {name} does not load: {why}")]
    return silent_in(instance, use_case, repository, now, _daemon_up_since(settings))


def _daemon_up_since(settings: Settings) -> datetime:
    """When the daemon of this state folder was started; the beginning of time where that is not known."""
    pid = status("dagster-daemon", home=settings.home).pid
    return datetime.fromtimestamp(psutil.Process(pid).create_time() if pid is not None else 0.0, UTC)
