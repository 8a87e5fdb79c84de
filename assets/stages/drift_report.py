"""`drift_report`: whether the trailing days still look like what the model behind them learned from.

Belongs here: the asset, its check, its tables, and where the reports go. Does not belong here: judging
(`assets/logic/drift.py`), what is counted (`drift_windows.py`), and what follows from an alarm
(`retraining_decisions.py`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.code_version import code_version
from assets.contracts import UseCase
from assets.logic.drift import Judgement
from assets.logic.sampling import spread_out
from assets.reports.drift import (
    OVER,
    SCORE,
    ColumnsReport,
    column_table,
    columns_report,
    group_scores,
    group_table,
    headline,
    scores_snapshot,
)
from assets.stages.common import (
    RETRY_IO,
    asset_facts,
    asset_key,
    commit_of,
    look_back,
    partitions_definition,
    table_result,
)
from assets.stages.drift_reference import find_sample, reference_code_version
from assets.stages.drift_tables import newest_window, write_tables
from assets.stages.drift_windows import JudgedPartition, end_of, judge_partitions, window_rows
from assets.stages.freshness import freshness
from resources.clock import Clock
from resources.evidently_workspace import EvidentlyWorkspace, LinePanel
from resources.lake import Lake
from resources.registry import MlflowModelRegistry
from resources.reports import Reports

NEWEST: Final = "columns of the newest window"
"""Name of the one run in Evidently's workspace that holds distributions: each is 7 MB for 100 columns."""
DRAWN_ROWS: Final = 3_000
"""Rows of a window that Evidently draws; more change no picture, and it takes all of them into its page."""


def build_drift_report(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that compares the trailing window of each partition with the reference of its model."""
    key, policy = asset_key(use_case, "drift_report"), use_case.automation.drift
    days_back = look_back(use_case.partitions, policy.window.days)

    @dg.asset(
        key=key,
        deps=[
            *(dg.AssetDep(asset_key(use_case, n), partition_mapping=days_back) for n in ("features", "predictions")),
            asset_key(use_case, "drift_reference"),
        ],
        **asset_facts(use_case, "drift_report", "evidently", "deltalake"),
        description=f"The last {policy.window.days} days beside the reference of the model that predicted them, group "
        "by group of columns; labels and residuals up to the last day that usually has them all by then. A quiet "
        f"window raises an alarm once in {1 / policy.false_alarms:.0f}.",
        partitions_def=partitions_definition(use_case.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=freshness(use_case, "drift_report"),
        code_version=code_version(
            "assets.stages.drift_windows:judge_partitions",
            "assets.stages.drift_tables:write_tables",
            values=(use_case.task, policy, reference_code_version(use_case)),
        ),
        retry_policy=RETRY_IO,
        check_specs=[
            dg.AssetCheckSpec(
                "nothing_has_drifted",
                asset=key,
                description="No group of columns of the newest window is over its limit.",
            )
        ],
    )
    def drift_report(
        context: dg.AssetExecutionContext,
        lake: Lake,
        registry: MlflowModelRegistry,
        reports: Reports,
        evidently_workspace: EvidentlyWorkspace,
        clock: Clock,
    ) -> Iterator[dg.MaterializeResult[None]]:
        keys = sorted(context.partition_keys)
        judged = judge_partitions(use_case, keys, lake, registry)
        version = write_tables(use_case, judged, lake, commit_of(context, key))
        newest = judged[-1]
        uris = {}
        if reports.has_monitor_pages:
            uris = publish(use_case, judged, lake, registry, reports, evidently_workspace)
        context.log.info(_told(newest))
        yield table_result(
            key,
            lake,
            version,
            sum(len(j.judgement.groups) if j.judgement else 1 for j in judged),
            keys=keys,
            metadata={"judged_at": clock.now().isoformat(), **_metadata(newest), **uris},
            # A check has no partitions: after a backfill of the past it must go on telling of the present.
            check_results=[_check_result(newest_window(use_case, lake))],
        )

    return drift_report


def publish(
    use_case: UseCase,
    judged: Sequence[JudgedPartition],
    lake: Lake,
    registry: MlflowModelRegistry,
    reports: Reports,
    workspace: EvidentlyWorkspace,
) -> dict[str, dg.MetadataValue]:
    """Give every judged window its place in Evidently's dashboards, and the newest one its page; returns the links.

    What is called the newest, or latest, stays that of the newest day on record, also after a backfill of the past.
    A window that could not be judged has neither: what Evidently would draw of it, nobody has judged.
    """
    shown = [(one, one.judgement) for one in judged if one.judgement is not None]
    if not shown:
        return {}
    runs = {one.key: _snapshot(use_case, one, judgement) for one, judgement in shown}
    groups = [group.name for group in shown[-1][1].groups]
    panels = [
        LinePanel(
            title="Score of each group of columns; 1 is an alarm", metric=SCORE, lines={name: name for name in groups}
        ),
        LinePanel(title="Columns over their own limit", metric=SCORE, lines={OVER: OVER}),
    ]
    links: dict[str, dg.MetadataValue] = {}
    newest, judgement = shown[-1]
    if newest is judged[-1]:
        report = _columns_report(use_case, newest, judgement, lake, registry)
        is_latest = newest.key == newest_window(use_case, lake).key
        if report.snapshot is not None and is_latest:
            runs[NEWEST] = report.snapshot
        pages = {"html": report.html.encode(), "json": _as_json(newest, judgement, report.json)}
        uris = reports.write(use_case.name, "drift_report", newest.key, pages, is_latest=is_latest)
        links = {f"report_{ending}": dg.MetadataValue.path(uri) for ending, uri in uris.items()}
    workspace.keep(use_case.name, runs, panels)
    return links


def _snapshot(use_case: UseCase, one: JudgedPartition, judgement: Judgement) -> Any:
    facts = {"partition": one.key, "model_version": str(one.version)}
    return scores_snapshot(group_scores(judgement), name=one.key, at=end_of(use_case, one.key), facts=facts)


def _columns_report(
    use_case: UseCase, one: JudgedPartition, judgement: Judgement, lake: Lake, registry: MlflowModelRegistry
) -> ColumnsReport:
    """Evidently's page of a window, beside the rows that were kept with the model."""
    name, _, number = str(one.version).rpartition("/")
    reference = find_sample(registry.version(name, int(number)), registry)
    rows = window_rows(use_case, one.start, one.end, str(one.version), lake)
    return columns_report(
        judgement.columns,
        pl.DataFrame() if reference is None else reference,
        rows[spread_out(len(rows), DRAWN_ROWS, use_case.seed)],
        name=f"{use_case.name}: {one.start} to {one.end} beside {one.version}",
        at=end_of(use_case, one.key),
        facts={"partition": one.key, "model_version": str(one.version)},
    )


def _as_json(one: JudgedPartition, judgement: Judgement, evidently: str) -> bytes:
    content = {
        "partition": one.key,
        "window": [str(one.start), str(one.end)],
        "model_version": one.version,
        "verdict": headline(judgement.groups),
        **asdict(judgement),
        "evidently": json.loads(evidently),
    }
    return json.dumps(content, indent=1).encode()


def _told(one: JudgedPartition) -> str:
    """The verdict on a window as a sentence."""
    return f"{one.note}." if one.judgement is None else headline(one.judgement.groups)


def _metadata(one: JudgedPartition) -> dict[str, Any]:
    about = {"window": f"{one.start} to {one.end}", "model_version": str(one.version), "verdict": _told(one)}
    if one.judgement is None:
        return about
    found = {c.name: c.finding for c in one.judgement.columns if c.finding is not None}
    return {
        **about,
        "groups": dg.MetadataValue.md(group_table(one.judgement.groups)),
        "columns": dg.MetadataValue.md(column_table(one.judgement.columns)),
        "findings": len(found),
        **{f"score/{g.name}": g.score for g in one.judgement.groups if g.score is not None},
    }


def _check_result(one: JudgedPartition) -> dg.AssetCheckResult:
    """Passes where nothing drifted; a window of which nothing could be judged does not pass as fine."""
    groups = one.judgement.groups if one.judgement else ()
    drifted = [g.name for g in groups if g.is_drifted]
    is_judged = any(g.score is not None for g in groups)
    return dg.AssetCheckResult(
        check_name="nothing_has_drifted",
        passed=is_judged and not drifted,
        severity=dg.AssetCheckSeverity.WARN,  # the model still answers; what follows is decided elsewhere
        description=_told(one),
        metadata={"partition": one.key, "model_version": str(one.version), "drifted": drifted},
    )
