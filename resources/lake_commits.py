"""Commits of lake tables: who wrote, which version came of it, and how it is written.

Belongs here: the values around one commit, and Delta's options for it. Does not belong here: the tables (`lake.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import deltalake
from deltalake.exceptions import CommitFailedError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

ATTEMPTS: Final = 10
"""Tries of one write. Only writers of the same partitions conflict, and each round one of them gets through."""
PROPERTIES: Final = {
    # A reader takes the last checkpoint and every commit since, on S3 at two requests each; Delta's own default is 100.
    "delta.checkpointInterval": "10",
    # Delta's own default forgets versions after 30 days; a model must be rebuilt from its versions years later.
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}
WRITER: Final = deltalake.WriterProperties(
    compression="ZSTD",
    compression_level=1,
    # Every column of every partition in a commit has a writer at once, and its dictionary would take 64 kB or more:
    # for 243 partitions x 77 columns x 900 rows about 1.4 GB, against 0.2 GB without.
    default_column_properties=deltalake.ColumnProperties(dictionary_enabled=False),
)


@dataclass(frozen=True, kw_only=True)
class Commit:
    """Who writes: goes into the metadata of the commit."""

    dagster_run_id: str
    code_version: str

    @property
    def properties(self) -> deltalake.CommitProperties:
        """The same as Delta takes it."""
        return deltalake.CommitProperties(custom_metadata=asdict(self))


@dataclass(frozen=True)
class TableVersion:
    """One exact state of one table."""

    table: str
    number: int


@dataclass(frozen=True, kw_only=True)
class CommitRecord:
    """One commit of a table's history. `commit` is None if another tool wrote it; `at` is UTC."""

    version: int
    at: datetime
    operation: str
    commit: Commit | None


def record(entry: Mapping[str, Any]) -> CommitRecord:
    """One entry of Delta's history."""
    ours = {name: entry[name] for name in ("dagster_run_id", "code_version") if name in entry}
    return CommitRecord(
        version=entry["version"],
        at=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
        operation=entry["operation"],
        commit=Commit(**ours) if len(ours) == 2 else None,
    )


def retrying() -> Retrying:
    """Tries again, after 0.05 to 2 s, while another writer of the same rows was faster; then its error stands."""
    return Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        reraise=True,
    )
