"""An MLflow store that has been migrated once for the session; new stores of this process begin as copies of it.

The migrations of a fresh SQLite file take 2 to 4 s of processor time, and a hundred tests want a store of their own.
The file they begin with is what the product's own code makes of none, and what it does with a file that it finds is its
own too. Child processes know nothing of this and migrate for themselves.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from resources import mlflow_store
from resources.mlflow_store import SQLITE_PREFIX
from tests.support.rooms import made_once

PATIENCE_S = 60.0


def template(room: Path) -> Path:
    """The migrated file under a folder that all workers share, made by whichever asks first."""
    return made_once(room / "mlflow_template", _migrate) / "mlflow.db"


def _migrate(folder: Path) -> None:
    path = folder / "migrated.db"
    mlflow_store.initialise(f"{SQLITE_PREFIX}{path}", PATIENCE_S)
    copy_store(path, folder / "mlflow.db")  # with nothing left in a write-ahead log


def copy_store(source: Path, target: Path) -> None:
    """Copy a SQLite file with what its write-ahead log holds; the copy is there whole or not at all."""
    half = target.with_suffix(".half")
    with closing(sqlite3.connect(source)) as from_file, closing(sqlite3.connect(half)) as to_file:
        from_file.backup(to_file)
    half.rename(target)


@contextmanager
def stores_begin_as_copies(room: Path) -> Iterator[None]:
    """Within the block, a store that is not there yet begins as a copy of the template."""
    first_step = mlflow_store._use_write_ahead_log

    def put_and_go_on(path: Path) -> None:
        if not path.exists() and path.name != "migrated.db":
            copy_store(template(room), path)
        first_step(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_store, "_use_write_ahead_log", put_and_go_on)
        yield
