"""The lake: Delta tables on a local folder or on S3, whole partitions replaced in one commit.

Belongs here: reading, writing and the history of tables. Does not belong here: what stands in them, and whole files
(`objects.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import dagster as dg
import deltalake
import polars as pl
from deltalake.exceptions import DeltaError, TableNotFoundError

from resources.errors import LakeError
from resources.lake_commits import PROPERTIES, WRITER, Commit, CommitRecord, TableVersion, record, retrying
from resources.lake_content import evolved, fitted, is_same, refuse_unknown_types

__all__ = ["PARTITION_KEY", "Commit", "CommitRecord", "Lake", "TableVersion"]

PARTITION_KEY: Final = "partition_key"
"""The hive partition column of every partitioned table: the Dagster partition key, as text."""


class Lake(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """Tables by name, such as `churn/raw_orders`. Every write is one commit: whole, or it never happened.

    Attributes:
        root: A local folder or `s3://bucket/prefix`.
        storage_options: For S3, what the AWS variables do not say (`aws_endpoint_url`, `aws_allow_http`...).
    """

    root: str
    storage_options: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it

    def write(
        self,
        table: str,
        frame: pl.DataFrame,
        *,
        partitions: Sequence[str] | None,
        commit: Commit,
        schema_evolution: bool = False,
    ) -> TableVersion:
        """Replace exactly `partitions` (or the whole table) with `frame`, in one commit.

        A partition without rows in `frame` ends up empty. The table is made if there is none. If it holds exactly
        these rows already (in any order), nothing is committed and the version stays. Writers of other partitions
        at the same time do not disturb; of two writers of one partition the later wins.

        Args:
            table: Name of the table.
            frame: Shape (n >= 0, columns), with a text column `partition_key` if `partitions` are given.
            partitions: Keys to replace; None replaces the whole of an unpartitioned table.
            commit: Who writes.
            schema_evolution: Allow `frame` to have more or fewer columns than the table; rows elsewhere read null in
                a new column, and the new rows in a missing one. The type of a column can never change.

        Raises:
            LakeError: If rows lie outside `partitions`, the columns or types are not the table's, a type does not
                survive in Delta, or the store fails.
        """
        refuse_unknown_types(frame, self.uri(table))
        keys = None if partitions is None else sorted(set(partitions))
        if keys is not None:
            self._refuse_strangers(table, frame, keys)
        with self._named("write", table):
            return retrying()(self._replace, table, frame, keys, commit, schema_evolution)

    def append(
        self, table: str, frame: pl.DataFrame, commit: Commit, *, schema_evolution: bool = False
    ) -> TableVersion:
        """Add rows to an unpartitioned table (a ledger), in one commit; none are touched. No rows: no commit.

        Raises:
            LakeError: If the columns or types are not the table's, it is partitioned, or the store fails.
        """
        refuse_unknown_types(frame, self.uri(table))
        with self._named("append to", table):
            return retrying()(self._append, table, frame, commit, schema_evolution)

    def delete_partitions(self, table: str, partitions: Sequence[str], commit: Commit) -> TableVersion:
        """Empty `partitions` in one commit; those without rows stay as they are.

        Raises:
            LakeError: If there is no such table, it is not partitioned, or the store fails.
        """
        empty = pl.DataFrame(schema=_schema(self._opened(table)))
        return self.write(table, empty, partitions=partitions, commit=commit)

    def scan(self, table: str, *, version: int | None = None, partitions: Sequence[str] | None = None) -> pl.LazyFrame:
        """The rows of a table, now or at a version; of `partitions` only, and then no other file is opened.

        The order of the rows is not promised. Partitions that hold nothing give no rows.

        Raises:
            LakeError: If there is no such table or version, or the store fails.
        """
        delta = self._opened(table, version)
        rows = pl.scan_delta(delta, storage_options=self.options)
        if partitions is None:
            return rows
        self._refuse_other_partitioning(table, delta, is_partitioned=True)
        return rows.filter(pl.col(PARTITION_KEY).is_in(list(partitions)))

    def version(self, table: str) -> int | None:
        """The number of the current version; None if there is no such table.

        Raises:
            LakeError: If the store fails.
        """
        with self._named("open", table):
            delta = self._found(table)
        return None if delta is None else int(delta.version())

    def partitions(self, table: str) -> set[str]:
        """Keys of the partitions that hold rows; none if there is no such table.

        Raises:
            LakeError: If the table is not partitioned, or the store fails.
        """
        with self._named("open", table):
            delta = self._found(table)
        if delta is None:
            return set()
        self._refuse_other_partitioning(table, delta, is_partitioned=True)
        return {str(values[PARTITION_KEY]) for values in delta.partitions()}

    def history(self, table: str) -> list[CommitRecord]:
        """All commits of a table, newest first.

        Raises:
            LakeError: If there is no such table, or the store fails.
        """
        return [record(entry) for entry in self._opened(table).history()]

    def uri(self, table: str) -> str:
        """Where a table is."""
        return f"{self.root.rstrip('/')}/{table}"

    @property
    def options(self) -> dict[str, str]:
        """How the store is reached, in Delta's terms."""
        # Without conditional puts two writers on S3 could both believe that they made the same version.
        defaults = {"aws_conditional_put": "etag"} if self.root.startswith("s3://") else {}
        return {**defaults, **self.storage_options}

    def _replace(
        self, table: str, frame: pl.DataFrame, keys: list[str] | None, commit: Commit, schema_evolution: bool
    ) -> TableVersion:
        delta = self._opened_or_made(table, frame, keys, commit)
        schema = _schema(delta)
        rows = (evolved if schema_evolution else fitted)(frame, schema, self.uri(table))
        there = pl.scan_delta(delta, storage_options=self.options)
        there = there if keys is None else there.filter(pl.col(PARTITION_KEY).is_in(keys))
        if rows.schema != schema or not is_same(rows, there.collect()):
            deltalake.write_deltalake(
                delta,
                rows,
                mode="overwrite",
                predicate=None if keys is None else _any_of(keys),
                schema_mode=None if rows.schema == schema else "merge",
                writer_properties=WRITER,
                commit_properties=commit.properties,
            )
        return TableVersion(table, int(delta.version()))

    def _append(self, table: str, frame: pl.DataFrame, commit: Commit, schema_evolution: bool) -> TableVersion:
        delta = self._opened_or_made(table, frame, None, commit)
        rows = (evolved if schema_evolution else fitted)(frame, _schema(delta), self.uri(table))
        if not rows.is_empty():
            properties = commit.properties  # merging changes nothing where the columns are those of the table
            deltalake.write_deltalake(
                delta, rows, mode="append", schema_mode="merge", writer_properties=WRITER, commit_properties=properties
            )
        return TableVersion(table, int(delta.version()))

    def _opened_or_made(
        self, table: str, frame: pl.DataFrame, keys: list[str] | None, commit: Commit
    ) -> deltalake.DeltaTable:
        """The table, made empty if there is none, so that of several first writers none overwrites another."""
        delta = self._found(table)
        if delta is None:
            try:
                delta = deltalake.DeltaTable.create(
                    self.uri(table),
                    deltalake.Schema.from_arrow(frame.schema),
                    partition_by=None if keys is None else [PARTITION_KEY],
                    configuration=PROPERTIES,
                    storage_options=self.options,
                    commit_properties=commit.properties,
                )
            except DeltaError:
                delta = self._found(table)  # another writer was first
                if delta is None:
                    raise
        self._refuse_other_partitioning(table, delta, is_partitioned=keys is not None)
        return delta

    def _found(self, table: str, version: int | None = None) -> deltalake.DeltaTable | None:
        try:
            return deltalake.DeltaTable(self.uri(table), version=version, storage_options=self.options)
        except TableNotFoundError:
            return None

    def _opened(self, table: str, version: int | None = None) -> deltalake.DeltaTable:
        with self._named("open", table if version is None else f"{table} at version {version}"):
            delta = self._found(table, version)
        if delta is None:
            raise LakeError(f"there is no table {table!r} at {self.uri(table)}; materialise the asset that writes it")
        return delta

    def _refuse_strangers(self, table: str, frame: pl.DataFrame, keys: Sequence[str]) -> None:
        if frame.schema.get(PARTITION_KEY) != pl.String():
            raise LakeError(
                f"{self.uri(table)}: partitions are given, but the rows have no text column {PARTITION_KEY!r}"
            )
        strangers = frame.filter(~pl.col(PARTITION_KEY).is_in(list(keys)).fill_null(False))
        if not strangers.is_empty():
            found = strangers[PARTITION_KEY].unique().sort().to_list()[:10]
            raise LakeError(
                f"{self.uri(table)}: {len(strangers)} rows lie outside the {len(keys)} partitions to be written, in "
                f"{found}; nothing was written"
            )

    def _refuse_other_partitioning(self, table: str, delta: deltalake.DeltaTable, *, is_partitioned: bool) -> None:
        columns = delta.metadata().partition_columns
        if columns != ([PARTITION_KEY] if is_partitioned else []):
            raise LakeError(
                f"{self.uri(table)} is partitioned by {columns or 'nothing'}; "
                f"{'leave out' if is_partitioned else 'give'} partitions, or use another table"
            )

    @contextmanager
    def _named(self, verb: str, what: str) -> Iterator[None]:
        """Turn a failure of the store into one sentence that says what was attempted, and where."""
        try:
            yield
        except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
            raise LakeError(f"cannot {verb} {what} in the lake at {self.root}: {error}") from error


def _schema(delta: deltalake.DeltaTable) -> pl.Schema:
    return pl.scan_delta(delta).collect_schema()


def _any_of(keys: Sequence[str]) -> str:
    quoted = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)
    return f"{PARTITION_KEY} IN ({quoted})"
