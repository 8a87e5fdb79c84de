"""The histories that the loaded versions of one use case look into, each kept current by what is observed.

Belongs here: one history per snapshot, shared by the versions that have the same. Does not belong here: how a history
takes a record (`assets/logic/live_history.py`), and where records come from (`resources/serving/observing.py`).
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

import polars as pl

from assets.contracts import UseCase
from assets.logic.live_history import LiveHistory
from assets.logic.live_rows import observed_key
from resources.serving.rows import frame_of
from resources.serving.service import Field, Recorded

LOG: Final = logging.getLogger(__name__)
COMPACT_ROWS: Final = 300
"""Observed rows from which on they are merged into the sorted arrays; until then each makes reads a little slower."""


class Histories:
    """Histories by the folder of their snapshot; one that no version looks into any more goes."""

    def __init__(self, use_case: UseCase, fields: Mapping[str, tuple[Field, ...]]) -> None:
        """Take the declaration, and the fields of the records of each table."""
        self._clocks = use_case.clocks
        self._keys = {table.name: observed_key(table) for table in use_case.tables}
        self._fields = fields
        self._recorded: Callable[[], Iterable[Recorded]] = list
        self._loaded: WeakValueDictionary[Path, LiveHistory] = WeakValueDictionary()
        self._newest: Path | None = None
        self._last: datetime | None = None
        self._lock = Lock()

    def follow(self, recorded: Callable[[], Iterable[Recorded]]) -> None:
        """Say where a history that begins learns what was observed before."""
        self._recorded = recorded

    def of(self, online: Path, read: Callable[[], Mapping[str, pl.DataFrame]]) -> LiveHistory:
        """The history of a snapshot, with all that was observed; `read` gives its tables if it is not loaded."""
        if (known := self._loaded.get(online)) is not None:
            return known
        as_of = datetime.fromtimestamp(online.stat().st_mtime, UTC)
        made = LiveHistory(read(), self._clocks, keys=self._keys, as_of=as_of)
        with self._lock:
            # Before the records are read: one that comes meanwhile is then seen twice, which changes nothing.
            self._loaded[online], self._newest = made, online
            self._last = max(self._last or as_of, as_of)
        for recorded in self._recorded():
            try:
                self._take(made, recorded)
            except ValueError:
                # Of a release that read it otherwise. It must not keep every version from ever being loaded again.
                LOG.exception("records observed at %s are passed over", recorded.at)
        return made

    def observe(self, recorded: Recorded) -> int:
        """Have all know these records; returns how many were news to the newest history."""
        with self._lock:
            loaded, self._last = dict(self._loaded), max(self._last or recorded.at, recorded.at)
        changed = {folder: self._take(history, recorded) for folder, history in loaded.items()}
        return 0 if self._newest is None else changed.get(self._newest, 0)

    def tidy(self) -> None:
        """Merge what came in where it has become much."""
        for history in [*self._loaded.values()]:
            if history.rows_uncompacted > COMPACT_ROWS:
                history.compact()

    def as_of(self) -> datetime | None:
        """When any of them last learnt of something (UTC)."""
        return self._last

    def _take(self, history: LiveHistory, recorded: Recorded) -> int:
        batch = {name: frame_of(rows, self._fields[name]) for name, rows in recorded.records.items() if rows}
        return history.observe_batch(batch, as_of=recorded.at).changed
