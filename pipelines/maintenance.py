"""Upkeep of what a use case leaves behind: `<use_case>_maintain_job`, for every week.

Belongs here: what is needed, and how long the rest is kept (`RetentionPolicy`). Does not belong here: finding it and
taking it away, which each store does its own way (`resources/*_upkeep.py`, `resources/run_logs.py`).

Each part is an op of its own: one store that fails keeps no other from being looked after.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.contracts import UseCase
from assets.stages.champion import LEDGER
from assets.stages.common import asset_key, table_name
from assets.stages.logged_segments import KEEP, LABEL_SEGMENTS, shipped
from pipelines.jobs import job_name
from resources.clock import Clock
from resources.lake import Commit, Lake
from resources.lake_upkeep import Vacuumed, compact, tables, vacuum
from resources.mlflow_upkeep import artifact_bytes, needed_versions, remove_run, runs_before
from resources.registry import MlflowModelRegistry
from resources.report_upkeep import pages_before, remove_pages
from resources.reports import Reports
from resources.run_logs import forget_log, logs_before
from resources.serving.client import Endpoint
from resources.serving.logged import label_segments, log_folder, logged_segments

MAINTAIN: Final = "maintain"
CODE_VERSION: Final = "1"
"""Of the commits that put files together; the rows stay, so no data depends on it."""


class Upkeep(dg.Config):
    """Configuration of the job.

    Attributes:
        dry_run: Only say what would be taken away.
    """

    dry_run: bool = False


def build_maintenance_job(use_case: UseCase) -> dg.JobDefinition:
    """Compaction and vacuum of the lake, and an end to old reports, MLflow runs, logs of Dagster runs and segments."""
    parts = [_model_runs(use_case), _lake_tables(use_case), _reports(use_case), _run_logs(use_case)]
    parts += [_answer_segments(use_case)]

    @dg.job(
        name=job_name(use_case.name, MAINTAIN),
        description="Small files of lake tables are put together. Table versions that no registered model needs, old "
        "pages of reports, MLflow runs that no champion came from, the logs of old Dagster runs, and what the endpoint "
        "logged and the lake has, are taken away.",
        tags={"purpose": MAINTAIN},
        config=dg.ConfigMapping(
            config_schema={"dry_run": dg.Field(bool, default_value=False, description="Only say what would go.")},
            config_fn=lambda given: {"ops": {part.name: {"config": {"dry_run": given["dry_run"]}} for part in parts}},
        ),
        executor_def=dg.in_process_executor,
    )
    def maintain() -> None:
        for part in parts:
            part()

    return maintain


def needed_tables(
    use_case: UseCase, registry: MlflowModelRegistry, instance: dg.DagsterInstance
) -> dict[str, set[int]]:
    """Versions of lake tables that registered models were made from, and those that the next ones are to be made from.

    Raises:
        RegistryError: If a registered model does not say what it was made from: then no version may go.
    """
    needed = needed_versions(registry, use_case.name)
    frozen = instance.get_latest_materialization_event(asset_key(use_case, "training_set"))
    if frozen is not None and frozen.asset_materialization is not None:
        manifest: Any = frozen.asset_materialization.metadata["manifest"].value
        for name, number in manifest["tables"].items():
            needed.setdefault(table_name(use_case, name), set()).add(int(number))
    return needed


def champions(use_case: UseCase, lake: Lake) -> tuple[set[str], set[str]]:
    """Versions that are or were champion, and the Dagster runs that promoted them, as the ledger has them."""
    ledger = table_name(use_case, LEDGER)
    if lake.version(ledger) is None:
        return set(), set()
    rows = lake.scan(ledger).select("decision", "model_version", "previous_version", "dagster_run_id").collect()
    versions = {*rows["model_version"].drop_nulls(), *rows["previous_version"].drop_nulls()}
    return versions, {*rows.filter(pl.col("decision") == "promoted")["dagster_run_id"]}


def _lake_tables(use_case: UseCase) -> dg.OpDefinition:
    retention = use_case.automation.retention.table_versions

    @dg.op(name="lake_tables", out=dg.Out(dg.Nothing))
    def lake_tables(
        context: dg.OpExecutionContext, config: Upkeep, lake: Lake, registry: MlflowModelRegistry, clock: Clock
    ) -> None:
        needed = needed_tables(use_case, registry, context.instance)
        commit = Commit(dagster_run_id=context.run_id, code_version=CODE_VERSION)
        # What Delta stamps on files is the time of the system. The clock of a replay lies far behind it: all is young.
        older_than = datetime.now(clock.now().tzinfo) - clock.now() + retention
        done: dict[str, tuple[int, Vacuumed]] = {}
        for table in tables(lake, use_case.name):
            put_together = compact(lake, table, commit, dry_run=config.dry_run)
            keep = needed.get(table, set())
            done[table] = put_together, vacuum(lake, table, keep=keep, older_than=older_than, dry_run=config.dry_run)
        facts = {
            "files_put_together": sum(n for n, _ in done.values()),
            "removed_files": sum(v.removed_files for _, v in done.values()),
            "removed_bytes": sum(v.removed_bytes for _, v in done.values()),
            "kept_files": sum(v.kept_files for _, v in done.values()),
            "kept_bytes": sum(v.kept_bytes for _, v in done.values()),
            "versions_kept_for_models": {table: sorted(versions) for table, versions in sorted(needed.items())},
        }
        _report(context, config, facts)

    return lake_tables


def _model_runs(use_case: UseCase) -> dg.OpDefinition:
    retention = use_case.automation.retention.model_runs

    @dg.op(name="model_runs", out=dg.Out(dg.Nothing))
    def model_runs(
        context: dg.OpExecutionContext, config: Upkeep, lake: Lake, registry: MlflowModelRegistry, clock: Clock
    ) -> None:
        versions, promotions = champions(use_case, lake)
        before = clock.now() - retention
        runs = runs_before(registry, use_case.name, before, champions=versions, dagster_runs=promotions)
        removed_bytes = 0
        for run in runs.old:
            removed_bytes += artifact_bytes(registry, run)
            if not config.dry_run:
                remove_run(registry, run)
        facts = {
            "removed_runs": len(runs.old),
            "removed_versions": [version for run in runs.old for version in run.versions],
            "removed_bytes": removed_bytes,
            "kept_runs": runs.kept,
        }
        _report(context, config, facts)

    return model_runs


def _reports(use_case: UseCase) -> dg.OpDefinition:
    retention = use_case.automation.retention.reports

    @dg.op(name="report_pages", out=dg.Out(dg.Nothing))
    def report_pages(context: dg.OpExecutionContext, config: Upkeep, reports: Reports, clock: Clock) -> None:
        old, kept = pages_before(reports, use_case.name, clock.now() - retention)
        if not config.dry_run:
            remove_pages(reports, old)
        facts = {"removed_pages": len(old), "removed_bytes": sum(page.size for page in old), "kept_pages": kept}
        _report(context, config, facts)

    return report_pages


def _run_logs(use_case: UseCase) -> dg.OpDefinition:
    retention = use_case.automation.retention.events
    own_job = re.compile(job_name(re.escape(use_case.name), "[a-z]+"))

    def is_ours(run: dg.DagsterRun) -> bool:
        return own_job.fullmatch(run.job_name) is not None or any(
            key.path[0] == use_case.name for key in run.asset_selection or ()
        )

    @dg.op(name="run_logs", out=dg.Out(dg.Nothing))
    def run_logs(context: dg.OpExecutionContext, config: Upkeep, clock: Clock) -> None:
        logs = logs_before(context.instance, clock.now() - retention, is_ours)
        if not logs.is_supported:
            context.log.warning("this storage keeps what runs said beside what they made: every log stays")
        for run_id in logs.old if not config.dry_run else ():
            forget_log(context.instance, run_id)
        _report(
            context,
            config,
            {"removed_logs": len(logs.old), "removed_bytes": sum(logs.old.values()), "kept_logs": logs.kept},
        )

    return run_logs


def _answer_segments(use_case: UseCase) -> dg.OpDefinition:
    @dg.op(name="answer_segments", out=dg.Out(dg.Nothing))
    def answer_segments(
        context: dg.OpExecutionContext, config: Upkeep, lake: Lake, endpoint_server: Endpoint, clock: Clock
    ) -> None:
        answers = logged_segments(log_folder(endpoint_server, use_case.name))
        labels, before = label_segments(endpoint_server, use_case.name), clock.now() - KEEP
        there = [*answers, *labels]
        # Only what `prediction_log` and `feedback` have read to its end: where they never run, the only copy stays.
        done = shipped(use_case, lake, answers, before) + shipped(use_case, lake, labels, before, LABEL_SEGMENTS)
        for segment in done if not config.dry_run else ():
            segment.path.unlink()
        facts = {
            "removed_segments": len(done),
            "removed_bytes": sum(segment.size for segment in done),
            "kept_segments": len(there) - len(done),
        }
        _report(context, config, facts)

    return answer_segments


def _report(context: dg.OpExecutionContext, config: Upkeep, facts: Mapping[str, object]) -> None:
    """Say what went and what stayed, in the log and as metadata of the op's output."""
    told = ", ".join(f"{name} {value:,}" for name, value in facts.items() if isinstance(value, int))
    context.log.info(f"{'dry run, nothing was touched: ' if config.dry_run else ''}{told}")
    context.add_output_metadata({"dry_run": config.dry_run, **facts})
