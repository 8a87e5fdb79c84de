"""What all stages share: how an asset is named, described and bound to partitions, and how it reads and writes.

Belongs here: helpers that two or more stages need. Does not belong here: what any one stage does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

import dagster as dg
import polars as pl

from assets.contracts import PARTITION_KEY, Column, Partitions, UseCase
from assets.reports import markdown
from resources.errors import InputError, LakeError
from resources.lake import Commit, Lake, TableVersion
from resources.registry import MlflowModelRegistry

PREVIEW_COLUMNS = 12
"""Columns of a preview; a materialisation of 243 days keeps 243 copies of it."""
PREVIEW_CHARACTERS = 40
RETRY_IO = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
"""For stages that only read and write: a store that hiccups is asked again; malformed input is not (`refused`)."""


def asset_key(use_case: UseCase, name: str) -> dg.AssetKey:
    """Key of an asset of this use case."""
    return dg.AssetKey([use_case.name, name])


def table_name(use_case: UseCase, name: str) -> str:
    """Name of the lake table behind an asset."""
    return f"{use_case.name}/{name}"


class AssetFacts(TypedDict):
    """What the assets of a stage have in common."""

    group_name: str
    owners: list[str]
    tags: dict[str, str]
    kinds: set[str]


def asset_facts(use_case: UseCase, stage: str, *kinds: str) -> AssetFacts:
    """Group, owner, tags and kinds in which assets of a stage agree."""
    return AssetFacts(group_name=use_case.name, owners=[use_case.owner], tags={"stage": stage}, kinds=set(kinds))


def partitions_definition(partitions: Partitions) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of a use case as Dagster knows them."""
    end = None if partitions.end is None else partitions.following(partitions.key(partitions.end))
    start, zone = str(partitions.start), partitions.timezone
    if partitions.every == "week":
        return dg.WeeklyPartitionsDefinition(start_date=start, end_date=end, timezone=zone, day_offset=1)  # Monday
    if partitions.every == "month":
        return dg.MonthlyPartitionsDefinition(start_date=start, end_date=end, timezone=zone)
    return dg.DailyPartitionsDefinition(start_date=start, end_date=end, timezone=zone)


def look_back(partitions: Partitions, days: int) -> dg.TimeWindowPartitionMapping:
    """A partition depends on itself and on those that the `days` before it fall into, as far as they exist."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-partitions.reach(days), end_offset=0, allow_nonexistent_upstream_partitions=True
    )


def day_of(use_case: UseCase) -> pl.Expr:
    """The local day of a feature row, by which it is split, resampled and shown: a date.

    It is the partition key where partitions are days: what the key says is local already.
    """
    if use_case.partitions.every == "day":
        return pl.col(PARTITION_KEY).str.to_date("%Y-%m-%d")
    return use_case.partitions.local_day(pl.col(use_case.event_time))


def partition_keys(context: dg.AssetExecutionContext) -> list[str] | None:
    """The partitions of this run in order; None for an asset without partitions, also in a run over partitions."""
    return None if context.assets_def.partitions_def is None else sorted(context.partition_keys)


def column_schema(columns: Mapping[str, Column]) -> dg.TableSchema:
    """Declared columns for the Dagster UI, with units and with the clock each value waits for."""

    def described(column: Column) -> str:
        unit = f" [{column.unit}]" if column.unit else ""
        clock = f" Known at `{column.known_at}`." if column.known_at else ""
        return f"{column.description}{unit}{clock}"

    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=name,
                type=str(column.dtype),
                description=described(column),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for name, column in columns.items()
        ]
    )


def commit_of(context: dg.AssetExecutionContext, key: dg.AssetKey) -> Commit:
    """Who writes: the Dagster run and the code version of the asset."""
    return Commit(
        dagster_run_id=context.run.run_id, code_version=context.assets_def.code_versions_by_key.get(key) or "undeclared"
    )


def table_result(
    key: dg.AssetKey,
    lake: Lake,
    version: TableVersion,
    rows: int,
    *,
    keys: Sequence[str] | None,
    metadata: Mapping[str, Any] | None = None,
    check_results: list[dg.AssetCheckResult] | None = None,
) -> dg.MaterializeResult[None]:
    """The materialisation of a lake table, of partitions `keys` if it has any: its version is its data version."""
    return dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(f"v{version.number}"),
        metadata={
            **_counted(rows, keys),
            "lake/version": version.number,
            "lake/uri": lake.uri(version.table),
            **(metadata or {}),
        },
        check_results=check_results or [],
    )


def _counted(rows: int, keys: Sequence[str] | None) -> dict[str, int]:
    """Rows under the name the UI knows; those of many days are not the rows of each, and are not called so."""
    if keys is None:
        return {"dagster/row_count": rows}
    return {"dagster/partition_row_count": rows} if len(keys) == 1 else {"rows_of_the_run": rows}


def preview(frame: pl.DataFrame, rows: int = 5) -> dg.MetadataValue:
    """The first rows and columns as a Markdown table for the UI.

    Written out here, because `pl.Config` sets environment variables, which crashes a process whose other threads read
    them at that moment.
    """
    shown = frame.head(rows).select(frame.columns[:PREVIEW_COLUMNS])
    cells = [[None if v is None else str(v)[:PREVIEW_CHARACTERS] for v in row] for row in shown.rows()]
    return dg.MetadataValue.md(markdown.table(shown.columns, cells))


def pictures(registry: MlflowModelRegistry, run_id: str, paths: Iterable[str]) -> dg.MetadataValue:
    """Plots of an MLflow run for the UI, from the MLflow server while that runs.

    Not as data inside the Markdown: Dagster hides Markdown of over 1,000 characters behind a click.
    """
    return dg.MetadataValue.md("\n\n".join(f"![{path}]({registry.file_url(run_id, path)})" for path in paths))


@contextmanager
def frozen_rows(table: str, version: int) -> Iterator[None]:
    """Around reading an old version of a lake table, which outlives its files: a LakeError that names it."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(f"the rows of {table}, version {version}, cannot be read: {error}") from error


@contextmanager
def refused() -> Iterator[None]:
    """Turn malformed input into a failure that says so and is not tried again: it will not mend itself."""
    try:
        yield
    except InputError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
