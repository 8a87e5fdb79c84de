"""Dagster's event log on SQLite, without opening and closing the file for every event.

Belongs here: how the laptop form stores events fast enough. Does not belong here: what is stored; that is Dagster's.

A run over 243 days writes two events per day and asset. Dagster's own storage makes a new engine, opens the file, and
closes it (which writes the whole log back) for each of them: 87 ms an event on two busy cores, 5 minutes in all.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Final

import sqlalchemy
from dagster import AssetKey, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.event_api import EventHandlerFn
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorageWatchdog
from sqlalchemy import Connection, Engine, event
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

OPEN_SHARDS: Final = 8
"""Each run has a file of its own, beside the index of all; runs under way are few."""


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """The same files and tables as Dagster's, over connections that stay open.

    Commits wait for the disk only at checkpoints (`synchronous=NORMAL`): in WAL mode a killed process loses nothing,
    and a power cut at worst the last events, never the file's integrity (https://sqlite.org/pragma.html#pragma_synchronous).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._open: dict[str, Connection] = {}
        super().__init__(*args, **kwargs)
        # Dagster's own lock cannot be taken twice by one thread, which a batch does.
        self._db_lock = RLock()  # type: ignore[assignment]

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "PooledSqliteEventLogStorage":
        """Where Dagster's default form keeps them, `history/runs` under `base_dir` (which is `$DAGSTER_HOME`)."""
        return cls(inst_data=inst_data, base_dir=str(Path(config_value["base_dir"], "history", "runs")))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store what a run plans, or the materialisations of one asset: all or none, in one transaction per file.

        Dagster hands over batches, of events that concern assets and checks, if `DAGSTER_EVENT_BATCH_SIZE` is set, and
        stores one by one if a batch fails. What its `store_event` repeats for every event is done once: each insert,
        and the record of an asset's newest event.
        """
        rows = [self._event_to_row(event) for event in events]
        insert = SqlEventLogStorageTable.insert()
        with self.run_connection(events[0].run_id) as run, self.index_connection() as index:
            run.execute(insert, rows)
            numbered = insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
            ids = index.execute(numbered, rows).scalars().all()
            stored = list(zip(events, ids, strict=True))
            of_assets = [(event, number) for event, number in stored if _asset(event) is not None]
            self._store_asset_event_tags(index, [event for event, _ in of_assets], [number for _, number in of_assets])
            for event, number in {_asset(event): (event, number) for event, number in of_assets}.values():
                self._store_asset_event(index, event, number)
            for event, number in stored:
                if _asset(event) is None:
                    self.store_asset_check_event(event, number)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Plan a check once per run: that is how often checks without partitions are evaluated.

        Dagster plans each for every partition of the run; 243 rows per check then stay "skipped" in its history.
        """
        planned = event.get_dagster_event()
        check = planned.asset_check_planned_data
        once = AssetCheckEvaluationPlanned(asset_key=check.asset_key, check_name=check.check_name)
        event = event._replace(dagster_event=planned._replace(event_specific_data=once))
        super()._store_asset_check_evaluation_planned(event, event_id)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction over a file, or the one that this thread has open over it already."""
        with self._db_lock:
            if shard in self._open:
                yield self._open[shard]
                return
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                self._open[shard] = connection
                try:
                    yield connection
                finally:
                    del self._open[shard]

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            self._engines[shard] = _made(self.conn_string_for_shard(shard))
        self._engines.move_to_end(shard)
        while len(self._engines) > OPEN_SHARDS:
            oldest, engine = self._engines.popitem(last=False)
            engine.dispose()
            self._initialized_dbs.discard(oldest)  # maintenance may take the file away meanwhile
        return self._engines[shard]

    def log_files(self, run_id: str) -> list[Path]:
        """The files with all that a run said. What it made of assets and checks stands in the index as well."""
        path = Path(self.path_for_shard(run_id))
        return [file for suffix in ("", "-wal", "-shm") if (file := path.with_name(f"{path.name}{suffix}")).is_file()]

    def forget_log(self, run_id: str) -> None:
        """Take those files away; its materialisations, checks, and the run itself stay on record."""
        with self._db_lock:
            if (engine := self._engines.pop(run_id, None)) is not None:
                engine.dispose()
            self._initialized_dbs.discard(run_id)
            for file in self.log_files(run_id):
                file.unlink(missing_ok=True)

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Tell `callback` of a run's new events, which is how they reach an open page of the UI."""
        observer: Any = self._obs
        if observer is None:
            observer = Observer()
            observer.start()
            self._obs = observer
        watchdog = _Watchdog(self, run_id, callback, cursor)
        watched = observer.schedule(watchdog, self._base_dir, recursive=True)
        self._watchers[run_id][callback] = (watchdog, watched)

    def dispose(self) -> None:
        """Close all files."""
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Looks at the write-ahead log too: while a file stays open, that alone changes with a commit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - the patterns say which file it is
        """Read the run's new events."""
        self._process_log()


def _asset(entry: EventLogEntry) -> AssetKey | None:
    return entry.get_dagster_event().asset_key


def _made(url: str) -> Engine:
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": 10})

    @event.listens_for(engine, "connect")
    def _relaxed(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
