"""`performance_report`: predictions joined with the labels that have come, judged by control charts, day by day.

Belongs here: the asset, its checks, its tables, and where the report goes. Does not belong here: judging
(`assets/logic/performance.py`), what a version is like in control (`performance_reference.py`), and what follows from
an alarm (`retraining_decisions.py`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np
import polars as pl

from assets.code_version import code_version
from assets.contracts import PARTITION_KEY, UseCase
from assets.logic.metrics import task_metrics
from assets.logic.performance import Performance, judged, window_days
from assets.logic.performance_days import ScoredRows
from assets.logic.performance_tables import UNDER_WAY
from assets.logic.performance_window import Moment, seen_at
from assets.reports.performance import PerformancePage, figures, headline, reasons, render_html, to_json
from assets.stages.common import (
    RETRY_IO,
    asset_facts,
    asset_key,
    commit_of,
    look_back,
    partitions_definition,
    pictures,
    table_name,
    table_result,
)
from assets.stages.freshness import freshness
from assets.stages.performance_reference import yardsticks
from assets.stages.performance_rows import FeedbackUse, read_rows, versions_in
from resources.clock import Clock
from resources.lake import Commit, Lake, TableVersion
from resources.registry import MlflowModelRegistry
from resources.reports import Reports

WINDOWS: Final = "performance_windows"
DAYS: Final = "performance_days"
PLOTTED: Final = (
    "loss", "baseline_loss", "expected_loss", "estimate_error", "auc", "calibration_error", "residual", "overdue_share",
)  # fmt: skip
"""Numbers of a window that the UI plots over partitions."""
ONE_DAY: Final = timedelta(days=1)


def build_performance_report(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that judges how well the predictions of the trailing days did."""
    key, policy = asset_key(use_case, "performance_report"), use_case.automation.performance
    stale_after = use_case.automation.retraining.stale_after
    days_back = look_back(use_case.partitions, policy.window.days)

    @dg.asset(
        key=key,
        deps=[
            dg.AssetDep(asset_key(use_case, n), partition_mapping=days_back)
            for n in ("predictions", "features", "feedback")
        ],
        **asset_facts(use_case, "performance_report", "deltalake", "html"),
        description=f"Predictions of the last {policy.window.days} days beside the labels that had come at the end of "
        f"the partition: loss, calibration, and control charts with one false alarm in {policy.run_length} days. Days "
        "without labels yet have an estimate.",
        partitions_def=partitions_definition(use_case.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=freshness(use_case, "performance_report"),
        code_version=code_version(f"{__name__}:watched", values=(use_case.task, policy, stale_after)),
        retry_policy=RETRY_IO,
        check_specs=[
            dg.AssetCheckSpec(
                "performance_is_in_control", asset=key, description="No control chart is out on the newest judged day."
            ),
            dg.AssetCheckSpec(
                "labels_arrive", asset=key, description="The newest day that should have its labels has them."
            ),
        ],
    )
    def performance_report(
        context: dg.AssetExecutionContext, lake: Lake, registry: MlflowModelRegistry, reports: Reports, clock: Clock
    ) -> Iterator[dg.MaterializeResult[None]]:
        keys, now = sorted(context.partition_keys), clock.now()
        found = watched(use_case, lake, registry, keys)
        version = write(use_case, lake, found.performance, keys, commit_of(context, key))
        for row in found.performance.windows.iter_rows(named=True):
            numbers = {name: float(row[name]) for name in PLOTTED if row[name] is not None}
            context.add_asset_metadata(numbers, partition_key=row[PARTITION_KEY])
        page = newest_page(use_case, found, now)
        newest = on_record(use_case, page, lake)
        shown = {}
        if reports.has_monitor_pages:
            shown = publish(use_case, page, reports, registry, context.run.run_id, is_latest=newest is page)
        context.log.info(f"{keys[-1]}: {headline(page)}")
        yield table_result(
            key,
            lake,
            version,
            len(found.performance.windows),
            keys=keys,
            metadata={"judged_at": now.isoformat(), **found.feedback.told(), **shown},
            # A check has no partitions: after a backfill of the past it must go on telling of the present.
            check_results=list(_check_results(newest)),
        )

    return performance_report


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What partitions came to, with the window of the newest one as it is drawn, and what the feedback told of them."""

    performance: Performance
    feedback: FeedbackUse
    calibration: pl.DataFrame


def watched(use_case: UseCase, lake: Lake, registry: MlflowModelRegistry, keys: Sequence[str]) -> Watched:
    """How well the predictions of trailing windows did, for some partitions; rows are read once for all.

    Args:
        use_case: The declaration.
        lake: Where predictions and labels are.
        registry: Where the versions are, and what they are like in control.
        keys: The partitions, in order.
    """
    partitions, window = use_case.partitions, use_case.automation.performance.window.days
    moments = [moment_of(use_case, key) for key in keys]
    there = sorted(k for k in lake.partitions(table_name(use_case, "predictions")) if k <= keys[-1])
    near = versions_in(use_case, lake, [k for k in there if k >= partitions.before(keys[0], window)])
    known = yardsticks(use_case, lake, registry, sorted({v for some in near.values() for v in some}))
    back = partitions.before(keys[0], window_days(known, window))
    read = [k for k in there if k >= back]
    more = versions_in(use_case, lake, [k for k in read if k not in near])
    others = sorted({v for some in more.values() for v in some} - {y.version for y in known})
    known += yardsticks(use_case, lake, registry, others)
    rows, feedback = read_rows(use_case, lake, read, [y.version for y in known])
    # Evidence that decides nothing any more is no verdict either: the page says what the decision goes by.
    stale_after = use_case.automation.retraining.stale_after
    performance = judged(use_case.task, rows, moments, known, window=window, stale_after=stale_after)
    last = performance.windows.row(-1, named=True)
    part = rows.between(np.datetime64(last["window_start"]), np.datetime64(last["window_end"]))
    seen = seen_at(part, moments[-1], known)
    calibration = _calibration(use_case, seen.settled.rows(seen.is_compared))
    return Watched(performance=performance, feedback=feedback, calibration=calibration)


def moment_of(use_case: UseCase, key: str) -> Moment:
    """A partition and the instant at which it ended."""
    last = use_case.partitions.last_day(key)
    following = last + ONE_DAY
    zone = ZoneInfo(use_case.partitions.timezone)
    midnight = datetime(following.year, following.month, following.day, tzinfo=zone)
    return Moment(key=key, last_day=last, end=midnight.astimezone(UTC).replace(tzinfo=None))


def write(use_case: UseCase, lake: Lake, performance: Performance, keys: Sequence[str], commit: Commit) -> TableVersion:
    """Keep both tables; the days first, so that whoever reads a window finds its days."""
    lake.write(table_name(use_case, DAYS), performance.days, partitions=keys, commit=commit, schema_evolution=True)
    windows = table_name(use_case, WINDOWS)
    return lake.write(windows, performance.windows, partitions=keys, commit=commit, schema_evolution=True)


def newest_page(use_case: UseCase, found: Watched, now: datetime) -> PerformancePage:
    """What is told of the newest partition."""
    window = found.performance.windows.row(-1, named=True)
    return PerformancePage(
        use_case=use_case.name,
        question=use_case.description,
        task=use_case.task,
        window=window,
        days=found.performance.days.filter(pl.col(PARTITION_KEY) == window[PARTITION_KEY]),
        calibration=found.calibration,
        run_length=use_case.automation.performance.run_length,
        created_at=now,
    )


def on_record(use_case: UseCase, page: PerformancePage, lake: Lake) -> PerformancePage:
    """What is told of the newest partition on record: the page itself, unless it is of the past."""
    newest = max(lake.partitions(table_name(use_case, WINDOWS)))
    if newest == page.window[PARTITION_KEY]:
        return page
    window, days = (lake.scan(table_name(use_case, n), partitions=[newest]).collect() for n in (WINDOWS, DAYS))
    return replace(page, window=window.row(0, named=True), days=days, calibration=page.calibration.clear())


def publish(
    use_case: UseCase,
    page: PerformancePage,
    reports: Reports,
    registry: MlflowModelRegistry,
    dagster_run: str,
    *,
    is_latest: bool,
) -> dict[str, Any]:
    """Keep a report as files and in an MLflow run that shows it; returns metadata that leads there."""
    html, name = render_html(page), str(page.window[PARTITION_KEY])
    drawn = {f"plots/{title}.png": figure for title, figure in figures(page).items()}
    with registry.run(use_case.name, "performance", {"dagster.run_id": dagster_run, PARTITION_KEY: name}) as run_id:
        registry.log(run_id, figures=drawn, documents={"performance.html": html})
    content = json.dumps(to_json(page), indent=2, allow_nan=False)
    files = {"html": html.encode(), "json": content.encode()}
    uris = reports.write(use_case.name, "performance_report", name, files, is_latest=is_latest)
    return {
        "verdict": headline(page),
        "why": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in reasons(page))),
        "charts": pictures(registry, run_id, drawn),
        "report": dg.MetadataValue.url(registry.document_url(run_id, "performance.html")),
        "report_html": dg.MetadataValue.path(uris["html"]),
        "report_json": dg.MetadataValue.path(uris["json"]),
    }


def _calibration(use_case: UseCase, compared: ScoredRows) -> pl.DataFrame:
    metrics = task_metrics(use_case.task)
    if not len(compared.day) or metrics.undefined(compared.label, compared.prediction):
        return pl.DataFrame(schema={"predicted": pl.Float64, "observed": pl.Float64, "rows": pl.Int64})
    return metrics.calibration_curve(compared.label, compared.prediction)


def _check_results(page: PerformancePage) -> Iterator[dg.AssetCheckResult]:
    """Of the newest partition. An alarm never stops a run: the model goes on until a better one replaces it.

    A window that could not be judged does not pass as fine, unless all that it lacks are labels still under way.
    """
    window = page.window
    yield dg.AssetCheckResult(
        check_name="performance_is_in_control",
        passed=window["is_out_of_control"] is False or window["note"] == UNDER_WAY,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(reasons(page)) or None,
        metadata={"charts": window["chart_alarms"], "is_judged": window["is_out_of_control"] is not None},
    )
    share, limit = window["overdue_share"], window["overdue_limit"]
    yield dg.AssetCheckResult(
        check_name="labels_arrive",
        passed=share is None or limit is None or share <= limit,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={} if share is None or limit is None else {"overdue_share": share, "limit": limit},
    )
