"""`rollout_history`: what was live when, at what share and why it changed, as a table that anyone can query.

Belongs here: the table, and what is told of a rollout under way. Does not belong here: rollouts themselves
(`resources/serving`), and when this runs (`pipelines/rollout_jobs.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.code_version import code_version
from assets.contracts import UseCase
from assets.stages.common import RETRY_IO, asset_facts, asset_key, commit_of, preview, table_name, table_result
from resources.lake import Lake
from resources.serving.client import Endpoint
from resources.serving.evidence_files import total
from resources.serving.shares import Count, interval
from resources.serving.states import Event, State

NAME: Final = "rollout_history"
SCHEMA: Final = {
    "at": pl.Datetime("us", "UTC"),
    "change": pl.String(),
    "from_version": pl.Int64(),
    "to_version": pl.Int64(),
    "version": pl.Int64(),
    "beside": pl.Int64(),
    "share": pl.Float64(),
    "mode": pl.String(),
    "rollout": pl.String(),
    "reason": pl.String(),
    "by": pl.String(),
    "revision": pl.Int64(),
}
"""Live before and afterwards; the version it is about, and the one beside the live one and its share afterwards."""
TAKEN_BACK: Final = ("rolled back", "called off")


def build_rollout_history(use_case: UseCase) -> dg.AssetsDefinition:
    """The history of the endpoint as a Delta table, with the figures of a rollout under way."""
    key = asset_key(use_case, NAME)
    checks = [
        dg.AssetCheckSpec("no_version_was_taken_back", asset=key, description="Since the last look."),
        dg.AssetCheckSpec("the_endpoint_serves_what_is_asked_for", asset=key),
    ]

    @dg.asset(
        key=key,
        deps=[asset_key(use_case, "endpoint")],
        **asset_facts(use_case, NAME, "deltalake"),
        description="Every change of what is live, or on its way, at what share, by whom and why; the newest first in "
        "the UI.",
        code_version=code_version(__name__),
        retry_policy=RETRY_IO,
        check_specs=checks,
        metadata={"dagster/table_name": table_name(use_case, NAME)},
    )
    def rollout_history(
        context: dg.AssetExecutionContext, lake: Lake, endpoint_server: Endpoint
    ) -> Iterator[dg.MaterializeResult[None]]:
        if may_go_on(use_case, endpoint_server):
            endpoint_server.control(use_case.name).step_on(
                by=f"Dagster run {context.run.run_id}", reason="enough rows, and no guardrail was met"
            )
        known, table = on_record(use_case, lake), table_name(use_case, NAME)
        new = _frame(endpoint_server.control(use_case.name).history()).join(known, on=["at", "revision"], how="anti")
        version = lake.append(table, new, commit_of(context, key))
        rows = pl.concat([known, new]).sort("at", descending=True)
        state = endpoint_server.control(use_case.name).state()
        yield table_result(
            key,
            lake,
            version,
            len(rows),
            keys=None,
            metadata={
                "history": preview(rows, rows=20),
                **_standing(state),
                **_figures(endpoint_server, use_case, state),
            },
            check_results=[_taken_back(new), _serves(endpoint_server, use_case, state)],
        )

    return rollout_history


def on_record(use_case: UseCase, lake: Lake) -> pl.DataFrame:
    """All changes that are in the table already; shape (n, columns of `SCHEMA`)."""
    table = table_name(use_case, NAME)
    return pl.DataFrame(schema=SCHEMA) if lake.version(table) is None else lake.scan(table).collect()


def may_go_on(use_case: UseCase, server: Endpoint) -> bool:
    """Whether a canary that Dagster moves on has been seen long enough, and is well."""
    state = server.control(use_case.name).state()
    if state is None or state.beside is None or state.beside.plan.advance != "orchestrator":
        return False
    described = server.control(use_case.name).described()
    beside = None if described is None else described["beside"]
    if beside is None or (beside["rollout"], beside["step"]) != (state.beside.id, state.beside.step):
        return False
    return bool(state.beside.plan.mode == "canary" and (beside["verdict"] or {}).get("kind") == "go on")


def _frame(events: Sequence[Event]) -> pl.DataFrame:
    rows = [asdict(event) for event in events]
    frame = pl.DataFrame(rows, schema={**SCHEMA, "at": pl.String()})
    return frame.with_columns(pl.col("at").str.to_datetime(time_unit="us", time_zone="UTC")).select(list(SCHEMA))


def _taken_back(new: pl.DataFrame) -> dg.AssetCheckResult:
    gone = new.filter(pl.col("change").is_in(TAKEN_BACK))
    told = [f"version {row['version']} ({row['mode']}): {row['reason']}" for row in gone.iter_rows(named=True)]
    return dg.AssetCheckResult(
        check_name="no_version_was_taken_back",
        passed=gone.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"taken_back": told},
    )


def _serves(server: Endpoint, use_case: UseCase, state: State | None) -> dg.AssetCheckResult:
    live, wanted = server.live_version(use_case.name), None if state is None else state.live.number
    return dg.AssetCheckResult(
        check_name="the_endpoint_serves_what_is_asked_for",
        passed=live == wanted,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"live_version": str(live), "asked_for": str(wanted)},
    )


def _standing(state: State | None) -> dict[str, Any]:
    if state is None:
        return {}
    beside = state.beside
    more = (
        {} if beside is None else {"on_its_way": beside.target.number, "mode": beside.plan.mode, "share": beside.share}
    )
    return {"live_version": state.live.number, **more}


def _figures(server: Endpoint, use_case: UseCase, state: State | None) -> dict[str, Any]:
    """Of a rollout under way: by how much its version differs from the live one, with intervals that always hold."""
    if state is None or state.beside is None or state.beside.plan.mode == "shadow":
        return {}
    live, new = total(server.control(use_case.name).folder.root, state.beside)
    compared = {
        "errors": (Count(of=live.rows, hits=live.errors), Count(of=new.rows, hits=new.errors)),
        "slow_calls": (Count(of=live.calls, hits=live.slow), Count(of=new.calls, hits=new.slow)),
        "scores_above_median": (Count(of=live.scored, hits=live.high), Count(of=new.scored, hits=new.high)),
        "scores_outside_quartiles": (Count(of=live.scored, hits=live.outer), Count(of=new.scored, hits=new.outer)),
    }
    told: dict[str, Any] = {"rows_live": live.rows, "rows_new": new.rows}
    for name, (old, beside) in compared.items():
        low, high = interval(old, beside)
        told[f"{name}_difference"] = f"{beside.share - old.share:+.3f} ({low:+.3f} to {high:+.3f}, 95 %)"
    return told
