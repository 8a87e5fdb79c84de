"""Upkeep of lake tables: small files are put together, and files that nobody needs any more taken away.

Belongs here: compaction and vacuum. Does not belong here: which versions are needed (`pipelines/maintenance.py`), and
reading and writing rows (`lake.py`).

Delta's own vacuum puts itself on record in two commits. Training sets and data versions are known by the versions of
their tables, so every table would look changed, and the next line would train for nothing. Here Delta is only asked
which files may go.
"""

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import deltalake
from deltalake.exceptions import DeltaError

from resources.errors import LakeError
from resources.lake import Lake
from resources.lake_commits import WRITER, Commit, retrying

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem  # type: ignore[import-untyped]  # they ship no types

LOG: Final = "_delta_log"
ONE_HOUR: Final = timedelta(hours=1)
STRAY_HOURS: Final = 24
"""A file that no version names is left by a killed writer, or of one that has not committed yet; none takes a day."""


@dataclass(frozen=True, kw_only=True)
class Vacuumed:
    """Data files of a table that were taken away, or would be, and those that stay; sizes in bytes."""

    removed_files: int
    removed_bytes: int
    kept_files: int
    kept_bytes: int


def tables(lake: Lake, folder: str) -> list[str]:
    """Names of all tables in a folder of the lake, such as `churn/features`, in alphabetical order.

    Raises:
        LakeError: If the store fails.
    """
    from pyarrow.fs import FileSelector, FileType

    with _named("list the tables", f"{lake.root}/{folder}"):
        store = _files(lake, lake.root)
        found = store.get_file_info(FileSelector(folder, allow_not_found=True))
        folders = sorted(entry.path for entry in found if entry.type == FileType.Directory)
        return [path for path in folders if deltalake.DeltaTable.is_deltatable(lake.uri(path), lake.options)]


def compact(lake: Lake, table: str, commit: Commit, *, dry_run: bool = False) -> int:
    """Put small files of one partition together; how many there were. Where each has one already, nothing is committed.

    Rows and their order stay. A writer of the same partition at the same time wins, and compaction tries again.

    Raises:
        LakeError: If there is no such table, or the store fails.
    """

    def attempt() -> int:
        delta = deltalake.DeltaTable(lake.uri(table), storage_options=lake.options)
        partitions = [frozenset(values.items()) for values in _partition_values(delta)]
        small = len(partitions) - len(set(partitions))
        if not small or dry_run:
            return small
        done = delta.optimize.compact(writer_properties=WRITER, commit_properties=commit.properties)
        return int(done["numFilesRemoved"])

    with _named("compact", lake.uri(table)):
        return retrying()(attempt)


def vacuum(lake: Lake, table: str, *, keep: Collection[int], older_than: timedelta, dry_run: bool = False) -> Vacuumed:
    """Take away the data files that only versions replaced longer than `older_than` ago need, and strays.

    The current version, all that were current since, and those in `keep` stay readable. The log of commits stays.
    Killed half-way, every such version is still whole, and the next vacuum takes the rest.

    Raises:
        LakeError: If there is no such table or version to keep, or the store fails.
    """
    from pyarrow.fs import FileSelector, FileType

    hours = max(0, math.ceil(older_than / ONE_HOUR))
    with _named("vacuum", lake.uri(table)):
        delta = deltalake.DeltaTable(lake.uri(table), storage_options=lake.options)
        unneeded = delta.vacuum(
            hours,
            dry_run=True,
            enforce_retention_duration=False,  # the tables' own is for ever, so that no other tool takes files away
            full=hours >= STRAY_HOURS,
            keep_versions=sorted({*keep, int(delta.version())}),
        )
        store = _files(lake, lake.uri(table))
        found = store.get_file_info(FileSelector("", recursive=True))
        sizes = {f.path: f.size for f in found if f.type == FileType.File and not f.path.startswith(f"{LOG}/")}
        # Delta names files for ever that went long ago.
        going = sorted(sizes.keys() & set(unneeded))
        for path in going if not dry_run else []:
            store.delete_file(path)
    removed_bytes = sum(sizes[path] for path in going)
    return Vacuumed(
        removed_files=len(going),
        removed_bytes=removed_bytes,
        kept_files=len(sizes) - len(going),
        kept_bytes=sum(sizes.values()) - removed_bytes,
    )


def _partition_values(delta: deltalake.DeltaTable) -> Iterator[dict[str, object]]:
    """Of each file of the current version, the partition it is in."""
    columns = [f"partition.{name}" for name in delta.metadata().partition_columns]
    actions = delta.get_add_actions(flatten=True)
    values = [actions.column(name).to_pylist() for name in columns]
    for row in range(actions.num_rows):
        yield {name: column[row] for name, column in zip(columns, values, strict=True)}


def _files(lake: Lake, uri: str) -> "FileSystem":
    """The files under an address, reached as Delta reaches them."""
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    return PyFileSystem(DeltaStorageHandler(uri, lake.options))


@contextmanager
def _named(verb: str, where: str) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        raise LakeError(f"cannot {verb} at {where}: {error}") from error
