"""`prediction_log`: what the endpoint answered, read back from its log, and how near its features were to the lake's.

Belongs here: the asset, its checks, and what it shows. Does not belong here: reading records (`logged_answers.py`),
which segments are due or done (`logged_segments.py`), and the comparison (`assets/logic/parity.py`).

The endpoint need not run, and is not asked. Answers whose segments are gone, because they were read before, stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.code_version import code_version
from assets.contracts import PARTITION_KEY, UseCase
from assets.reports import markdown
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
from assets.stages.features import look_back_days
from assets.stages.logged_answers import IDENTITY, LoggedDay, read_day
from assets.stages.logged_segments import note_read
from assets.stages.parity_rows import DayParity, day_parity
from assets.stages.segment_days import intact_result, intact_spec, with_known
from resources.lake import Commit, Lake, TableVersion
from resources.serving.client import Endpoint
from resources.serving.logged import LoggedSegment, log_folder, logged_segments

TABLE: Final = "prediction_log"
MOST_DIFFERING: Final = 0.01
"""Share of answers with any other feature than the lake's that is still taken for late and corrected records, which a
live feed has: those are about single rows. An endpoint whose history is a snapshot that nothing keeps current is far
above it, and a defect in the features is in nearly every row. It is a limit to look at, and stops nothing."""
INTACT: Final = "every_line_of_the_log_is_whole"
SHOWN: Final = 20
"""Features that are named one by one."""


@dataclass(frozen=True, kw_only=True)
class ReadDay:
    """One partition: what was read for it, and what came of it.

    Attributes:
        rows: Of the table, those of segments that are gone included.
    """

    key: str
    rows: pl.DataFrame
    day: LoggedDay
    parity: DayParity


def build_prediction_log(use_case: UseCase) -> dg.AssetsDefinition:
    """The table of what was answered."""
    key, days_back = asset_key(use_case, TABLE), look_back(use_case.partitions, look_back_days(use_case))

    @dg.asset(
        key=key,
        deps=[
            asset_key(use_case, "endpoint"),
            *(
                dg.AssetDep(
                    asset_key(use_case, f"cleaned_{t.name}"), partition_mapping=days_back if t.is_partitioned else None
                )
                for t in use_case.tables
            ),
        ],
        **asset_facts(use_case, TABLE, "deltalake", "polars"),
        description="What the endpoint answered on each day: inputs, features, version, score and latency, read from "
        "its log, each answer once. Smoke tests are left out.",
        partitions_def=partitions_definition(use_case.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=code_version(f"{__name__}:read", use_case.build_features),
        retry_policy=RETRY_IO,
        check_specs=_check_specs(key),
    )
    def prediction_log(
        context: dg.AssetExecutionContext, lake: Lake, endpoint_server: Endpoint
    ) -> Iterator[dg.MaterializeResult[None]]:
        keys, commit = sorted(context.partition_keys), commit_of(context, key)
        segments = logged_segments(log_folder(endpoint_server, use_case.name))
        made = []
        for each in keys:  # one at a time: of a busy endpoint only a day fits into memory
            found = read(use_case, lake, segments, each)
            version = keep(use_case, lake, found, commit)
            context.add_asset_metadata(_plotted(found), partition_key=each)
            context.log.info(
                f"{each}: {len(found.rows):,} answers, {found.parity.parity.rows:,} compared with the lake"
            )
            made.append(found)
        yield table_result(
            key,
            lake,
            version,
            sum(len(found.rows) for found in made),
            keys=keys,
            metadata=_metadata(made, segments),
            check_results=[
                _parity_result(made),
                intact_result(INTACT, (d for found in made for d in found.day.damage)),
            ],
        )

    return prediction_log


def read(use_case: UseCase, lake: Lake, segments: Sequence[LoggedSegment], key: str) -> ReadDay:
    """The answers of a partition, those that the lake has from segments that are gone included, and their parity."""
    day = read_day(use_case, segments, key)
    table = table_name(use_case, TABLE)
    rows = with_known(lake, table, key, day.rows, IDENTITY).sort("answered_at", *IDENTITY)
    return ReadDay(key=key, rows=rows, day=day, parity=day_parity(use_case, lake, rows))


def keep(use_case: UseCase, lake: Lake, found: ReadDay, commit: Commit) -> TableVersion:
    """Write the partition, and only then put on record what it was made from: a segment goes by that record."""
    table = table_name(use_case, TABLE)
    version = lake.write(table, found.rows, partitions=[found.key], commit=commit, schema_evolution=True)
    note_read(use_case, lake, found.key, found.day.shares, found.parity, commit)
    return version


def _check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            "online_features_equal_offline",
            asset=key,
            description=f"Recomputed from the lake, features differ in at most {MOST_DIFFERING:.0%} of the answers.",
        ),
        intact_spec(key, INTACT),
    ]


def _parity_result(made: Sequence[ReadDay]) -> dg.AssetCheckResult:
    """Over all partitions of the run; where nothing could be compared, that is said."""
    compared = sum(found.parity.parity.rows for found in made)
    differing = sum(found.parity.parity.differing for found in made)
    waiting, redacted = sum(found.parity.waiting for found in made), made[-1].parity.redacted
    share = differing / compared if compared else None
    why = None
    if share is None:
        why = "no answer could be compared: " + (
            f"{waiting:,} look at data that has not landed yet" if waiting else "none was asked by inputs on record"
        )
    return dg.AssetCheckResult(
        check_name="online_features_equal_offline",
        passed=share is None or share <= MOST_DIFFERING,
        severity=dg.AssetCheckSeverity.WARN,  # the answers were given; what differs is a matter for people
        description=why,
        metadata={
            "rows_compared": compared,
            "rows_differing": differing,
            **({} if share is None else {"share_differing": share}),
            "limit": MOST_DIFFERING,
            "rows_waiting_for_data": waiting,
            "not_compared_as_personal": list(redacted),
            "by_feature": _by_feature(made),
        },
    )


def _by_feature(made: Sequence[ReadDay]) -> dg.MetadataValue:
    """Features that differ, those that do in most rows first, over all partitions."""
    compared = sum(found.parity.parity.rows for found in made)
    names = {name for found in made for name in found.parity.parity.worst}
    rows = []
    for name in names:
        each = [found.parity.parity.features[name] for found in made]
        differing, sizes = sum(one.differing for one in each), [one.largest for one in each if one.largest is not None]
        rows.append((differing, name, sum(one.one_sided for one in each), max(sizes, default=None)))
    cells = [
        [name, f"{differing / compared:.2%}", f"{one_sided:,}", "" if largest is None else f"{largest:.6g}"]
        for differing, name, one_sided, largest in sorted(rows, key=lambda row: (-row[0], row[1]))[:SHOWN]
    ]
    head = ["feature", "rows that differ", "only on one side", "largest difference"]
    return dg.MetadataValue.md(markdown.table(head, cells) if cells else "none differs")


def _plotted(found: ReadDay) -> dict[str, Any]:
    """Numbers of a partition that the UI plots over partitions; an unknown share is left out."""
    share = found.parity.parity.share
    return {
        "answers": len(found.rows),
        "rows_compared": found.parity.parity.rows,
        **({} if share is None else {"share_differing": share}),
    }


def _metadata(made: Sequence[ReadDay], segments: Sequence[LoggedSegment]) -> dict[str, Any]:
    rows = pl.concat([found.rows for found in made])
    empty = [found.key for found in made if found.rows.is_empty()]
    versions = rows.group_by("version").len().sort("version").rows()
    return {
        "preview": preview(rows.select(PARTITION_KEY, pl.exclude(PARTITION_KEY))),
        "answers_by_version": {f"v{version}": count for version, count in versions},
        "partitions_without_answers": empty,
        "smoke_tests_left_out": sum(found.day.smoke_tests for found in made),
        "repeated_lines_left_out": sum(found.day.repeated for found in made),
        "segments_there": len(segments),
    }
