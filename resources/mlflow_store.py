"""How MLflow's store is reached: without global state, patient with a locked database, and silent to the outside.

Belongs here: clients, locks, retries, and turning MLflow's errors into ours. Does not belong here: what is recorded
(`registry.py`).
"""

import functools
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from resources.errors import RegistryError
from resources.locks import in_turn

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

SQLITE_PREFIX: Final = "sqlite:///"
LOCKED: Final = ("database is locked", "database table is locked")
"""SQLite's words; MLflow and SQLAlchemy wrap them in errors of their own but keep the text."""
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0

_log = logging.getLogger(__name__)


def client(tracking_uri: str) -> "MlflowClient":
    """A client for exactly this store; no tracking URI, run or experiment becomes active in the process."""
    # Read when MLflow is imported. `DO_NOT_TRACK=1` does not switch MLflow off, `true` does.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@dataclass(frozen=True)
class Store:
    """One MLflow store and how long a locked one is waited for."""

    uri: str
    patience_s: float

    def do(self, what: str, action: "Callable[[MlflowClient], T]") -> T:
        """The result of `action` on this store, which is created first if there is none.

        Raises:
            RegistryError: If the store stays locked or refuses; naming what, where and why.
        """
        initialise(self.uri, self.patience_s)
        return call(what, self.uri, lambda: action(client(self.uri)), patience_s=self.patience_s)


def call(what: str, where: str, action: Callable[[], T], *, patience_s: float) -> T:
    """The result of `action`, which is tried again while the database is locked.

    Args:
        what: What is being done, for the error: `register churn`.
        where: The store, for the error.
        action: Safe to repeat after a refused write.
        patience_s: No new attempt starts after this many seconds.

    Raises:
        RegistryError: If the database stays locked, or MLflow refuses; naming what, where and why.
    """
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException
    from tenacity import Retrying, before_sleep_log, retry_if_exception, stop_after_delay, wait_random_exponential

    attempts = Retrying(
        retry=retry_if_exception(is_locked),
        stop=stop_after_delay(patience_s),
        wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        before_sleep=before_sleep_log(_log, logging.WARNING),
        reraise=True,
    )
    try:
        return attempts(action)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        if is_locked(error):
            raise RegistryError(
                f"Cannot {what}: the database {where} stayed locked for {patience_s:g} s. "
                "Another process is writing to it; see which one holds the file, then run this step again."
            ) from error
        raise RegistryError(f"Cannot {what} in {where}: {error}") from error


def is_locked(error: BaseException) -> bool:
    """True if the error, or the one that caused it, is SQLite's refusal to let two write at once."""
    seen: BaseException | None = error
    while seen is not None:
        if any(words in str(seen) for words in LOCKED):
            return True
        seen = seen.__cause__
    return False


@functools.cache
def initialise(tracking_uri: str, patience_s: float) -> None:
    """Create the tables of a store that has none. Safe from many processes at once; once per process it does anything.

    Six processes that open a fresh SQLite file together die in each other's migrations, so the first one is let in
    alone. Write-ahead logging lets the MLflow UI read while a run is being written.
    """
    path = sqlite_path(tracking_uri)
    if path is None:
        call("open MLflow's store", tracking_uri, lambda: _touch(tracking_uri), patience_s=patience_s)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with in_turn(path.with_suffix(".lock")):
        call("open MLflow's store", tracking_uri, lambda: _use_write_ahead_log(path), patience_s=patience_s)
        call("open MLflow's store", tracking_uri, lambda: _touch(tracking_uri), patience_s=patience_s)


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a SQLite store, None for a server or another database."""
    return Path(tracking_uri.removeprefix(SQLITE_PREFIX)) if tracking_uri.startswith(SQLITE_PREFIX) else None


def _touch(tracking_uri: str) -> None:
    for chatty in ("alembic", "mlflow.store.db.utils"):  # 60 lines of migrations tell a user nothing
        logging.getLogger(chatty).setLevel(logging.WARNING)
    client(tracking_uri).search_experiments(max_results=1)


def _use_write_ahead_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
