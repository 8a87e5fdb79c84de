"""`feedback`: the labels that the endpoint was told, by the day they came, read back from its journal.

Belongs here: the asset, its checks, and what it shows. Does not belong here: what a record means and which label holds
(`feedback_labels.py`), and who uses it (`performance_rows.py`).

The endpoint need not run. Labels whose segments are gone, because they were read before, stay.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.code_version import code_version
from assets.contracts import PARTITION_KEY, UseCase
from assets.stages.common import (
    RETRY_IO,
    asset_facts,
    asset_key,
    commit_of,
    partitions_definition,
    preview,
    table_name,
    table_result,
)
from assets.stages.feedback_labels import TABLE, LabelDay, read_labels
from assets.stages.logged_segments import LABEL_SEGMENTS, note_shares
from assets.stages.segment_days import intact_result, intact_spec
from resources.lake import Lake
from resources.serving.client import Endpoint
from resources.serving.logged import label_segments

INTACT: Final = "every_line_of_the_journal_is_whole"
RESOLVED: Final = "labels_are_about_known_answers"


def build_feedback(use_case: UseCase) -> dg.AssetsDefinition:
    """The table of labels that came late."""
    key = asset_key(use_case, TABLE)

    @dg.asset(
        key=key,
        deps=[asset_key(use_case, "prediction_log")],
        **asset_facts(use_case, TABLE, "deltalake", "polars"),
        description="Labels that the endpoint was told, by the day they came, without repetitions. Those of an answer "
        "are given its entity by `prediction_log`.",
        partitions_def=partitions_definition(use_case.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=code_version(f"{__name__}:read_labels"),
        retry_policy=RETRY_IO,
        check_specs=[
            intact_spec(key, INTACT),
            dg.AssetCheckSpec(
                RESOLVED, asset=key, description="Every label by prediction id is of an answer whose entity is known."
            ),
        ],
    )
    def feedback(
        context: dg.AssetExecutionContext, lake: Lake, endpoint_server: Endpoint
    ) -> Iterator[dg.MaterializeResult[None]]:
        keys, commit = sorted(context.partition_keys), commit_of(context, key)
        segments = label_segments(endpoint_server, use_case.name)
        made = {}
        for each in keys:
            found = made[each] = read_labels(use_case, lake, segments, each)
            # The ledger last: a segment goes by that record.
            version = lake.write(table_name(use_case, TABLE), found.rows, partitions=[each], commit=commit)
            note_shares(use_case, lake, LABEL_SEGMENTS, each, found.found.shares, commit)
            context.add_asset_metadata({"labels": len(found.rows)}, partition_key=each)
            context.log.info(f"{each}: {len(found.rows):,} labels, {found.unresolved:,} of answers not on record")
        days = [*made.values()]
        yield table_result(
            key,
            lake,
            version,
            sum(len(day.rows) for day in days),
            keys=keys,
            metadata=_metadata(made),
            check_results=[intact_result(INTACT, (d for day in days for d in day.found.damage)), _resolved(days)],
        )

    return feedback


def _resolved(days: Sequence[LabelDay]) -> dg.AssetCheckResult:
    """A label that nobody can place changes nothing; that there is one is a matter for whoever sent it."""
    unresolved = sum(day.unresolved for day in days)
    return dg.AssetCheckResult(
        check_name=RESOLVED,
        passed=not unresolved,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"labels_of_unknown_answers": unresolved},
    )


def _metadata(made: dict[str, LabelDay]) -> dict[str, Any]:
    rows = pl.concat([day.rows for day in made.values()])
    return {
        "preview": preview(rows.select(PARTITION_KEY, pl.exclude(PARTITION_KEY))),
        "partitions_without_labels": [key for key, day in made.items() if day.rows.is_empty()],
        "repetitions_left_out": sum(day.repeated for day in made.values()),
    }
