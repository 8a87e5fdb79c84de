"""`raw_<table>`: the landed files as they came, typed, with where they came from.

Belongs here: reading what has arrived and the gate on its shape. Does not belong here: judging values
(`cleaned.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from assets.code_version import code_version
from assets.contracts import PARTITION_KEY, SourceTable, UseCase
from assets.logic.intake import typed
from assets.stages.common import (
    RETRY_IO,
    asset_facts,
    asset_key,
    column_schema,
    commit_of,
    partition_keys,
    partitions_definition,
    preview,
    refused,
    table_name,
    table_result,
)
from assets.stages.freshness import freshness
from resources.errors import InputError
from resources.lake import Lake
from resources.landing import LandingZone
from resources.objects import ObjectStore
from resources.sources import Arrival

LINEAGE = ("source_uri", "source_sha256", "ingested_at")
"""Where a raw row came from. `ingested_at` is when its file landed (UTC), so ingesting it again writes the same bytes;
when the ingestion itself ran stands in the table's commit log."""


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What was read: typed rows with lineage, shape (n, landed columns + 4), and the partitions without a file."""

    rows: pl.DataFrame
    missing: list[str]


def build_raw(use_case: UseCase, table: SourceTable) -> dg.AssetsDefinition:
    """The asset that takes in what has landed for one table."""
    key = asset_key(use_case, f"raw_{table.name}")

    @dg.asset(
        key=key,
        **asset_facts(use_case, "raw", "deltalake", "polars"),
        description=f"{table.description} As landed, typed, with source, sha256 and time of landing.",
        metadata={"dagster/column_schema": column_schema(table.columns)},
        partitions_def=partitions_definition(use_case.partitions) if table.is_partitioned else None,
        backfill_policy=dg.BackfillPolicy.single_run() if table.is_partitioned else None,
        code_version=raw_code_version(table),
        retry_policy=RETRY_IO,
        freshness_policy=freshness(use_case, "raw") if table.is_partitioned else None,
        check_specs=[
            dg.AssetCheckSpec("has_rows", asset=key, description="Something landed, and it holds rows."),
            dg.AssetCheckSpec(
                "every_partition_has_arrived", asset=key, description="No partition of the run lacks its file."
            ),
        ],
    )
    def raw(
        context: dg.AssetExecutionContext, landing: LandingZone, lake: Lake
    ) -> Iterator[dg.MaterializeResult[None]]:
        keys = partition_keys(context)
        with refused():
            intake = take_in(table, landing.store, keys)
        commit = commit_of(context, key)
        # A partition whose file is absent keeps what it has: an emptied landing zone must not empty the lake.
        arrived = None if keys is None else [k for k in keys if k not in intake.missing]
        version = lake.write(table_name(use_case, f"raw_{table.name}"), intake.rows, partitions=arrived, commit=commit)
        context.log.info(f"{len(intake.rows):,} rows of {table.name} from {_span(keys)}")
        yield table_result(
            key,
            lake,
            version,
            len(intake.rows),
            keys=keys,
            metadata={"preview": preview(intake.rows.drop(LINEAGE)), "not_arrived": intake.missing},
            check_results=[
                dg.AssetCheckResult(check_name="has_rows", passed=len(intake.rows) > 0, severity=_severity(table)),
                dg.AssetCheckResult(
                    check_name="every_partition_has_arrived",
                    passed=not intake.missing,
                    severity=dg.AssetCheckSeverity.WARN,  # a required table has failed by now
                    metadata={"not_arrived": intake.missing},
                ),
            ],
        )

    return raw


def raw_code_version(table: SourceTable) -> str:
    """Code version of a raw table: how its files are read and typed, and what is declared of them."""
    return code_version(f"{__name__}:take_in", values=(table.columns, table.source))


def take_in(table: SourceTable, landing: ObjectStore, keys: Sequence[str] | None) -> Intake:
    """Read and type what has landed of a table, for the given partitions, or the whole file.

    All bad files of a run are named in one error, so that nobody repairs them one run at a time.

    Raises:
        InputError: If a file is missing (unless the table is optional), unreadable, or not as declared.
    """
    arrivals = table.source.arrivals(landing)
    wanted: list[str | None] = [None] if keys is None else list(keys)
    missing = [str(k or table.name) for k in wanted if k not in arrivals]
    if missing and not table.is_optional:
        raise InputError(
            f"{table.name}: no file has landed under {landing.root} for {_some(missing)}; expected {table.source}. "
            "Deliver it, or leave these partitions out of the run."
        )
    frames, faults = [], []
    for arrival in (arrivals[k] for k in wanted if k in arrivals):
        try:
            frames.append(_read(table, landing, arrival))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError(f"{table.name}: {len(faults)} landed file(s) refused, nothing was written. " + _some(faults))
    return Intake(rows=pl.concat(frames) if frames else _no_rows(table), missing=missing)


def _read(table: SourceTable, landing: ObjectStore, arrival: Arrival) -> pl.DataFrame:
    landed = table.source.read(landing, arrival)
    return typed(landed.frame, table.columns, where=arrival.uri).with_columns(
        source_uri=pl.lit(arrival.uri),
        source_sha256=pl.lit(landed.sha256),
        ingested_at=pl.lit(arrival.arrived_at, dtype=pl.Datetime("us", "UTC")),
        **({PARTITION_KEY: pl.lit(arrival.partition)} if table.is_partitioned else {}),
    )


def _no_rows(table: SourceTable) -> pl.DataFrame:
    schema = {name: column.dtype for name, column in table.columns.items()}
    lineage = {"source_uri": pl.String(), "source_sha256": pl.String(), "ingested_at": pl.Datetime("us", "UTC")}
    partition = {PARTITION_KEY: pl.String()} if table.is_partitioned else {}
    return pl.DataFrame(schema={**schema, **lineage, **partition})


def _severity(table: SourceTable) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.WARN if table.is_optional else dg.AssetCheckSeverity.ERROR


def _span(keys: Sequence[str] | None) -> str:
    if not keys:
        return "the whole file"
    return keys[0] if len(keys) == 1 else f"{len(keys)} partitions, {keys[0]} to {keys[-1]}"


def _some(texts: Sequence[str], most: int = 10) -> str:
    return "; ".join(texts[:most]) + (f"; and {len(texts) - most} more" if len(texts) > most else "")
