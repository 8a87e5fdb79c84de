"""`cleaned_<table>` and `quarantined_<table>`: the rows that hold, and every rejected row with its reason.

Belongs here: applying a table's rules, its `clean` and its expectations. Does not belong here: the rules themselves;
a use case declares them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from assets.checks.expectations import told, validate
from assets.code_version import code_version, name_of
from assets.contracts import PARTITION_KEY, SourceTable, UseCase
from assets.logic.intake import quarantine
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
from assets.stages.raw import LINEAGE
from resources.errors import InputError
from resources.lake import Lake

SEVERITY = {"critical": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What became of the raw rows: `rows` as declared in `cleaned_columns`, `rejected` as landed plus `reason`."""

    rows: pl.DataFrame
    rejected: pl.DataFrame


def build_cleaned(use_case: UseCase, table: SourceTable) -> dg.AssetsDefinition:
    """The two assets that split what landed into what is used and what is kept aside, and the gate on the former."""
    key, aside = asset_key(use_case, f"cleaned_{table.name}"), asset_key(use_case, f"quarantined_{table.name}")
    upstream = [asset_key(use_case, f"raw_{table.name}")]
    upstream += [asset_key(use_case, f"cleaned_{name}") for name in table.lookups]
    version = cleaned_code_version(table)
    facts = asset_facts(use_case, "cleaned", "deltalake", "polars", "greatexpectations")

    @dg.multi_asset(
        name=f"{use_case.name}__cleaned_{table.name}",
        specs=[
            dg.AssetSpec(
                key,
                deps=upstream,
                description=f"{table.description} Only rows that no rule rejects, cleaned.",
                metadata={"dagster/column_schema": column_schema(table.cleaned_columns)},
                code_version=version,
                **facts,
            ),
            dg.AssetSpec(
                aside,
                deps=upstream[:1],
                description=f"Rows of {table.name} that a rule rejected, as landed, with the rule's name. Rules: "
                + "; ".join(f"`{r.name}`: {r.description}" for r in table.rules),
                code_version=version,
                **facts,
            ),
        ],
        partitions_def=partitions_definition(use_case.partitions) if table.is_partitioned else None,
        backfill_policy=dg.BackfillPolicy.single_run() if table.is_partitioned else None,
        retry_policy=RETRY_IO,
        check_specs=_check_specs(table, key),
    )
    def cleaned(context: dg.AssetExecutionContext, lake: Lake) -> Iterator[dg.MaterializeResult[None]]:
        keys = partition_keys(context)
        raw = lake.scan(table_name(use_case, f"raw_{table.name}"), partitions=keys).collect()
        lookups = {n: lake.scan(table_name(use_case, f"cleaned_{n}")) for n in table.lookups}
        with refused():
            result = clean_table(table, raw, lookups)
        commit = commit_of(context, key)
        written = lake.write(table_name(use_case, key.path[-1]), result.rows, partitions=keys, commit=commit)
        kept = lake.write(table_name(use_case, aside.path[-1]), result.rejected, partitions=keys, commit=commit)
        context.log.info(f"{len(result.rows):,} rows of {table.name} hold, {len(result.rejected):,} are quarantined")
        reasons = result.rejected["reason"].value_counts(sort=True)
        yield table_result(aside, lake, kept, len(result.rejected), keys=keys, metadata={"reasons": preview(reasons)})
        yield table_result(
            key,
            lake,
            written,
            len(result.rows),
            keys=keys,
            metadata={"preview": preview(result.rows), "quarantined": len(result.rejected)},
            check_results=list(_check_results(table, key, len(raw), result)),
        )

    return cleaned


def cleaned_code_version(table: SourceTable) -> str:
    """Code version of a cleaned table and of its quarantine: its `clean`, its rules, what is declared and expected."""
    rules = [(rule.name, rule.rejects) for rule in table.rules]
    declared = (table.columns, table.cleaned_columns, table.key, rules, table.expectations)
    return code_version(f"{__name__}:clean_table", table.clean, values=declared)


def clean_table(table: SourceTable, raw: pl.DataFrame, lookups: Mapping[str, pl.LazyFrame]) -> Cleaned:
    """Split raw rows by the table's rules and clean those that pass.

    A key is judged within its partition, so that a range of days gives what the days give one by one.

    Args:
        table: The declaration.
        raw: Rows of the raw table, shape (n, landed columns + lineage [+ partition key]).
        lookups: The cleaned tables that `table.clean` asked for.

    Raises:
        InputError: If `clean` returned other columns or types than declared, or another number of rows.
    """
    partition = [PARTITION_KEY] if table.is_partitioned else []
    split = quarantine(raw.drop(LINEAGE), table.rules, [*table.key, *partition] if table.key else [])
    rows = table.clean(split.valid.lazy(), lookups).collect()
    expected = {name: column.dtype for name, column in table.cleaned_columns.items()}
    expected |= dict.fromkeys(partition, pl.String())
    if dict(rows.schema) != expected:
        raise InputError(
            f"{name_of(table.clean)} returned other columns than {table.name!r} declares: "
            f"{_differences(dict(rows.schema), expected)}"
        )
    if len(rows) != len(split.valid):
        raise InputError(
            f"{name_of(table.clean)} turned {len(split.valid)} rows of {table.name!r} into {len(rows)}; "
            "rows are rejected by a named Rule, never dropped by clean"
        )
    return Cleaned(rows=rows, rejected=split.rejected)


def _differences(found: Mapping[str, object], expected: Mapping[str, object]) -> str:
    names = sorted({n for n in {*found, *expected} if found.get(n) != expected.get(n)})
    if not names:
        return f"the order is {list(found)}, declared is {list(expected)}"
    return "; ".join(f"{n} is {found.get(n, 'absent')}, declared {expected.get(n, 'not at all')}" for n in names)


def _check_specs(table: SourceTable, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    accounted = dg.AssetCheckSpec(
        "every_row_is_accounted_for",
        asset=key,
        blocking=True,
        description="Cleaned and quarantined rows add up to the raw rows.",
    )
    return [accounted] + [
        dg.AssetCheckSpec(
            e.check,
            asset=key,
            blocking=e.severity == "critical",
            description=told(e),
        )
        for e in table.expectations
    ]


def _check_results(
    table: SourceTable, key: dg.AssetKey, raw_rows: int, result: Cleaned
) -> Iterator[dg.AssetCheckResult]:
    counts: dict[str, int] = {"raw": raw_rows, "cleaned": len(result.rows), "quarantined": len(result.rejected)}
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name="every_row_is_accounted_for",
        passed=counts["raw"] == counts["cleaned"] + counts["quarantined"],
        metadata=counts,
    )
    is_absent = table.is_optional and not raw_rows
    for outcome in validate(result.rows, table.expectations):
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=outcome.check,
            passed=outcome.passed,
            # Dagster wants a result for each declared check; that an optional table is absent must not stop a run.
            severity=dg.AssetCheckSeverity.WARN if is_absent else SEVERITY[outcome.severity],
            description=outcome.why,
            metadata=dict(outcome.observed),
        )


def cleaned_frames(lake: Lake, use_case: UseCase, partitions: Sequence[str] | None) -> dict[str, pl.DataFrame]:
    """Every cleaned table of the use case: partitioned ones for `partitions` only (None: all), whole files whole."""
    return {
        t.name: lake.scan(
            table_name(use_case, f"cleaned_{t.name}"), partitions=partitions if t.is_partitioned else None
        ).collect()
        for t in use_case.tables
    }


def cleaned_partitions(lake: Lake, use_case: UseCase) -> list[str]:
    """Partitions in which any cleaned table of the use case holds rows, in order."""
    names = [table_name(use_case, f"cleaned_{t.name}") for t in use_case.tables if t.is_partitioned]
    return sorted({p for name in names for p in lake.partitions(name)})
