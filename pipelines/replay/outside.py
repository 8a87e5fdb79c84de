"""The world outside a replay: what it delivers, when, and that it stands still until the day has come.

Belongs here: which landed file belongs to which day, and putting it into the landing zone as of its own time. Does not
belong here: where the files come from (the feed of a use case, or the user's landing zone).
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from assets.contracts import Partitions, UseCase
from pipelines.catalogue import deliver_hook, publish_hook
from pipelines.replay.folder import ONE_DAY, ReplayFolder
from resources.objects import ObjectStore
from resources.settings import Settings
from resources.sources import Arrival

DELIVERED_AT: Final = time(3)
"""Local time, on the day after, at which a day's files are there: the last flights have landed by then."""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What will land.

    Attributes:
        store: All files, from all days.
        landing: The landing zone of the replay, a local folder.
    """

    use_case: UseCase
    store: ObjectStore
    landing: Path

    def deliver(self, day: date) -> list[Arrival]:
        """Have the files of the partitions that end on `day` land; doing it again changes nothing.

        A file bears the time at which it was delivered, as nothing else in a replay may look at the system's clock.
        """
        return self._put(self._by_day.get(day, ()), delivered_at(self.use_case.partitions, day))

    def deliver_before(self, day: date) -> list[Arrival]:
        """The same for all partitions that end before `day`, and for whole tables."""
        partitions = self.use_case.partitions
        found = self._put(self._by_day.get(None, ()), delivered_at(partitions, partitions.start - ONE_DAY))
        for earlier in sorted(d for d in self._by_day if d is not None and d < day):
            found += self.deliver(earlier)
        return found

    @cached_property
    def _by_day(self) -> Mapping[date | None, list[Arrival]]:
        """Files by the last day of their partition; None: whole tables."""
        found: dict[date | None, list[Arrival]] = defaultdict(list)
        for table in self.use_case.tables:
            for key, arrival in table.source.arrivals(self.store).items():
                found[None if key is None else self.use_case.partitions.last_day(key)].append(arrival)
        return found

    def _put(self, arrivals: Iterable[Arrival], at: datetime) -> list[Arrival]:
        landing = ObjectStore(str(self.landing))
        for arrival in arrivals:
            if not landing.exists(arrival.path):
                landing.write(arrival.path, self.store.read(arrival.path))
            os.utime(self.landing / arrival.path, (at.timestamp(), at.timestamp()))
        return list(arrivals)


def delivered_at(partitions: Partitions, day: date) -> datetime:
    """When the files of a local day are there (UTC)."""
    local = datetime.combine(day + timedelta(days=1), DELIVERED_AT, ZoneInfo(partitions.timezone))
    return local.astimezone(UTC)


def all_files(settings: Settings, use_case: UseCase, folder: ReplayFolder, until: date) -> ObjectStore:
    """Where the files of all days are: published beside the replay if the use case has a feed, else as they landed.

    Args:
        settings: Of the user, not of the replay.
        use_case: The declaration.
        folder: Of the replay.
        until: Last day that is needed.
    """
    name, aside = use_case.name, ObjectStore(str(folder.root / "outside"))
    if (publish := publish_hook(name)) is not None:
        publish(aside, _silent, until)
        return aside
    if (deliver := deliver_hook(name)) is not None:
        deliver(aside, _silent)
        return aside
    return ObjectStore(settings.landing_root)


def _silent(_: str) -> None:
    """Say nothing: a replay tells of its own days."""
