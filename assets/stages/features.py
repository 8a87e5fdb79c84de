"""`features`: one row per entity at its prediction time, and the label once it is known.

Belongs here: making the spine, calling the use case's `build_features`, and the gate. Does not belong here: any
history join; that is `assets/logic/point_in_time.py`, and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import dagster as dg
import polars as pl

from assets.checks.leakage import Difference, differing_features
from assets.code_version import code_version
from assets.contracts import LABEL_KNOWN_AT, LABEL_TYPES, PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.logic.point_in_time import History
from assets.stages.cleaned import cleaned_frames, cleaned_partitions
from assets.stages.common import (
    RETRY_IO,
    asset_facts,
    asset_key,
    commit_of,
    look_back,
    partitions_definition,
    preview,
    table_name,
    table_result,
)
from assets.stages.freshness import freshness
from resources.lake import Lake

LEAKAGE_SAMPLE = 24
"""Rows rebuilt with the future cut off, per run. A leak touches nearly every row, so two dozen find it."""


def build_features_asset(use_case: UseCase) -> dg.AssetsDefinition:
    """The feature table of a use case, point in time."""
    key, days = asset_key(use_case, "features"), look_back_days(use_case)

    @dg.asset(
        key=key,
        deps=[
            dg.AssetDep(
                asset_key(use_case, f"cleaned_{t.name}"),
                partition_mapping=look_back(use_case.partitions, days) if t.is_partitioned else None,
            )
            for t in use_case.tables
        ],
        **asset_facts(use_case, "features", "deltalake", "polars"),
        description=(
            f"One row per {', '.join(use_case.entity) or f'row of {use_case.entity_table}'}, as known "
            f"{_spoken(use_case.prediction_lead)}{' at most' if use_case.asked_at is not None else ''} before "
            f"{use_case.event_time}. "
            f"Label `{use_case.target.name}`: {use_case.target.definition}."
        ),
        metadata={"dagster/column_schema": _column_schema(use_case)},
        partitions_def=partitions_definition(use_case.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=features_code_version(use_case),
        retry_policy=RETRY_IO,
        freshness_policy=freshness(use_case, "features"),
        check_specs=_check_specs(use_case, key),
    )
    def features(context: dg.AssetExecutionContext, lake: Lake) -> Iterator[dg.MaterializeResult[None]]:
        keys = sorted(context.partition_keys)
        history = load_history(lake, use_case, keys)
        context.log.info(f"history from {use_case.partitions.before(keys[0], days)} to {keys[-1]} is in memory")
        rows = feature_rows(use_case, history, keys)
        version = lake.write(
            table_name(use_case, "features"),
            rows,
            partitions=keys,
            commit=commit_of(context, key),
            schema_evolution=True,  # a declared feature more or less is a declared change
        )
        context.log.info(f"{len(rows):,} rows with {len(use_case.features)} features; now checking for leakage")
        leaks = find_leaks(use_case, rows, history)
        yield table_result(
            key,
            lake,
            version,
            len(rows),
            keys=keys,
            metadata={"preview": preview(rows), "features": len(use_case.features)},
            check_results=list(_check_results(use_case, rows, leaks)),
        )

    return features


def features_code_version(use_case: UseCase) -> str:
    """Code version of the feature table: the use case's functions, the point-in-time logic, what is declared."""
    target = (use_case.task, use_case.target.name, use_case.target.label, use_case.target.known_at)
    asked = (use_case.entity_table, use_case.entity, use_case.inputs, use_case.prediction_lead, use_case.asking)
    values = (use_case.features, asked, use_case.lookback, use_case.clocks, use_case.partitions.timezone, target)
    made = (f"{__name__}:load_history", f"{__name__}:feature_rows", use_case.build_features)
    return code_version(*made, values=values)


def look_back_days(use_case: UseCase) -> int:
    """Days before its own that a feature partition reads: lookback, lead, and a day for records under way."""
    return (use_case.lookback + use_case.prediction_lead) // timedelta(days=1) + 1


def load_history(lake: Lake, use_case: UseCase, keys: Sequence[str]) -> History:
    """All that the features of the given partitions may need, in memory."""
    first = use_case.partitions.before(keys[0], look_back_days(use_case))
    partitions = [p for p in cleaned_partitions(lake, use_case) if first <= p <= keys[-1]]
    return History(cleaned_frames(lake, use_case, partitions), use_case.clocks)


def feature_rows(use_case: UseCase, history: History, keys: Sequence[str]) -> pl.DataFrame:
    """Spine, features and label for every entity of the given partitions.

    Returns:
        Shape (n, inputs + 1 + features + label, its clock, partition key), ordered by prediction time and entity.
    """
    entities = history.tables[use_case.entity_table].filter(pl.col(PARTITION_KEY).is_in(list(keys)))
    spine = spine_of(use_case, entities).sort(use_case.row_order, maintain_order=True)
    inputs = spine.select(*use_case.inputs, PREDICTION_TIME)
    built = use_case.build_features(inputs, history)
    labels = spine.select(use_case.target.name, LABEL_KNOWN_AT, PARTITION_KEY)
    return pl.concat([built.select(*use_case.inputs, PREDICTION_TIME, *_new(use_case)), labels], how="horizontal")


def find_leaks(use_case: UseCase, rows: pl.DataFrame, history: History) -> list[Difference]:
    """Values that differ when sampled rows are rebuilt with the future cut off; see `differing_features`."""
    return differing_features(
        rows.select(*use_case.inputs, PREDICTION_TIME),
        rows.select(use_case.feature_names),
        history,
        use_case.build_features,
        use_case.feature_names,
        lookback=use_case.lookback,
        sample=LEAKAGE_SAMPLE,
        seed=use_case.seed,
    )


def spine_of(use_case: UseCase, entities: pl.DataFrame) -> pl.DataFrame:
    """Inputs, prediction time, label and its clock for rows of the cleaned entity table; nothing else of them."""
    table = use_case.table(use_case.entity_table)
    return entities.select(
        *use_case.inputs,
        use_case.asking.alias(PREDICTION_TIME),
        use_case.target.label.cast(LABEL_TYPES[use_case.task]).alias(use_case.target.name),
        (pl.col(use_case.target.known_at) + table.available_after).alias(LABEL_KNOWN_AT),
        PARTITION_KEY,
    )


def _new(use_case: UseCase) -> list[str]:
    """Features that are not inputs already."""
    return [name for name in use_case.feature_names if name not in use_case.inputs]


def _spoken(lead: timedelta) -> str:
    """A lead in words: `2 hours`, `1 day, 6 hours`, `30 minutes`."""
    minutes = lead // timedelta(minutes=1)
    parts = (("day", minutes // 1440), ("hour", minutes // 60 % 24), ("minute", minutes % 60))
    return ", ".join(f"{n} {unit}{'s' if n != 1 else ''}" for unit, n in parts if n) or "no time"


def _column_schema(use_case: UseCase) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(f.name, type=f.kind, description=f"{f.description}. Group: {f.group}.")
            for f in use_case.features
        ]
        + [
            dg.TableColumn(
                use_case.target.name, type=str(LABEL_TYPES[use_case.task]), description=use_case.target.definition
            )
        ]
    )


def _check_specs(use_case: UseCase, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    # Where nothing identifies a row, rows may repeat: that two are equal proves nothing.
    unique = dg.AssetCheckSpec("rows_are_unique", asset=key, blocking=True, description="One row per entity.")
    return [
        *([unique] if use_case.entity else []),
        dg.AssetCheckSpec(
            "features_do_not_know_the_future",
            asset=key,
            blocking=True,
            description="Rebuilt with all that came after prediction time cut off, sampled rows are the same.",
        ),
        dg.AssetCheckSpec(
            "no_answer_is_known_when_asked",
            asset=key,
            blocking=True,
            description="Every label came into the world after its question was asked: else features may hold it.",
        ),
        dg.AssetCheckSpec("labels_are_known", asset=key, description="Share of rows whose label has arrived."),
        dg.AssetCheckSpec(
            "no_feature_is_empty", asset=key, description="Every feature has a value in at least one row of the run."
        ),
    ]


def _check_results(
    use_case: UseCase, rows: pl.DataFrame, leaks: Sequence[Mapping[str, object]]
) -> Iterator[dg.AssetCheckResult]:
    named = sorted({str(leak["feature"]) for leak in leaks})
    yield dg.AssetCheckResult(
        check_name="features_do_not_know_the_future",
        passed=not named,
        description=f"These features change when the future is cut off: {named}" if named else None,
        metadata={"leaking": named, "rows_rebuilt": min(LEAKAGE_SAMPLE, len(rows))},
    )
    if use_case.entity:
        repeated = len(rows) - rows.select(use_case.entity).n_unique()
        facts = {"repeated_rows": repeated}
        yield dg.AssetCheckResult(check_name="rows_are_unique", passed=repeated == 0, metadata=facts)
    known = rows.filter(
        pl.col(use_case.target.name).is_not_null() & (pl.col(LABEL_KNOWN_AT) <= pl.col(PREDICTION_TIME))
    )
    yield dg.AssetCheckResult(
        check_name="no_answer_is_known_when_asked",
        passed=known.is_empty(),
        description=None
        if known.is_empty()
        else f"{len(known):,} labels were known when their question was asked, the first on "
        f"{known[PREDICTION_TIME][0]:%Y-%m-%d %H:%M}: ask earlier, or declare when labels become known",
        metadata={"rows_known_when_asked": len(known)},
    )
    labels = rows[use_case.target.name]
    positive = {"positive": int(labels.sum() or 0)} if use_case.task == "binary" else {}
    yield dg.AssetCheckResult(
        check_name="labels_are_known",
        passed=labels.count() > 0,
        severity=dg.AssetCheckSeverity.WARN,  # labels may simply be under way
        metadata={"labelled": labels.count(), "not_labelled": labels.null_count(), **positive},
    )
    empty = [n for n in use_case.feature_names if rows[n].null_count() == len(rows)]
    yield dg.AssetCheckResult(
        check_name="no_feature_is_empty",
        passed=not empty,
        severity=dg.AssetCheckSeverity.WARN,  # missing weather is answered with nulls, and recorded here
        metadata={"empty_features": empty},
    )
